package redisstore

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tallycast/tallycast/internal/tally"
)

var errNotReached = errors.New("the store was not reached yet")

// status is what is known of the store's health. It logs transitions, not events.
type status struct {
	log *slog.Logger

	mu      sync.Mutex
	current tally.Health // guarded by mu
}

func (s *status) health() tally.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// good says that the store was found usable. Warnings are replaced.
func (s *status) good(warnings []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current
	s.current = tally.Health{Reached: true, Warnings: warnings}
	if !before.Reached || before.Err != nil || before.Conflict != nil {
		s.log.Info("redis: usable")
	}
	if !slices.Equal(before.Warnings, warnings) {
		for _, warning := range warnings {
			s.log.Warn("redis: " + warning)
		}
	}
}

// bad says why the store cannot be used now. It is logged where the store could
// be used before, and where it was never reached, when the reason is another.
func (s *status) bad(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var conflict *conflictError
	if errors.As(err, &conflict) {
		if s.current.Conflict == nil || s.current.Conflict.Error() != err.Error() {
			s.log.Error("redis: refused, nothing is written until this is mended", "cause", err)
		}
		s.current.Conflict, s.current.Err = err, nil
		return
	}
	if s.current.Err == nil {
		s.log.Error("redis: cannot be used", "cause", err)
	}
	s.current.Err = err
}

// counters count since the start.
type counters struct {
	reconnects          atomic.Int64
	probesLost          atomic.Int64
	reissues            atomic.Int64
	sweepMismatches     atomic.Int64
	publicationsFailed  atomic.Int64
	scriptReloads       atomic.Int64
	broadcastsDropped   atomic.Int64
	payloadsUnreadable  atomic.Int64
	leaderboardsDropped atomic.Int64
}

// Stats are what an operator counts, each since the start but for Watched and Live.
type Stats struct {
	Reconnects          int64 // subscriptions rebuilt after they had been live
	ProbesLost          int64 // of them, because the store published but nothing arrived, or hung
	Reissues            int64 // topics whose held state was not what is stored
	SweepMismatches     int64 // of them, found by the slow sweep
	PublicationsFailed  int64 // changes that were stored but Redis refused to publish
	ScriptReloads       int64 // Redis had lost the scripts
	BroadcastsDropped   int64 // the queue was full, or Redis away
	PayloadsUnreadable  int64 // publications on a topic's channel that are no frame of it
	LeaderboardsDropped int64 // changes not gathered for leaderboards, which were full
	Watched             int64 // topics followed now
	Live                bool  // no change can be missed now
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	watched, live := s.feed.size()
	return Stats{
		Reconnects:          s.stats.reconnects.Load(),
		ProbesLost:          s.stats.probesLost.Load(),
		Reissues:            s.stats.reissues.Load(),
		SweepMismatches:     s.stats.sweepMismatches.Load(),
		PublicationsFailed:  s.stats.publicationsFailed.Load(),
		ScriptReloads:       s.stats.scriptReloads.Load(),
		BroadcastsDropped:   s.stats.broadcastsDropped.Load(),
		PayloadsUnreadable:  s.stats.payloadsUnreadable.Load(),
		LeaderboardsDropped: s.stats.leaderboardsDropped.Load(),
		Watched:             watched,
		Live:                live,
	}
}
