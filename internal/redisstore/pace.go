package redisstore

import (
	"cmp"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Intervals are the intervals of the regular commands of an instance. Zero values are the
// defaults. Tests shorten them.
type Intervals struct {
	// Busy is the least time between two probes: while somebody watches and changes are
	// frequent, or a node fails. Default: 1 s.
	Busy time.Duration
	// Watched is the time between two probes while somebody watches. If a subscription dies
	// silently, the instance notices after at most Watched + maxSilence, which must be less than
	// 10 s. Default: 5 s.
	Watched time.Duration
	// Idle is the time between two probes while nobody watches. Default: 1 min.
	Idle time.Duration
	// Sweep is how often watched topics are read again. Default: 50 s, since a minute is promised.
	Sweep time.Duration
	// PresenceSweep is the same for presence. If no other instance has shares, only the sweep
	// discovers that the shares of a lost instance expired. Default: 5 s.
	PresenceSweep time.Duration
	// Digest is how often an instance compares a digest of all settings with the last one, to
	// discover changes by an older release whose broadcast was lost. Default: 10 min.
	Digest time.Duration
	// Behind is how long, in addition to its lag, the replica may have an older state of a topic
	// than the one that is shown. Then the instance reads the primary. Default: 5 s.
	Behind time.Duration
	// Gains is how long changes are collected before gains are updated. Default: 3 s, so that
	// they are less than 5 s behind.
	Gains time.Duration
	// GainsWait is how long a reader waits while gains are computed. Default: [tally.GainWait].
	GainsWait time.Duration
	// Repair is the pause between two steps of a repair of leaderboards and directories. The
	// default is 2 s: a repair scans a million keys in half an hour, at a small cost for Redis.
	Repair time.Duration
	// RepairAgain is the time from a change to the next repair. Default: 30 min.
	RepairAgain time.Duration
}

func (i Intervals) withDefaults() Intervals {
	return Intervals{
		Busy:          cmp.Or(i.Busy, time.Second),
		Watched:       cmp.Or(i.Watched, 5*time.Second),
		Idle:          cmp.Or(i.Idle, time.Minute),
		Sweep:         cmp.Or(i.Sweep, 50*time.Second),
		PresenceSweep: cmp.Or(i.PresenceSweep, 5*time.Second),
		Digest:        cmp.Or(i.Digest, 10*time.Minute),
		Behind:        cmp.Or(i.Behind, 5*time.Second),
		Gains:         cmp.Or(i.Gains, 3*time.Second),
		GainsWait:     cmp.Or(i.GainsWait, tally.GainWait),
		Repair:        cmp.Or(i.Repair, 2*time.Second),
		RepairAgain:   cmp.Or(i.RepairAgain, 30*time.Minute),
	}
}

// busyChanges is the number of changes after a probe that makes the next probe due early. The cost
// of such probes is small in comparison with that of the changes.
const busyChanges = 4

// pace decides when a node is probed. It is safe for concurrent use.
type pace struct {
	intervals Intervals     // fixed
	soon      chan struct{} // holds a token if a probe is wanted early

	mu sync.Mutex
	// Guarded by mu.
	last    time.Time // when the last probe began
	changes int       // since then
	busy    bool      // whether there were busyChanges before it, so that the next one is early, too
	paused  bool      // whether nobody watched when it began
}

func newPace(intervals Intervals) *pace {
	return &pace{intervals: intervals, soon: make(chan struct{}, 1)}
}

// addChange counts a change of a topic of the node: one that was published, or written by this
// instance, since publications may not arrive.
func (p *pace) addChange() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes++; p.changes == busyChanges {
		notify(p.soon)
	}
}

// begin records that a probe begins.
func (p *pace) begin(watched bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = p.changes >= busyChanges
	p.last, p.changes, p.paused = time.Now(), 0, !watched
}

// wait returns the time until the next probe is due. The first probe after the last viewer left
// is not delayed, since it stores a heartbeat that lasts longer.
func (p *pace) wait(watched, failing, soon bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	interval := p.intervals.Watched
	switch {
	case soon, watched && (failing || p.busy || p.changes >= busyChanges):
		interval = p.intervals.Busy
	case !watched && !failing && p.paused:
		interval = p.intervals.Idle
	}
	return interval - time.Since(p.last)
}

// heartbeatTTL returns the lifetime of a probe's heartbeat, within which one later probe may fail.
func (n *node) heartbeatTTL() time.Duration {
	if n.isWatched() {
		return 4 * n.store.options.Intervals.Watched
	}
	return 5 * n.store.options.Intervals.Idle / 2
}
