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
	// RequireSecret makes it a conflict if neither the store nor Secret has a secret, for
	// data that is worthless under a new one.
	RequireSecret bool
	// AllowEviction permits a Redis that evicts any key when memory is short.
	AllowEviction bool
	// Journal is how long contributions are kept with minute and source, so that a spike can
	// be reverted; at most [MaxJournal]. Zero keeps none.
	Journal time.Duration
	// History is how long the count of each day is kept, see [tally.ValidateHistory]; the count
	// of each hour is kept for [tally.HourRetention]. Zero records none.
	History time.Duration
	// TopInterval is how long changes are collected before leaderboards are updated; zero
	// for 1 s.
	TopInterval time.Duration
	// Intervals are how often an instance probes, sweeps and repairs.
	Intervals Intervals
	// ReplicaURL is a Redis close to this instance that replicates the store; empty for none. It is
	// redis:// or rediss://, see [Open]. Topics are followed there, and [Store.Near] reads there.
	ReplicaURL string
	// RootCAs are trusted for rediss://; nil for those of the system.
	RootCAs *x509.CertPool
	// Logger gets transitions; nil for the default logger.
	Logger *slog.Logger
}

// MaxJournal bounds [Options.Journal]: each day of a journal is a key, and scripts that
// delete a topic name all of them.
const MaxJournal = 90 * redistopology.Day

const (
	defaultPrefix = "tally"
	// defaultTopInterval makes any number of changes of a topic one update a second, and
	// leaves time to update leaderboards within the promised 2 s.
	defaultTopInterval = time.Second

	// timeout bounds operations without a deadline.
	timeout = redistopology.Timeout
)
