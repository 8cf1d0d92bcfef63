package hub

import (
	"context"
	"sync"
	"time"
)

const (
	// chunkSize is how many viewers are written to before the inbox is looked at
	// again, so that a large fan-out delays other topics by little.
	chunkSize = 128
	// tickInterval is how often blocked viewers are looked at.
	tickInterval = 100 * time.Millisecond
	// maxPendingLive bounds the live events that a viewer is owed.
	maxPendingLive = 1 << 10
	// maxBackoff bounds the wait of a blocked viewer: 2^3 ticks.
	maxBackoff = 3
	// beatInterval is after how many seconds of silence a viewer gets a beat: less
	// than the minute after which proxies cut what is idle.
	beatInterval = 25
)

// command is what others ask of a shard.
type command struct {
	kind   kind
	reason Reason
	viewer *Viewer
	topics []*topic
	bytes  []byte
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

// inbox is what waits for a shard. Lists are in it once at most, and a viewer's
// commands are bounded by what push lets its client say.
type inbox struct {
	commands []command
	changed  []*subscribers
}

// shard owns a part of the viewers: their subscriptions, all writes, closing.
type shard struct {
	hub   *Hub
	index int
	wake  chan struct{} // holds one when the inbox may have something

	mu       sync.Mutex
	inbox    inbox
	hasEnded bool // run has returned: what it owned is guarded by mu

	// Owned by the goroutine in run.
	spare      inbox     // the inbox that was emptied last, to be filled again
	viewers    []*Viewer // all that joined
	dirty      []*Viewer // to be served, in order, from served on
	served     int
	blocked    []*Viewer // some may be blocked no more
	schedule   schedule  // lists with a newer value that is not due yet
	stale      bool
	cost       int64 // of a delivery, in nanoseconds, smoothed
	buffer     []byte
	parts      []part
	seconds    uint32 // the shard's time when the present chunk began
	lastTick   int64  // when blocked viewers were looked at, in ticks
	lastSecond int64  // when viewers were last looked through, in seconds

	// Not yet in the hub's stats: frames and bytes; frames that are no snapshots, and
	// the sum of when their changes were heard.
	delivered, written, lagging, receivedSum int64
}

func newShard(h *Hub, index int) *shard {
	return &shard{hub: h, index: index, wake: make(chan struct{}, 1)}
}

// now returns the time of the hub: nanoseconds since it was made.
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

// discardLocked closes a viewer that joins after the end.
func (s *shard) discardLocked(c *command) {
	s.releaseTopics(c)
	if c.kind == join {
		s.remove(c.viewer, ReasonDraining)
	}
}

func (s *shard) sendChanged(l *subscribers) {
	s.mu.Lock()
	s.inbox.changed = append(s.inbox.changed, l)
	s.mu.Unlock()
	s.notify()
}

func (s *shard) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run serves the shard until ctx ends.
func (s *shard) run(ctx context.Context) {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		now := s.now()
		s.processInbox(now)
		s.flushDue(now)
		s.checkViewers(now)
		if s.serveChunk() {
			continue
		}
		timer.Reset(s.idle(now))
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
			s.shutdown()
			return
		}
	}
}

// shutdown closes the viewers that are left, and lets send close those that come.
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

// idle returns how long nothing needs to be done.
func (s *shard) idle(now int64) time.Duration {
	wait := int64(time.Second) - now%int64(time.Second)
	if len(s.blocked) > 0 {
		wait = min(wait, int64(tickInterval)-now%int64(tickInterval))
	}
	if len(s.schedule) > 0 {
		wait = min(wait, s.schedule[0].due-now)
	}
	return time.Duration(max(wait, 0))
}

// processInbox carries out what is in the inbox. Changes come first: what is settled is
// released before a viewer is told that numbers are live.
func (s *shard) processInbox(now int64) {
	s.mu.Lock()
	in := s.inbox
	s.inbox = inbox{s.spare.commands[:0], s.spare.changed[:0]}
	s.mu.Unlock()
	for _, l := range in.changed {
		l.isQueued.Store(false)
		s.handleChange(l, now)
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
	case v.is(closed):
		s.releaseTopics(c)
		return
	case v.is(closing) && c.kind != join:
		// Its last word is on the way, or it never joined: what comes ends it.
		s.releaseTopics(c)
		return
	case c.kind == leave && v.is(joined):
		s.remove(v, c.reason)
		return
	}
	switch c.kind {
	case join:
		v.set(joined)
		v.index = int32(len(s.viewers))
		v.lastProgress = uint32(s.now() / int64(time.Second))
		s.viewers = append(s.viewers, v)
		s.hub.stats.viewers.Add(1)
		v.private = append(c.bytes, v.private...)
	case subscribe:
		s.subscribe(v, c.topics)
	case unsubscribe:
		s.unsubscribe(v, c.topics)
		return
	case send:
		v.private = append(v.private, c.bytes...)
	case finish, leave:
		v.private = append(v.private, c.bytes...)
		v.closeReason = c.reason
		v.set(closing)
		if v.is(blocked) {
			s.remove(v, c.reason)
			return
		}
	}
	if len(v.private) > maxPrivate && v.is(joined) {
		s.remove(v, ReasonOverflow)
		return
	}
	s.markDirty(v)
}

// remove takes v out of the shard and closes its connection. One that is already
// gone is passed over.
func (s *shard) remove(v *Viewer, reason Reason) {
	if v.is(closed) {
		return
	}
	v.set(closed)
	for _, sub := range v.subscriptions {
		s.unlink(sub)
	}
	v.subscriptions, v.sentBefore, v.rest, v.private = nil, nil, nil, nil
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

// checkViewers does once a tick, and once a second, what is due then: blocked viewers are
// tried again, silent ones get a beat, stuck ones are closed.
func (s *shard) checkViewers(now int64) {
	if ticks := now / int64(tickInterval); ticks != s.lastTick {
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
	seconds := now / int64(time.Second)
	if seconds == s.lastSecond {
		return
	}
	s.lastSecond = seconds
	patience := int32(s.hub.options.WriteTimeout / time.Second)
	for i := len(s.viewers) - 1; i >= 0; i-- {
		v := s.viewers[i]
		silence := int32(uint32(seconds) - v.lastProgress) // below 0 for who joined since
		switch {
		case v.is(blocked) && silence >= patience:
			s.remove(v, ReasonWriteTimeout)
		case !v.is(blocked) && silence >= beatInterval:
			v.set(needsBeat)
			s.markDirty(v)
		}
	}
}
