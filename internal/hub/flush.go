package hub

import (
	"container/heap"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxWrite bounds one write, in bytes. A viewer that needs more gets the rest after the
// others had their turn.
const maxWrite = 16 << 10

const (
	// costWindow is the number of deliveries over which the cost of one is averaged.
	costWindow = 1024
	// perceptibleLag is the delay above which readers perceive that a number is late.
	perceptibleLag = 120 * time.Millisecond
	// answerLead is how long a change waits for the answer to an assertion of the same viewer, so
	// that one write has both. The store publishes a change a moment before it replies.
	answerLead = 2 * time.Millisecond
	// initialCost bounds the measured cost of one delivery while the average is still 0.
	initialCost = 20 * time.Microsecond
)

// handleChange flushes a topic with a newer value, or schedules it if the last flush was
// too recent.
func (s *shard) handleChange(subs *subscribers, now int64) {
	switch {
	case len(subs.entries) == 0 || subs.isScheduled || subs.topic.newest.Load() == subs.flushed:
	case subs.due <= now || subs.flushed == nil:
		s.flush(subs, now)
	default:
		subs.isScheduled = true
		heap.Push(&s.schedule, subs)
	}
}

// takeAnswered makes the state in an answer the newest value of a settled topic, if it is newer.
func (s *shard) takeAnswered(change tally.Change) {
	if change.Version == 0 {
		return
	}
	t := s.hub.topics.find(change.Topic)
	if t == nil || t.newest.Load() == nil { // not settled: changes may be missed
		return
	}
	now := s.now()
	if _, isNew := t.advance(change, now); isNew {
		s.hub.notifyShards(t, s)
		if subs := t.subscribersOf(s.index); subs != nil {
			s.handleChange(subs, now)
		}
	}
}

// serveHeld makes the held viewers dirty that got no answer in time.
func (s *shard) serveHeld(now int64) {
	n := 0
	for n < len(s.held) && s.held[n].until <= now {
		if v := s.held[n].viewer; v.unsent != noSlots {
			s.markDirty(v)
		}
		n++
	}
	s.held = slices.Delete(s.held, 0, n)
}

// flush gives the subscribers the newest value and makes them dirty.
func (s *shard) flush(subs *subscribers, now int64) {
	subs.flushed = subs.topic.newest.Load()
	for _, sub := range subs.entries {
		sub.viewer.unsent.add(sub.slot)
		if sub.viewer.Unanswered.Load() > 0 {
			s.held = append(s.held, heldViewer{sub.viewer, now + int64(answerLead)})
		} else {
			s.markDirty(sub.viewer)
		}
	}
	// If the next flush waits four times as long as all waiting deliveries take, three
	// quarters of the processor's time are left for other work. If a reader would perceive
	// that delay, the flush waits twice as long, which leaves half of the time.
	work := s.cost * int64(len(s.dirty)-s.served)
	subs.due = now + max(int64(s.hub.options.FlushInterval), 2*work, min(4*work, int64(perceptibleLag)))
}

func (s *shard) flushDue(now int64) {
	for len(s.schedule) > 0 && s.schedule[0].due <= now {
		s.flushNext(now)
	}
}

// flushScheduled flushes everything scheduled, whether due or not.
func (s *shard) flushScheduled() {
	now := s.now()
	for len(s.schedule) > 0 {
		s.flushNext(now)
	}
}

// flushNext flushes the first of the schedule, which may have no viewers any more.
func (s *shard) flushNext(now int64) {
	subs := heap.Pop(&s.schedule).(*subscribers)
	subs.isScheduled = false
	s.flush(subs, now)
}

// markDirty adds v to the dirty viewers, unless it is blocked and waits for its retry.
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
		v.unsent = allSlots
		s.markDirty(v)
	}
}

// serveChunk serves the next dirty viewers. It returns false if there are none.
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
	if s.served > len(s.dirty)/2 { // use the memory of served viewers again
		left := copy(s.dirty, s.dirty[s.served:])
		clear(s.dirty[left:])
		s.dirty, s.served = s.dirty[:left], 0
	}
	// The bound keeps a pause of the machine from raising the cost for long.
	n, ended := int64(len(todo)), s.now()
	took := min(ended-began, n*(4*s.cost+int64(initialCost)))
	s.cost += (took - s.cost*n) / costWindow
	s.hub.stats.delivered.Add(s.delivered)
	s.hub.stats.written.Add(s.written)
	s.hub.stats.lagging.Add(s.lagging)
	s.hub.stats.lag.Add(s.lagging*ended - s.receivedSum)
	s.delivered, s.written, s.lagging, s.receivedSum = 0, 0, 0, 0
	if s.oldest != noChange {
		s.hub.stats.oldestLag.Observe(time.Duration(ended - s.oldest))
		s.oldest = noChange
	}
	return true
}

// part is a frame of one write. The viewer's pending bytes come before the parts.
type part struct {
	end  int // in the buffer
	kind partKind
	slot int32 // of a change, in viewer.subscriptions
}

type partKind uint8

const (
	partChange partKind = iota
	partStale
	partLive
	partBeat
)

// serve makes one write to v with everything that it needs.
func (s *shard) serve(v *Viewer) {
	more := s.compose(v)
	if len(s.buffer) == 0 {
		v.unsent = noSlots
		v.unset(blocked)
		if v.is(closing) {
			s.remove(v, v.closeReason)
		}
		return
	}
	n, err := v.conn.TryWrite(s.buffer)
	if err != nil {
		s.remove(v, ReasonOf(err))
		return
	}
	s.account(v, n)
	switch {
	case v.is(closing):
		s.remove(v, v.closeReason)
	case n < len(s.buffer):
		v.unsent = allSlots
		s.block(v, n > 0)
	case more:
		v.unsent = allSlots
		v.unset(blocked)
		v.backoff = 0
		s.addDirty(v)
	default:
		v.unsent = noSlots
		v.unset(blocked)
		v.backoff = 0
	}
}

// slots selects the subscriptions of a viewer that may have a value to send: allSlots, noSlots,
// or 1 + the index of a single one, since often one of the many topics of a viewer has changed.
type slots int32

const (
	allSlots slots = 0
	noSlots  slots = -1
)

// add adds a slot.
func (s *slots) add(slot int32) {
	switch *s {
	case noSlots:
		*s = slots(slot + 1)
	case slots(slot + 1):
	default:
		*s = allSlots
	}
}

// bounds returns the first slot and the end, if there are n slots.
func (s slots) bounds(n int) (first, end int) {
	switch s {
	case allSlots:
		return 0, n
	case noSlots:
		return 0, 0
	}
	return int(s) - 1, int(s)
}

// compose fills the buffer with the bytes that v needs, and parts with their frames. It returns
// true if there are more than fit in one write.
func (s *shard) compose(v *Viewer) (more bool) {
	s.buffer, s.parts = append(s.buffer[:0], v.pending...), s.parts[:0]
	if v.is(closing) {
		return false
	}
	formats := s.hub.options.Formats
	if s.stale && !v.is(sentStale) {
		s.addEvent(v, frameStale, partStale)
	}
	if s.stale || v.is(sentStale) || v.pendingLive > 0 {
		v.unsent = allSlots // all must be sent before live
	}
	isComplete := !s.stale
	for slot, end := v.unsent.bounds(len(v.subscriptions)); slot < end; slot++ {
		sub := &v.subscriptions[slot]
		u := sub.subscribers.flushed
		if u == nil || sub.sent < 0 && (s.stale && !s.hub.options.StaleSnapshots || !sub.needs(u.version)) {
			isComplete = false
			continue
		}
		if sub.needs(u.version) {
			if len(s.buffer) >= maxWrite {
				return true
			}
			if len(sub.subscribers.entries) == 1 { // a kept frame would be used once
				s.frame = tally.AppendFrame(s.frame[:0], u.change(sub.subscribers.topic.name))
				s.buffer = formats[v.format](s.buffer, s.frame)
			} else {
				s.buffer = append(s.buffer, u.frame(sub.subscribers.topic.name, v.format, formats)...)
			}
			s.parts = append(s.parts, part{end: len(s.buffer), kind: partChange, slot: int32(slot)})
		}
	}
	if isComplete && (v.pendingLive > 0 || v.is(sentStale)) {
		for range max(1, v.pendingLive) {
			s.addEvent(v, frameLive, partLive)
		}
	}
	if len(s.buffer) == 0 && v.is(needsBeat) {
		s.addEvent(v, frameBeat, partBeat)
	}
	return false
}

func (s *shard) addEvent(v *Viewer, json string, kind partKind) {
	s.buffer = s.hub.options.Formats[v.format](s.buffer, []byte(json))
	s.parts = append(s.parts, part{end: len(s.buffer), kind: kind})
}

// account records that v accepted n bytes of the buffer. A frame of which v accepted a part
// counts as sent; its rest is pending.
func (s *shard) account(v *Viewer, n int) {
	if n == 0 {
		return
	}
	v.lastProgress = s.seconds
	v.unset(needsBeat)
	s.written += int64(n)
	begin := len(v.pending)
	if n < begin {
		v.pending = v.pending[n:]
		return
	}
	v.pending = nil
	for _, p := range s.parts {
		if begin >= n {
			break
		}
		switch p.kind {
		case partChange:
			sub := &v.subscriptions[p.slot]
			if sub.sent >= 0 {
				s.lagging++
				received := sub.subscribers.flushed.received
				s.receivedSum += received
				if received < s.oldest && !v.is(blocked) {
					s.oldest = received
				}
			}
			sub.sent = sub.subscribers.flushed.version
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
			v.pending = slices.Clone(s.buffer[n:p.end])
		}
		begin = p.end
	}
}

// block schedules the next attempt to write to v: soon if it accepted some bytes.
func (s *shard) block(v *Viewer, madeProgress bool) {
	if madeProgress {
		v.backoff = 0
	} else {
		v.backoff = min(v.backoff+1, maxBackoff)
	}
	v.retry = uint32(s.now()/int64(tickInterval)) + 1<<v.backoff
	if !v.is(blocked) {
		v.set(blocked)
		v.lastProgress = s.seconds // the write timeout begins
	}
	if !v.is(inBlockedList) {
		v.set(inBlockedList)
		s.blocked = append(s.blocked, v)
	}
}

// schedule is a heap of topics' subscribers by the time of their next flush.
type schedule []*subscribers

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

func (s *schedule) Push(x any) { *s = append(*s, x.(*subscribers)) }

func (s *schedule) Pop() any {
	last := len(*s) - 1
	subs := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return subs
}
