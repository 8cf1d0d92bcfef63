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

// status is what is known of a node's health. It logs transitions, not events.
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
	journalSkipped      atomic.Int64
}

// Stats are what an operator counts, each since the start but for Watched, Nodes
// and Live.
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
	JournalSkipped      int64 // batches whose contributions are not in the journal, which was full
	Watched             int64 // topics followed now
	Nodes               int64 // primaries known now
	Live                bool  // no change can be missed now
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	nodes := s.fleet.chart().nodes
	watched, _ := s.homeless.size()
	for _, n := range nodes {
		its, _ := n.feed.size()
		watched += its
	}
	s.voice.mu.Lock()
	live := s.voice.live
	s.voice.mu.Unlock()
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
		JournalSkipped:      s.stats.journalSkipped.Load(),
		Watched:             watched,
		Nodes:               int64(len(nodes)),
		Live:                live,
	}
}

var _ tally.Instrumented = (*Store)(nil)

// Metrics implements [tally.Instrumented].
func (s *Store) Metrics() []tally.Metric {
	stats := s.Stats()
	live := 0.0
	if stats.Live {
		live = 1
	}
	all := []tally.Metric{
		{Name: "redis_reconnects_total", Counter: true, Help: "Subscriptions rebuilt after they had been live.", Value: float64(stats.Reconnects)},
		{Name: "redis_probes_lost_total", Counter: true, Help: "Of them, because what was published did not come back.", Value: float64(stats.ProbesLost)},
		{Name: "redis_reissues_total", Counter: true, Help: "Topics whose shown state was not the stored one.", Value: float64(stats.Reissues)},
		{Name: "redis_sweep_mismatches_total", Counter: true, Help: "Of them, found by the slow sweep.", Value: float64(stats.SweepMismatches)},
		{Name: "redis_publications_failed_total", Counter: true, Help: "Changes that were stored but that Redis refused to publish.", Value: float64(stats.PublicationsFailed)},
		{Name: "redis_script_reloads_total", Counter: true, Help: "Times that Redis had lost the scripts.", Value: float64(stats.ScriptReloads)},
		{Name: "redis_broadcasts_dropped_total", Counter: true, Help: "Messages between instances that were not sent.", Value: float64(stats.BroadcastsDropped)},
		{Name: "redis_payloads_unreadable_total", Counter: true, Help: "Publications on a topic's channel that are no frame of it.", Value: float64(stats.PayloadsUnreadable)},
		{Name: "redis_leaderboards_dropped_total", Counter: true, Help: "Changes that the leaderboards lack until the sweep.", Value: float64(stats.LeaderboardsDropped)},
		{Name: "redis_journal_skipped_total", Counter: true, Help: "Batches whose contributions are not in the journal, since it was full.", Value: float64(stats.JournalSkipped)},
		{Name: "redis_watched_topics", Help: "Topics followed now.", Value: float64(stats.Watched)},
		{Name: "redis_feed_live", Help: "1 while no change can be missed, else 0.", Value: live},
	}
	for _, n := range s.fleet.chart().nodes {
		up := 1.0
		if h := n.status.health(); !h.Reached || h.Err != nil || h.Conflict != nil {
			up = 0
		}
		all = append(all, tally.Metric{Name: "redis_node_usable", Label: "node", Of: n.addr,
			Help: "1 for each primary that can be used, else 0.", Value: up})
	}
	return all
}
