package redisstore

import (
	"crypto/x509"
	"log/slog"
	"time"
)

// Options are the settings of a store; the zero value is useful.
type Options struct {
	// Prefix stands before every key and channel; "tally" when empty.
	Prefix string
	// Secret is the key of the visitor hash. When empty, the one that the store
	// keeps is taken, and made where there is none.
	Secret []byte
	// SecretKept refuses a store that keeps no secret yet, where Secret is empty too,
	// instead of making one: for what means nothing under a new one.
	SecretKept bool
	// AllowEviction permits a Redis that evicts any key when memory is short.
	AllowEviction bool
	// Journal is how long each contribution is kept with its minute and source, so that
	// a spike can be undone; at most [MaxJournal], and not at all when zero.
	Journal time.Duration
	// TopEvery is how long changes are gathered before they go to the leaderboards;
	// 1 s when zero. With what writing them takes, Top is behind by that.
	TopEvery time.Duration
	// RootCAs are trusted for rediss://; nil for those of the system.
	RootCAs *x509.CertPool
	// Logger is told of transitions; nil for the default one.
	Logger *slog.Logger
}

// MaxJournal bounds [Options.Journal]: each day of it is a key of its own, of which
// all are named to the scripts that drop a topic.
const MaxJournal = 90 * day

const (
	defaultPrefix = "tally"
	// defaultTopEvery makes a storm on a topic one update a second, and keeps Top
	// well within the 2 s that it may be behind.
	defaultTopEvery = time.Second

	// patience is how long anything may wait for Redis that has no deadline of its
	// own. It is below the 3 s in which a request must be answered.
	patience = 2500 * time.Millisecond
	// dialPatience is how long a connection may take. A black hole must leave time
	// for a second attempt.
	dialPatience = 2 * time.Second

	// Connections to a node: a lane has one batch under way at a time, the rest is for reads,
	// which hold one for a round trip. A read beyond them waits for its turn.
	poolSize = 8
	// Bytes of the buffers of a connection, each way. A pipeline of 500 reads or a
	// batch of 500 writes fits.
	bufferBytes = 32 << 10
	// idleFor is how long a connection is kept unused; below what firewalls allow.
	idleFor = 5 * time.Minute
	// retries of a command whose connection broke. Every command may be repeated
	// safely; one that fails three times is a Redis that is away.
	retries = 2
)
