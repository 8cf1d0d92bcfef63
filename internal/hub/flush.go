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
	// costOver is over how many deliveries the cost of one is smoothed.
	costOver = 1024
	// unnoticed is how old a number may be on a screen while nobody sees it lag.
	unnoticed = 120 * time.Millisecond
	// costStep is what a delivery may seem to cost from a standing start.
	costStep = 20 * time.Microsecond
)

// note takes up that the topic of l has another value: it is released at once,
// or scheduled where the last one was released too recently.
func (s *shard) note(l *list, now int64) {
	switch {
	case len(l.subscribers) == 0 || l.place != unscheduled || l.topic.held.Load() == l.released:
	case l.due <= now || l.released == nil:
		s.release(l, now)
	default:
		heap.Push(&s.schedule, l)
	}
}

// release lets the subscribers of l have the newest value.
func (s *shard) release(l *list, now int64) {
	l.released = l.topic.held.Load()
	for _, sub := range l.subscribers {
		s.queue(sub.viewer)
	}
	// Of the time, four times what all that waits will take leaves three quarters to
	// others. Where that would be noticed, twice leaves half of it.
	work := s.cost * int64(len(s.dirty)-s.served)
	l.due = now + max(int64(s.hub.options.FlushInterval), 2*work, min(4*work, int64(unnoticed)))
}

func (s *shard) releaseDue(now int64) {
	for len(s.schedule) > 0 && s.schedule[0].due <= now {
		s.release(heap.Pop(&s.schedule).(*list), now)
	}
}

// releaseAll releases what is scheduled, due or not.
func (s *shard) releaseAll() {
	now := s.now()
	for len(s.schedule) > 0 {
		s.release(heap.Pop(&s.schedule).(*list), now)
	}
}

// queue has v served. One that is blocked is served when it is tried again.
func (s *shard) queue(v *Viewer) {
	if !v.is(blocked) {
		s.enqueue(v)
	}
}

func (s *shard) enqueue(v *Viewer) {
	if !v.is(queued) {
		v.set(queued)
		s.dirty = append(s.dirty, v)
	}
}

func (s *shard) queueAll() {
	for _, v := range s.viewers {
		s.queue(v)
	}
}

// serveChunk serves the next viewers of the dirty list; false if there are none.
func (s *shard) serveChunk() bool {
	todo := s.dirty[s.served:min(s.served+chunk, len(s.dirty))]
	if len(todo) == 0 {
		return false
	}
	began := s.now()
	s.seconds = uint32(began / int64(time.Second))
	for i, v := range todo {
		todo[i] = nil
		v.unset(queued)
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
	taken := min(ended-began, n*(4*s.cost+int64(costStep)))
	s.cost += (taken - s.cost*n) / costOver
	s.hub.stats.delivered.Add(s.delivered)
	s.hub.stats.written.Add(s.written)
	s.hub.stats.lagging.Add(s.lagging)
	s.hub.stats.lag.Add(s.lagging*ended - s.heard)
	s.delivered, s.written, s.lagging, s.heard = 0, 0, 0, 0
	return true
}

// part is a piece of what is written at once: where it ends, and what holds once
// the viewer has it.
type part struct {
	end  int
	what what
	slot int32 // of a change
}

type what uint8

const (
	partRest what = iota
	partOwn
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
			s.remove(v, v.last)
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
			s.remove(v, v.last)
			return
		}
		s.block(v, n > 0)
	case v.is(closing):
		s.remove(v, v.last)
	default:
		v.unset(blocked)
		v.backoff = 0
		if more {
			s.enqueue(v)
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
		s.add(v.rest, part{what: partRest})
	}
	if len(v.own) > 0 {
		s.add(v.own, part{what: partOwn})
	}
	if v.is(closing) {
		return false
	}
	formats := s.hub.options.Formats
	if s.stale && !v.is(toldStale) {
		s.addEvent(v, frameStale, partStale)
	}
	complete := !s.stale
	for i := range v.subscriptions {
		sub := &v.subscriptions[i]
		u := sub.list.released
		if u == nil || sub.sent < 0 && (s.stale || !sub.lacks(u.change.Version)) {
			complete = false
			continue
		}
		if sub.lacks(u.change.Version) {
			if len(s.buffer) >= maxWrite {
				return true
			}
			s.add(u.frame(v.format, formats), part{what: partChange, slot: int32(i)})
		}
	}
	if complete && (v.lives > 0 || v.is(toldStale)) {
		for range max(1, v.lives) {
			s.addEvent(v, frameLive, partLive)
		}
	}
	if len(s.buffer) == 0 && v.is(beating) {
		s.addEvent(v, frameBeat, partBeat)
	}
	return false
}

func (s *shard) add(bytes []byte, p part) {
	s.buffer = append(s.buffer, bytes...)
	p.end = len(s.buffer)
	s.parts = append(s.parts, p)
}

func (s *shard) addEvent(v *Viewer, json string, what what) {
	s.buffer = s.hub.options.Formats[v.format](s.buffer, []byte(json))
	s.parts = append(s.parts, part{end: len(s.buffer), what: what})
}

// account notes what v has after it took n bytes of the buffer. A part that was
// cut counts as sent, and its rest is kept.
func (s *shard) account(v *Viewer, n int) {
	if n == 0 {
		return
	}
	v.heard = s.seconds
	v.unset(beating)
	s.written += int64(n)
	begin := 0
	v.rest = v.rest[:0]
	for _, p := range s.parts {
		if begin >= n {
			break
		}
		switch p.what {
		case partRest:
		case partOwn:
			v.own = nil
		case partChange:
			sub := &v.subscriptions[p.slot]
			if sub.sent >= 0 {
				s.lagging++
				s.heard += sub.list.released.heard
			}
			sub.sent = sub.list.released.change.Version
			s.delivered++
		case partStale:
			v.set(toldStale)
		case partLive:
			v.unset(toldStale)
			if v.lives > 0 {
				v.lives--
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
	v.retry = uint32(s.now()/int64(tick)) + 1<<v.backoff
	if !v.is(blocked) {
		v.set(blocked)
		v.heard = s.seconds // patience begins now
	}
	if !v.is(listed) {
		v.set(listed)
		s.blocked = append(s.blocked, v)
	}
}

// schedule is a heap of lists by when they are due.
type schedule []*list

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

func (s *schedule) Push(x any) {
	l := x.(*list)
	l.place = len(*s)
	*s = append(*s, l)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	l := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	l.place = unscheduled
	return l
}

func (s *schedule) remove(l *list) {
	if l.place != unscheduled {
		heap.Remove(s, l.place)
	}
}
