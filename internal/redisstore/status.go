package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

var errNotReached = errors.New("the store was not reached yet")

const (
	// A node that comes and goes is told of so often, and then once in so long.
	logBurst    = 3
	logInterval = 10 * time.Second
	// slowAnswer is what an operator should know of: a write takes two round trips and
	// must be answered within 3 s. slowProbes of them in a row are no accident.
	slowAnswer = 400 * time.Millisecond
	slowProbes = 3
)

// status is what is known of a node's health. It logs transitions, not events, and
// not all of those where there are many.
type status struct {
	log      *slog.Logger
	logLimit *rate.Limiter // of those that say that it cannot be used

	mu sync.Mutex
	// Guarded by mu.
	current       tally.Health
	loggedCause   string        // the kind of the cause for which it cannot be used, as logged; empty where it can
	lastRoundTrip time.Duration // until the last probe was answered
	slowInARow    int           // probes in a row that took slowAnswer or more
}

func newStatus(log *slog.Logger) status {
	return status{log: log, logLimit: rate.NewLimiter(rate.Every(logInterval), logBurst)}
}

func (s *status) health() tally.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	health := s.current
	if s.slowInARow >= slowProbes {
		health.Warnings = append(slices.Clone(health.Warnings), fmt.Sprintf("the store is slow: it took %s to answer", s.lastRoundTrip.Round(time.Millisecond)))
	}
	return health
}

// addRoundTrip notes how long a probe took to be answered, and logs where it begins and
// ends to be slow.
func (s *status) addRoundTrip(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRoundTrip = took
	if took < slowAnswer {
		if s.slowInARow >= slowProbes {
			s.log.Info("redis: no longer slow")
		}
		s.slowInARow = 0
		return
	}
	if s.slowInARow++; s.slowInARow == slowProbes {
		s.log.Warn("redis: slow, and so are likes and numbers", "round_trip", took.Round(time.Millisecond).String())
	}
}

// roundTrip returns how long the last probe took to be answered.
func (s *status) roundTrip() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastRoundTrip
}

// setUsable says that the store was found usable. Warnings are replaced.
func (s *status) setUsable(warnings []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current
	s.current = tally.Health{Reached: true, Warnings: warnings}
	if !before.Reached || s.loggedCause != "" {
		s.log.Info("redis: usable")
		s.loggedCause = ""
	}
	if !slices.Equal(before.Warnings, warnings) {
		for _, warning := range warnings {
			s.log.Warn("redis: " + warning)
		}
	}
}

// setFailed says why the store cannot be used now. It is logged where the store could
// be used before, and where the cause is of another kind.
func (s *status) setFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var conflict *conflictError
	if errors.As(err, &conflict) {
		if s.current.Conflict == nil || s.current.Conflict.Error() != err.Error() {
			s.log.Error("redis: refused, nothing is written until this is mended", "cause", err)
			s.loggedCause = causeKind(err)
		}
		s.current.Conflict, s.current.Err = err, nil
		return
	}
	if kind := causeKind(err); kind != s.loggedCause && s.logLimit.Allow() {
		s.log.Error("redis: cannot be used", "cause", err)
		s.loggedCause = kind
	}
	s.current.Err = err
}

// causeKind returns what is the same of causes that need not be told twice: how Redis
// begins its answer, or that there was none.
func causeKind(err error) string {
	var answered redis.Error
	var late *redistopology.NotReplicatedError
	var conflict *conflictError
	switch {
	case errors.As(err, &conflict):
		return "conflict"
	case errors.As(err, &late):
		return "replicas"
	case errors.As(err, &answered):
		kind, _, _ := strings.Cut(answered.Error(), " ")
		return kind
	}
	return "no answer"
}

// counters count since the start.
type counters struct {
	reconnects          atomic.Int64
	probesLost          atomic.Int64
	reissues            atomic.Int64
	sweepMismatches     atomic.Int64
	publicationsFailed  atomic.Int64
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
	nodes := s.nodes()
	watched, _ := s.unassigned.status()
	for _, n := range nodes {
		its, _ := n.feed.status()
		watched += its
	}
	s.liveState.mu.Lock()
	live := s.liveState.live
	s.liveState.mu.Unlock()
	return Stats{
		Reconnects:          s.stats.reconnects.Load(),
		ProbesLost:          s.stats.probesLost.Load(),
		Reissues:            s.stats.reissues.Load(),
		SweepMismatches:     s.stats.sweepMismatches.Load(),
		PublicationsFailed:  s.stats.publicationsFailed.Load(),
		ScriptReloads:       s.topology.ScriptReloads(),
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
func (s *Store) Metrics() []tally.Sample {
	stats := s.Stats()
	live := 0.0
	if stats.Live {
		live = 1
	}
	all := []tally.Sample{
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
	for _, n := range s.nodes() {
		up := 1.0
		if h := n.status.health(); !h.Reached || h.Err != nil || h.Conflict != nil {
			up = 0
		}
		all = append(all, tally.Sample{Name: "redis_node_usable", Label: "node", LabelValue: n.Addr,
			Help: "1 for each primary that can be used, else 0.", Value: up},
			tally.Sample{Name: "redis_round_trip_seconds", Label: "node", LabelValue: n.Addr,
				Help: "How long each primary took to answer the last probe.", Value: n.status.roundTrip().Seconds()})
	}
	return all
}
