package hub

import (
	"container/heap"
	"errors"
	"time"
)

// maxWrite is how much is put together for one write, in bytes. A viewer that
// needs more has its turn again after the others.
const maxWrite = 16 << 10

const (
	// costWindow is over how many deliveries the cost of one is smoothed.
	costWindow = 1024
	// perceptibleLag is how old a number may be on a screen while nobody sees it lag.
	perceptibleLag = 120 * time.Millisecond
	// minCost is what a delivery may seem to cost from a standing start.
	minCost = 20 * time.Microsecond
)

// handleChange takes up that the topic of l has another value: it is released at once,
// or scheduled where the last one was released too recently.
func (s *shard) handleChange(l *subscribers, now int64) {
	switch {
	case len(l.entries) == 0 || l.heapIndex != notScheduled || l.topic.newest.Load() == l.flushed:
	case l.due <= now || l.flushed == nil:
		s.flush(l, now)
	default:
		heap.Push(&s.schedule, l)
	}
}

// flush lets the subscribers of l have the newest value.
func (s *shard) flush(l *subscribers, now int64) {
	l.flushed = l.topic.newest.Load()
	for _, sub := range l.entries {
		s.markDirty(sub.viewer)
	}
	// Of the time, four times what all that waits will take leaves three quarters to
	// others. Where that would be noticed, twice leaves half of it.
	work := s.cost * int64(len(s.dirty)-s.served)
	l.due = now + max(int64(s.hub.options.FlushInterval), 2*work, min(4*work, int64(perceptibleLag)))
}

func (s *shard) flushDue(now int64) {
	for len(s.schedule) > 0 && s.schedule[0].due <= now {
		s.flush(heap.Pop(&s.schedule).(*subscribers), now)
	}
}

// flushScheduled releases what is scheduled, due or not.
func (s *shard) flushScheduled() {
	now := s.now()
	for len(s.schedule) > 0 {
		s.flush(heap.Pop(&s.schedule).(*subscribers), now)
	}
}

// markDirty has v served. One that is blocked is served when it is tried again.
func (s *shard) markDirty(v *Viewer) {
	if !v.is(blocked) {
		s.addDirty(v)
	}
}

func (s *shard) addDirty(v *Viewer) {
	if !v.is(queuedDirty) {
		v.set(queuedDirty)
		s.dirty = append(s.dirty, v)
	}
}

func (s *shard) markAllDirty() {
	for _, v := range s.viewers {
		s.markDirty(v)
	}
}

// serveChunk serves the next viewers of the dirty list; false if there are none.
func (s *shard) serveChunk() bool {
	todo := s.dirty[s.served:min(s.served+chunkSize, len(s.dirty))]
	if len(todo) == 0 {
		return false
	}
	began := s.now()
	s.seconds = uint32(began / int64(time.Second))
	for i, v := range todo {
		todo[i] = nil
		v.unset(queuedDirty)
		if v.is(joined) && !v.is(closed) {
			s.serve(v)
		}
	}
	s.served += len(todo)
	if s.served > len(s.dirty)/2 { // what is served makes room, however long the list lasts
		left := copy(s.dirty, s.dirty[s.served:])
		clear(s.dirty[left:])
		s.dirty, s.served = s.dirty[:left], 0
	}
	// Each delivery weighs the same, and none as much as a pause of the machine.
	n, ended := int64(len(todo)), s.now()
	taken := min(ended-began, n*(4*s.cost+int64(minCost)))
	s.cost += (taken - s.cost*n) / costWindow
	s.hub.stats.delivered.Add(s.delivered)
	s.hub.stats.written.Add(s.written)
	s.hub.stats.lagging.Add(s.lagging)
	s.hub.stats.lag.Add(s.lagging*ended - s.receivedSum)
	s.delivered, s.written, s.lagging, s.receivedSum = 0, 0, 0, 0
	return true
}

// part is a piece of what is written at once: where it ends, and what holds once
// the viewer has it.
type part struct {
	end  int
	kind partKind
	slot int32 // of a change
}

type partKind uint8

const (
	partRest partKind = iota
	partPrivate
	partChange
	partStale
	partLive
	partBeat
)

// serve offers v all that it lacks, in one write.
func (s *shard) serve(v *Viewer) {
	more := s.compose(v)
	if len(s.buffer) == 0 {
		v.unset(blocked)
		if v.is(closing) {
			s.remove(v, v.closeReason)
		}
		return
	}
	n, err := v.conn.TryWrite(s.buffer)
	if err != nil {
		s.remove(v, failureOf(err))
		return
	}
	s.account(v, n)
	switch {
	case n < len(s.buffer):
		if v.is(closing) {
			s.remove(v, v.closeReason)
			return
		}
		s.block(v, n > 0)
	case v.is(closing):
		s.remove(v, v.closeReason)
	default:
		v.unset(blocked)
		v.backoff = 0
		if more {
			s.addDirty(v)
		}
	}
}

// failureOf returns why a viewer is gone to whom err kept the hub from writing. A
// timeout is the network's, which knew before the hub that nothing is taken.
func failureOf(err error) Reason {
	var timed interface{ Timeout() bool }
	if errors.As(err, &timed) && timed.Timeout() {
		return ReasonWriteTimeout
	}
	return ReasonGone
}

// compose fills the buffer with what v lacks and notes its parts. more is true
// when something had to be left for another turn.
func (s *shard) compose(v *Viewer) (more bool) {
	s.buffer, s.parts = s.buffer[:0], s.parts[:0]
	if len(v.rest) > 0 {
		s.add(v.rest, part{kind: partRest})
	}
	if len(v.private) > 0 {
		s.add(v.private, part{kind: partPrivate})
	}
	if v.is(closing) {
		return false
	}
	formats := s.hub.options.Formats
	if s.stale && !v.is(sentStale) {
		s.addEvent(v, frameStale, partStale)
	}
	complete := !s.stale
	for i := range v.subscriptions {
		sub := &v.subscriptions[i]
		u := sub.subscribers.flushed
		if u == nil || sub.sent < 0 && (s.stale || !sub.needs(u.change.Version)) {
			complete = false
			continue
		}
		if sub.needs(u.change.Version) {
			if len(s.buffer) >= maxWrite {
				return true
			}
			s.add(u.frame(v.format, formats), part{kind: partChange, slot: int32(i)})
		}
	}
	if complete && (v.pendingLive > 0 || v.is(sentStale)) {
		for range max(1, v.pendingLive) {
			s.addEvent(v, frameLive, partLive)
		}
	}
	if len(s.buffer) == 0 && v.is(needsBeat) {
		s.addEvent(v, frameBeat, partBeat)
	}
	return false
}

func (s *shard) add(bytes []byte, p part) {
	s.buffer = append(s.buffer, bytes...)
	p.end = len(s.buffer)
	s.parts = append(s.parts, p)
}

func (s *shard) addEvent(v *Viewer, json string, what partKind) {
	s.buffer = s.hub.options.Formats[v.format](s.buffer, []byte(json))
	s.parts = append(s.parts, part{end: len(s.buffer), kind: what})
}

// account notes what v has after it took n bytes of the buffer. A part that was
// cut counts as sent, and its rest is kept.
func (s *shard) account(v *Viewer, n int) {
	if n == 0 {
		return
	}
	v.lastProgress = s.seconds
	v.unset(needsBeat)
	s.written += int64(n)
	begin := 0
	v.rest = v.rest[:0]
	for _, p := range s.parts {
		if begin >= n {
			break
		}
		switch p.kind {
		case partRest:
		case partPrivate:
			v.private = nil
		case partChange:
			sub := &v.subscriptions[p.slot]
			if sub.sent >= 0 {
				s.lagging++
				s.receivedSum += sub.subscribers.flushed.received
			}
			sub.sent = sub.subscribers.flushed.change.Version
			s.delivered++
		case partStale:
			v.set(sentStale)
		case partLive:
			v.unset(sentStale)
			if v.pendingLive > 0 {
				v.pendingLive--
			}
		}
		if p.end > n {
			v.rest = append(v.rest, s.buffer[n:p.end]...)
		}
		begin = p.end
	}
	if len(v.rest) == 0 {
		v.rest = nil
	}
}

// block has v tried again later, the sooner the more it took.
func (s *shard) block(v *Viewer, took bool) {
	if took {
		v.backoff = 0
	} else {
		v.backoff = min(v.backoff+1, maxBackoff)
	}
	v.retry = uint32(s.now()/int64(tickInterval)) + 1<<v.backoff
	if !v.is(blocked) {
		v.set(blocked)
		v.lastProgress = s.seconds // patience begins now
	}
	if !v.is(inBlockedList) {
		v.set(inBlockedList)
		s.blocked = append(s.blocked, v)
	}
}

// schedule is a heap of lists by when they are due.
type schedule []*subscribers

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].heapIndex, s[j].heapIndex = i, j
}

func (s *schedule) Push(x any) {
	l := x.(*subscribers)
	l.heapIndex = len(*s)
	*s = append(*s, l)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	l := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	l.heapIndex = notScheduled
	return l
}

func (s *schedule) remove(l *subscribers) {
	if l.heapIndex != notScheduled {
		heap.Remove(s, l.heapIndex)
	}
}
