package redisstore

import (
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
)

// Options are the settings of a store; the zero value is useful.
type Options struct {
	// Prefix precedes the name of every key and channel; empty for "tally".
	Prefix string
	// Secret is the key of the visitor hash. If empty, the stored one is used, or a new one
	// is made and stored.
	Secret []byte
	// RequireSecret makes it a conflict if neither the store nor Secret has a secret, for data
	// that would be worthless under a new one.
	RequireSecret bool
	// AllowEviction permits a Redis that evicts keys if memory is short.
	AllowEviction bool
	// Journal is the retention of the journal, which has the minute and source of each
	// contribution; at most [MaxJournal]. Zero keeps none.
	Journal time.Duration
	// History is how long the count of each day is kept, see [tally.ValidateHistory]; the count
	// of each hour is kept for 8 days. Zero records none.
	History time.Duration
	// TopInterval is how long changes are collected before an update of leaderboards; zero for
	// 1 s.
	TopInterval time.Duration
	// Intervals are how often an instance probes, sweeps and repairs.
	Intervals Intervals
	// ReplicaURL is a Redis close to this instance that replicates the store; empty for none. It is
	// redis:// or rediss://, see [Open]. Topics are followed there, and [Store.Near] reads there.
	ReplicaURL string
	// Timeout bounds operations without a deadline, and each command; zero for
	// [redistopology.Timeout]. Tests lengthen it, so that a busy machine does not fail them.
	Timeout time.Duration
	// RootCAs are trusted for rediss://; nil for those of the system.
	RootCAs *x509.CertPool
	// Logger gets transitions; nil for the default logger.
	Logger *slog.Logger
}

// MaxJournal bounds [Options.Journal]: each day of a journal is a key, and a script that deletes
// a topic gets all of these keys.
const MaxJournal = 90 * redistopology.Day

const (
	defaultPrefix = "tally"
	// defaultTopInterval combines the changes of a topic in a second to one update, and leaves
	// time to update leaderboards within the promised 2 s.
	defaultTopInterval = time.Second
)
