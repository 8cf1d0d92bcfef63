package redisstore

import (
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
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
const MaxJournal = 90 * redistopology.Day

const (
	defaultPrefix = "tally"
	// defaultTopEvery makes a storm on a topic one update a second, and keeps Top
	// well within the 2 s that it may be behind.
	defaultTopEvery = time.Second

	// timeout bounds what has no deadline of its own.
	timeout = redistopology.Timeout
)
