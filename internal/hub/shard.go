package hub

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// chunkSize is how many viewers a shard writes to before it reads its inbox again, so
	// that a topic with many viewers hardly delays the others.
	chunkSize = 128
	// tickInterval is how often a shard retries blocked viewers.
	tickInterval = 100 * time.Millisecond
	// maxPendingLive bounds the pending live events of a viewer.
	maxPendingLive = 1 << 10
	// maxBackoff bounds the wait of a blocked viewer to 2^3 ticks.
	maxBackoff = 3
	// noChange is later than every change.
	noChange = math.MaxInt64
	// beatInterval is the number of seconds without a frame after which a viewer gets a beat:
	// well below the minute after which proxies close idle connections.
	beatInterval = 25
)

// command is a request to a shard.
type command struct {
	kind   kind
	reason Reason
	viewer *Viewer
	topics []*topic
	bytes  []byte
	change tally.Change // of send: the state in an answer to an assertion, or the zero Change
}

type kind uint8

const (
	join kind = iota
	subscribe
	unsubscribe
	send
	finish
	leave
	goStale
	goLive
)

// inbox holds the requests to a shard. It is bounded: each subscribers value is in it at most
// once, [Hub.Send] bounds the frames of a viewer, and package push the other commands.
type inbox struct {
	commands []command
	changed  []*subscribers
}

// shard owns some of the viewers: their subscriptions, all writes, and closing them.
type shard struct {
	hub   *Hub
	index int
	wake  chan struct{} // holds one value when the inbox may have something

	mu       sync.Mutex
	inbox    inbox
	hasEnded bool // run has returned, and mu guards what it owned

	// Owned by the goroutine in run.
	spare      inbox     // the previous inbox, empty, to be used again
	viewers    []*Viewer // all that joined
	dirty      []*Viewer // to be served in this order, beginning at served
	served     int
	blocked    []*Viewer    // may contain viewers that are blocked no more
	schedule   schedule     // topics with a newer value that is not due yet
	held       []heldViewer // by until
	stale      bool
	cost       int64 // of a delivery, in nanoseconds, smoothed
	buffer     []byte
	frame      []byte // of one change, before it is encoded into buffer
	parts      []part
	seconds    uint32 // the hub's time at the start of the present chunk
	lastTick   int64  // when retryBlocked last ran, in ticks
	lastSecond int64  // when checkSilent last ran, in seconds

	// Since the last update of the hub's stats, as there. receivedSum is the sum of the times
	// when the changes of lagging were received.
	delivered, written, lagging, receivedSum int64
	// oldest is when the oldest of these changes was received, or noChange. Frames to blocked
	// viewers do not count: the network delays them.
	oldest int64
}

// heldViewer is a viewer with changes that wait for the answer to an assertion.
type heldViewer struct {
	viewer *Viewer
	until  int64 // in the hub's time
}

func newShard(h *Hub, index int) *shard {
	return &shard{hub: h, index: index, wake: make(chan struct{}, 1), oldest: noChange}
}

// now returns the hub's time.
func (s *shard) now() int64 { return s.hub.now() }

func (s *shard) send(c command) {
	s.mu.Lock()
	if s.hasEnded {
		s.discardLocked(&c)
	} else {
		s.inbox.commands = append(s.inbox.commands, c)
	}
	s.mu.Unlock()
	s.notify()
}

// discardLocked discards a command that the shard does not execute any more. It closes a
// viewer that joins.
func (s *shard) discardLocked(c *command) {
	s.releaseTopics(c)
	if c.kind == join {
		s.remove(c.viewer, ReasonDraining)
	}
}

func (s *shard) sendChanged(subs *subscribers) {
	s.mu.Lock()
	s.inbox.changed = append(s.inbox.changed, subs)
	s.mu.Unlock()
	s.notify()
}

func (s *shard) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run serves the viewers until ctx ends.
func (s *shard) run(ctx context.Context) {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		now := s.now()
		s.processInbox(now)
		s.flushDue(now)
		s.serveHeld(now)
		s.retryBlocked(now)
		s.checkSilent(now)
		if s.serveChunk() {
			continue
		}
		timer.Reset(s.idleTime(now))
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
			s.shutdown()
			return
		}
	}
}

// shutdown closes all viewers. After it send closes viewers that join.
func (s *shard) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hasEnded = true
	for i := range s.inbox.commands {
		s.discardLocked(&s.inbox.commands[i])
	}
	s.inbox = inbox{}
	for len(s.viewers) > 0 {
		s.remove(s.viewers[len(s.viewers)-1], ReasonDraining)
	}
}

// idleTime returns how long the shard has nothing to do.
func (s *shard) idleTime(now int64) time.Duration {
	wait := int64(time.Second) - now%int64(time.Second)
	if len(s.blocked) > 0 {
		wait = min(wait, int64(tickInterval)-now%int64(tickInterval))
	}
	if len(s.schedule) > 0 {
		wait = min(wait, s.schedule[0].due-now)
	}
	if len(s.held) > 0 {
		wait = min(wait, s.held[0].until-now)
	}
	return time.Duration(max(wait, 0))
}

// processInbox handles the changes and then the commands in the inbox. In this order a
// viewer gets the settled values before live.
func (s *shard) processInbox(now int64) {
	s.mu.Lock()
	in := s.inbox
	s.inbox = inbox{s.spare.commands[:0], s.spare.changed[:0]}
	s.mu.Unlock()
	for _, subs := range in.changed {
		subs.isQueued.Store(false)
		s.handleChange(subs, now)
	}
	for i := range in.commands {
		s.execute(&in.commands[i])
	}
	clear(in.commands)
	clear(in.changed)
	s.spare = in
}

func (s *shard) execute(c *command) {
	v := c.viewer
	switch c.kind {
	case send:
		v.inInbox.Add(-int64(len(c.bytes)))
	case goStale:
		s.stale = true
		s.markAllDirty()
		return
	case goLive:
		s.stale = false
		s.flushScheduled()
		s.markAllDirty()
		return
	}
	switch {
	case v.is(closed), v.is(closing) && c.kind != join:
		s.releaseTopics(c)
		return
	case c.kind == leave && v.is(joined):
		s.remove(v, c.reason)
		return
	}
	if c.kind != send {
		v.unsent = allSlots
	}
	switch c.kind {
	case join:
		v.set(joined)
		v.index = int32(len(s.viewers))
		v.lastProgress = uint32(s.now() / int64(time.Second))
		s.viewers = append(s.viewers, v)
		s.hub.stats.viewers.Add(1)
		v.pending = append(c.bytes, v.pending...)
	case subscribe:
		s.subscribe(v, c.topics)
	case unsubscribe:
		s.unsubscribe(v, c.topics) // the rest may be complete, and v live
	case send:
		if v.pending == nil {
			v.pending = c.bytes
		} else {
			v.pending = append(v.pending, c.bytes...)
		}
		s.takeAnswered(c.change)
	case finish, leave:
		v.pending = append(v.pending, c.bytes...)
		v.closeReason = c.reason
		v.set(closing)
		if v.is(blocked) {
			s.remove(v, c.reason)
			return
		}
	}
	if len(v.pending) > maxPending && v.is(joined) {
		s.remove(v, ReasonOverflow)
		return
	}
	s.markDirty(v)
}

// remove removes v from the shard and closes its connection, unless it is closed.
func (s *shard) remove(v *Viewer, reason Reason) {
	if v.is(closed) {
		return
	}
	v.set(closed)
	for _, sub := range v.subscriptions {
		s.unlink(sub)
	}
	v.subscriptions, v.sentBefore, v.pending = nil, nil, nil
	if v.is(joined) {
		last := len(s.viewers) - 1
		s.viewers[v.index] = s.viewers[last]
		s.viewers[v.index].index = v.index
		s.viewers[last] = nil
		s.viewers = s.viewers[:last]
		s.hub.stats.viewers.Add(-1)
	}
	s.hub.stats.closed[reason].Add(1)
	v.conn.Close(reason)
}

// retryBlocked makes blocked viewers dirty after their backoff. It does so once a tick.
func (s *shard) retryBlocked(now int64) {
	ticks := now / int64(tickInterval)
	if ticks == s.lastTick {
		return
	}
	s.lastTick = ticks
	still := s.blocked[:0]
	for _, v := range s.blocked {
		if v.is(closed) || !v.is(blocked) {
			v.unset(inBlockedList)
			continue
		}
		still = append(still, v)
		if int64(v.retry) <= ticks {
			s.addDirty(v)
		}
	}
	clear(s.blocked[len(still):])
	s.blocked = still
}

// checkSilent, once a second, closes the viewers that accepted nothing for the write timeout,
// and sends a beat to those that were sent nothing for beatInterval.
func (s *shard) checkSilent(now int64) {
	seconds := now / int64(time.Second)
	if seconds == s.lastSecond {
		return
	}
	s.lastSecond = seconds
	timeout := int32(s.hub.options.WriteTimeout / time.Second)
	for i := len(s.viewers) - 1; i >= 0; i-- {
		v := s.viewers[i]
		silence := int32(uint32(seconds) - v.lastProgress) // below 0 for viewers that joined since
		switch {
		case v.is(blocked) && silence >= timeout:
			s.remove(v, ReasonWriteTimeout)
		case !v.is(blocked) && silence >= beatInterval:
			v.set(needsBeat)
			s.markDirty(v)
		}
	}
}
