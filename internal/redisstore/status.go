package redisstore

import (
	"context"
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
	// logBurst is how many failures of a node are logged at once; then one in logInterval.
	logBurst    = 3
	logInterval = 10 * time.Second
	// A store is slow if slowProbes in a row take slowRoundTrip or longer: a write takes two
	// round trips and must be answered within 3 s.
	slowRoundTrip = 400 * time.Millisecond
	slowProbes    = 3
)

// status is a node's health. It logs transitions, at a limited rate.
type status struct {
	// Fixed after newStatus.
	log      *slog.Logger
	messages messages
	logLimit *rate.Limiter // for failures

	mu sync.Mutex
	// Guarded by mu.
	current       tally.Health
	loggedCause   string        // see causeKind: of the last logged failure; empty if the node is usable
	lastRoundTrip time.Duration // of the last probe
	slowInARow    int           // slow probes in a row
}

// messages are what is logged when a node becomes usable and when it fails.
type messages struct {
	usable, failed string
	level          slog.Level // of failed
	firstOnly      bool       // whether only the first failure of several kinds is logged
}

var (
	primaryMessages = messages{usable: "redis: usable", failed: "redis: cannot be used", level: slog.LevelError}
	replicaMessages = messages{
		usable: "redis: numbers are read and followed at the replica",
		failed: "redis: the replica cannot be used, the primary serves instead", level: slog.LevelWarn, firstOnly: true,
	}
)

func newStatus(log *slog.Logger, m messages) status {
	return status{log: log, messages: m, logLimit: rate.NewLimiter(rate.Every(logInterval), logBurst)}
}

func (s *status) health() tally.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	health := s.current
	if s.slowInARow >= slowProbes {
		health.Warnings = append(slices.Clone(health.Warnings), fmt.Sprintf("the store is slow: it answers after %s", s.lastRoundTrip.Round(time.Millisecond)))
	}
	return health
}

// addRoundTrip stores the round trip of a probe and logs when the node becomes slow, and
// when it no longer is.
func (s *status) addRoundTrip(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRoundTrip = took
	if took < slowRoundTrip {
		if s.slowInARow >= slowProbes {
			s.log.Info("redis: no longer slow")
		}
		s.slowInARow = 0
		return
	}
	if s.slowInARow++; s.slowInARow == slowProbes {
		s.log.Warn("redis: slow; likes and numbers are delayed", "round_trip", took.Round(time.Millisecond).String())
	}
}

// roundTrip returns the round trip of the last probe.
func (s *status) roundTrip() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastRoundTrip
}

// setUsable records that the node is usable, and replaces the warnings.
func (s *status) setUsable(warnings []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current
	s.current = tally.Health{Reached: true, Warnings: warnings}
	if !before.Reached || s.loggedCause != "" {
		s.log.Info(s.messages.usable)
		s.loggedCause = ""
	}
	if !slices.Equal(before.Warnings, warnings) {
		for _, warning := range warnings {
			s.log.Warn("redis: " + warning)
		}
	}
}

// setFailed records why the node cannot be used. It logs the error if the node was usable, or the
// kind of the cause is another one.
func (s *status) setFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.As(err, new(*conflictError)) {
		if s.current.Conflict == nil || s.current.Conflict.Error() != err.Error() {
			s.log.Error("redis: conflict, nothing is written until it is resolved", "cause", err)
			s.loggedCause = causeKind(err)
		}
		s.current.Conflict, s.current.Err = err, nil
		return
	}
	kind := causeKind(err)
	if s.messages.firstOnly && s.loggedCause != "" {
		kind = s.loggedCause
	}
	if kind != s.loggedCause && s.logLimit.Allow() {
		s.log.Log(context.Background(), s.messages.level, s.messages.failed, "cause", err)
		s.loggedCause = kind
	}
	s.current.Err = err
}

// causeKind returns the kind of a cause: the first word of Redis's answer, or that there was no
// answer. Of failures of one kind only the first is logged.
func causeKind(err error) string {
	var answered redis.Error
	switch {
	case errors.As(err, new(*conflictError)):
		return "conflict"
	case errors.As(err, new(*redistopology.NotReplicatedError)):
		return "replicas"
	case errors.As(err, &answered):
		kind, _, _ := strings.Cut(answered.Error(), " ")
		return kind
	}
	return "no answer"
}

// commandCounts counts the commands that were sent, by name.
type commandCounts struct{ byName sync.Map } // string to *atomic.Int64

// count counts a command. It is called with the names of a fixed set.
func (c *commandCounts) count(name string) {
	counter, ok := c.byName.Load(name)
	if !ok {
		counter, _ = c.byName.LoadOrStore(name, new(atomic.Int64))
	}
	counter.(*atomic.Int64).Add(1)
}

// samples returns a sample of each command.
func (c *commandCounts) samples() (samples []tally.Sample) {
	c.byName.Range(func(name, n any) bool {
		samples = append(samples, tally.Sample{Name: "redis_commands_total", Counter: true, Label: "command", LabelValue: name.(string),
			Help: "Commands that were sent to Redis, as hosted services bill them: a script is one.", Value: float64(n.(*atomic.Int64).Load())})
		return true
	})
	slices.SortFunc(samples, func(a, b tally.Sample) int { return strings.Compare(a.LabelValue, b.LabelValue) })
	return samples
}

// counters are the counters of [Store.Metrics].
type counters struct {
	reconnects         atomic.Int64
	probesLost         atomic.Int64
	reissues           atomic.Int64
	sweepMismatches    atomic.Int64
	publicationsFailed atomic.Int64
	broadcastsDropped  atomic.Int64
	payloadsUnreadable atomic.Int64
	roundTrips         tally.Histogram // of pipelines of all nodes
	journalSkipped     atomic.Int64
	commands           commandCounts
}

var _ tally.Instrumented = (*Store)(nil)

// Metrics implements [tally.Instrumented].
func (s *Store) Metrics() []tally.Sample {
	nodes := s.nodes()
	watched, _ := s.unassigned.status()
	for _, n := range nodes {
		topics, _ := n.feed.status()
		watched += topics
	}
	if s.replica != nil {
		topics, _ := s.replica.node.feed.status()
		watched += topics
	}
	live := 0.0
	if s.isLive() {
		live = 1
	}
	counter := func(name, help string, value int64) tally.Sample {
		return tally.Sample{Name: name, Counter: true, Help: help, Value: float64(value)}
	}
	all := []tally.Sample{
		counter("redis_reconnects_total", "Subscriptions that were rebuilt after they had been live.", s.stats.reconnects.Load()),
		counter("redis_probes_lost_total", "Reconnects because probes were published but not received.", s.stats.probesLost.Load()),
		counter("redis_reissues_total", "Topics that were reissued because another state than the stored one was shown.", s.stats.reissues.Load()),
		counter("redis_sweep_mismatches_total", "Reissues of the background sweep.", s.stats.sweepMismatches.Load()),
		counter("redis_publications_failed_total", "Changes that were stored but that Redis refused to publish.", s.stats.publicationsFailed.Load()),
		counter("redis_script_reloads_total", "Times that Redis had lost the scripts.", s.topology.ScriptReloads()),
		counter("redis_broadcasts_dropped_total", "Messages between instances that were not sent.", s.stats.broadcastsDropped.Load()),
		counter("redis_payloads_unreadable_total", "Publications on a topic's channel that are no frame of it.", s.stats.payloadsUnreadable.Load()),
		counter("redis_leaderboards_dropped_total", "Changes that leaderboards lack until the background sweep.", s.ranks.dropped.Load()),
		counter("redis_journal_skipped_total", "Batches whose contributions are not in the journal because it was full.", s.stats.journalSkipped.Load()),
		{Name: "redis_round_trip_duration_seconds", Help: "Round trip of a pipeline of commands, with the wait for a connection and for replicas.", Histogram: &s.stats.roundTrips},
		{Name: "redis_watched_topics", Help: "Watched topics.", Value: float64(watched)},
		{Name: "redis_feed_live", Help: "1 if no change can be missed, else 0.", Value: live},
	}
	if s.replica != nil {
		all = append(all, s.replica.samples()...)
	}
	all = append(all, s.stats.commands.samples()...)
	for _, n := range nodes {
		up := 1.0
		if h := n.status.health(); !h.Reached || h.Err != nil || h.Conflict != nil {
			up = 0
		}
		all = append(all, tally.Sample{Name: "redis_node_usable", Label: "node", LabelValue: n.Addr,
			Help: "1 if the primary is usable, else 0.", Value: up},
			tally.Sample{Name: "redis_round_trip_seconds", Label: "node", LabelValue: n.Addr,
				Help: "Round trip of the last probe of the primary.", Value: n.status.roundTrip().Seconds()})
	}
	return all
}
