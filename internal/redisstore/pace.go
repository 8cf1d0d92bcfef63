package redisstore

import (
	"cmp"
	"sync"
	"time"
)

// Intervals are how often an instance sends what it sends without being asked. Zero values
// are the defaults. Tests shorten them.
type Intervals struct {
	// Busy is the least time between two probes: while somebody watches and changes are
	// frequent, or a node fails. Default: 1 s.
	Busy time.Duration
	// Watched is the time between two probes while somebody watches. A subscription that dies
	// silently is noticed after it and maxSilence, which is less than 10 s. Default: 5 s.
	Watched time.Duration
	// Idle is the time between two probes while nobody watches. Default: 1 min.
	Idle time.Duration
	// Sweep is how often watched topics are read again. Default: 50 s, to keep the promise of a
	// minute.
	Sweep time.Duration
	// PresenceSweep is the same for presence: only the sweep notices that the shares of a lost
	// instance expired, if no other instance has shares. Default: 5 s.
	PresenceSweep time.Duration
	// Repair is the pause between two steps of a repair of leaderboards and directories: it
	// scans a million keys in half an hour, at a small cost for Redis. Default: 2 s.
	Repair time.Duration
	// RepairAgain is how long after changes another repair begins. Default: 30 min.
	RepairAgain time.Duration
}

func (i Intervals) withDefaults() Intervals {
	return Intervals{
		Busy:          cmp.Or(i.Busy, time.Second),
		Watched:       cmp.Or(i.Watched, 5*time.Second),
		Idle:          cmp.Or(i.Idle, time.Minute),
		Sweep:         cmp.Or(i.Sweep, 50*time.Second),
		PresenceSweep: cmp.Or(i.PresenceSweep, 5*time.Second),
		Repair:        cmp.Or(i.Repair, 2*time.Second),
		RepairAgain:   cmp.Or(i.RepairAgain, 30*time.Minute),
	}
}

// busyChanges is how many changes between two probes make the next one due early: probes then
// cost a small part of what the changes cost.
const busyChanges = 4

// pace decides when a node is probed. It is safe for concurrent use.
type pace struct {
	intervals Intervals     // fixed
	soon      chan struct{} // holds a token if a probe is wanted early

	mu sync.Mutex
	// Guarded by mu.
	last    time.Time // when the last probe began
	changes int       // since then
	busy    bool      // there were busyChanges before it: it may be the last that arrives
	paused  bool      // it began while nobody watched
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

// wait returns for how long the next probe waits. The first after the last viewer left is not
// delayed, since its heartbeat lasts longer.
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

// heartbeatTTL returns how long a heartbeat lasts that a probe carries: one probe may fail.
func (n *node) heartbeatTTL() time.Duration {
	if n.feed.isWatched() {
		return 4 * n.store.options.Intervals.Watched
	}
	return 5 * n.store.options.Intervals.Idle / 2
}
