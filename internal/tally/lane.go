package tally

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pendingWrite is a write that a lane has not answered yet.
type pendingWrite struct {
	topic    Topic
	mark     string    // see [Batch]
	deadline time.Time // of the answer: answerTimeout after the write was received

	// Fixed by the caller of submit: how answer ends the write.
	answered  chan error // gets the error, with room for it; nil if done is called
	service   *Service
	hasher    *Hasher
	assertion Assertion
	done      func(Result, error)

	// withdrawals are those of further members of the same visitor, applied before write in the
	// same batch; seldom any.
	withdrawals []Write

	write  Write
	change Change
}

// reset prepares p for another write.
func (p *pendingWrite) reset(topic Topic, mark string, deadline time.Time, write Write, withdrawals []Write) {
	p.topic, p.mark, p.deadline = topic, mark, deadline
	p.write, p.withdrawals, p.change = write, withdrawals, Change{}
}

// answer ends the write with its error, after write and change are set. It does not wait.
func (p *pendingWrite) answer(err error) {
	if p.answered != nil {
		p.answered <- err
		return
	}
	if refused, _ := err.(*MarkError); refused != nil { // stores do not wrap it
		go func() { p.done(p.service.assertMarked(p.hasher, p.assertion, p.deadline, refused)) }() // ends by the deadline
		return
	}
	p.done(p.service.result(p.assertion, p, err))
}

// finish takes the results from the first writes of a batch and returns the others.
func (p *pendingWrite) finish(writes []Write) (rest []Write) {
	n := len(p.withdrawals)
	p.write = writes[n]
	for _, w := range writes[:n] {
		p.write.Changed = p.write.Changed || w.Changed
	}
	return writes[n+1:]
}

// lane is the queue of one node of the store (group commit). An idle lane applies a write
// at once; writes that arrive during a round form the next one. An idle store adds no
// delay, and a busy one gets few, large batches. If the node is far, several rounds are in
// flight: see [Distant].
//
// Every write is answered by its deadline without its own timer: a round ends by the earliest
// deadline of its writes, and the next one answers those that are late by then. If no further
// round may start, one of those in flight ends before the queued writes are late.
type lane struct {
	name     string
	store    Applier
	counters *writeCounters

	mu       sync.Mutex
	queue    []*pendingWrite // in order of arrival, at most maxQueued
	running  bool            // a goroutine empties the queue
	inFlight int             // rounds
	ended    chan struct{}   // holds a token after a round ended
	spare    []*round        // ended ones, to be used again
}

// submit queues p, which is answered later or at once.
func (l *lane) submit(p *pendingWrite) {
	l.mu.Lock()
	if len(l.queue) >= maxQueued {
		l.mu.Unlock()
		p.answer(Unavailable(nil))
		return
	}
	l.queue = append(l.queue, p)
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		go l.run() // ends when the queue is empty
	}
}

// run applies rounds until the queue is empty.
func (l *lane) run() {
	distant, _ := l.store.(Distant)
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		window, gap := 1, time.Duration(0)
		if distant != nil {
			window, gap = distant.Window(l.name, l.inFlight)
		}
		if l.inFlight >= window {
			l.mu.Unlock()
			<-l.ended
			continue
		}
		r := l.takeLocked()
		l.mu.Unlock()
		if window == 1 {
			l.apply(r)
			continue
		}
		go l.apply(r) // ends by the deadline of the round
		time.Sleep(gap)
	}
}

// takeLocked forms the next round from the queue.
func (l *lane) takeLocked() *round {
	r := &round{}
	if n := len(l.spare); n > 0 {
		r, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	l.queue = r.take(l.queue)
	l.inFlight++
	return r
}

// apply applies a round and answers its writes.
func (l *lane) apply(r *round) {
	r.apply(l.store, l.counters)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.spare = append(l.spare, r)
	select {
	case l.ended <- struct{}{}:
	default:
	}
}

// round is a set of batches that one call applies.
type round struct {
	batches  []Batch
	pending  [][]*pendingWrite // the writes of each batch
	late     []*pendingWrite   // have less than minRemaining
	index    map[Topic]int     // in batches
	deadline time.Time         // the earliest deadline of the writes
}

// take forms the next round from queue and returns the rest of queue, in order. A write
// stays in the queue if its topic's batch is full or has another mark.
func (r *round) take(queue []*pendingWrite) (rest []*pendingWrite) {
	r.reset()
	if r.index == nil {
		r.index = map[Topic]int{}
	}
	clear(r.index)
	tooLate := time.Now().Add(minRemaining)
	rest = queue[:0]
	for i, p := range queue {
		if i == maxScan {
			rest = append(rest, queue[i:]...)
			break
		}
		if p.deadline.Before(tooLate) {
			r.late = append(r.late, p)
			continue
		}
		i, ok := r.index[p.topic]
		if !ok {
			if len(r.batches) == maxBatchTopics {
				rest = append(rest, p)
				continue
			}
			i = len(r.batches)
			r.index[p.topic] = i
			r.add(p.topic, p.mark)
		}
		// A visitor with more members than a batch has writes gets a batch of its own.
		if n := len(r.batches[i].Writes); n > 0 && n+len(p.withdrawals) >= MaxBatchWrites || r.batches[i].Mark != p.mark {
			rest = append(rest, p)
			continue
		}
		if r.deadline.IsZero() || p.deadline.Before(r.deadline) {
			r.deadline = p.deadline
		}
		r.batches[i].Writes = append(append(r.batches[i].Writes, p.withdrawals...), p.write)
		r.pending[i] = append(r.pending[i], p)
	}
	clear(queue[len(rest):])
	return rest
}

// maxKept bounds the memory of a batch that a later round uses again, in writes.
const maxKept = 64

// reset removes the batches, and keeps their memory for add.
func (r *round) reset() {
	for i := range r.batches {
		writes, pending := r.batches[i].Writes, r.pending[i]
		if len(writes) > maxKept {
			writes, pending = nil, nil
		}
		clear(pending)
		r.batches[i], r.pending[i] = Batch{Writes: writes}, pending
	}
	r.batches, r.pending, r.late = r.batches[:0], r.pending[:0], r.late[:0]
}

// add adds an empty batch.
func (r *round) add(topic Topic, mark string) {
	n := len(r.batches)
	r.batches, r.pending = slices.Grow(r.batches, 1)[:n+1], slices.Grow(r.pending, 1)[:n+1]
	r.batches[n] = Batch{Topic: topic, Mark: mark, Writes: r.batches[n].Writes[:0]}
	r.pending[n] = r.pending[n][:0]
}

// apply applies the round and answers its writes.
func (r *round) apply(store Applier, counters *writeCounters) {
	for _, p := range r.late {
		p.answer(Unavailable(context.DeadlineExceeded))
	}
	if len(r.batches) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), r.deadline)
	store.Apply(ctx, r.batches)
	cancel()
	r.deadline = time.Time{}
	counters.batches.Add(int64(len(r.batches)))
	for i := range r.batches {
		b := &r.batches[i]
		change := b.Change()
		writes := b.Writes
		for _, p := range r.pending[i] {
			writes = p.finish(writes)
			p.change = change
			p.answer(b.Err)
		}
	}
}

// writeCounters count since the process started.
type writeCounters struct {
	acknowledged Histogram // of the time from receiving a write
	failed       atomic.Int64
	batches      atomic.Int64
}
