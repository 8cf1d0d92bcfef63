package tally

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pendingWrite is a write on its way through a lane.
type pendingWrite struct {
	topic    Topic
	mark     string    // see [Batch]
	deadline time.Time // when it must have been answered
	done     chan struct{}

	// Set before done receives.
	write  Write
	change Change
	err    error
}

func newPendingWrite() *pendingWrite { return &pendingWrite{done: make(chan struct{}, 1)} }

// begin makes p a write that has yet to be answered.
func (p *pendingWrite) begin(topic Topic, mark string, deadline time.Time, write Write) {
	p.topic, p.mark, p.deadline = topic, mark, deadline
	p.write, p.change, p.err = write, Change{}, nil
}

func (p *pendingWrite) answer(err error) {
	p.err = err
	p.done <- struct{}{}
}

// lane is the queue of one node of the store: group commit. The first write goes
// at once; those that come while a batch is under way form the next. One batch
// is under way at a time, so that an idle store adds no delay and a busy one
// gets few, large batches.
//
// Every write is answered by its deadline without a timer of its own: a batch
// ends by the earliest deadline of its writes, and what waited for it in vain
// is answered when the next batch is formed.
type lane struct {
	store  Store
	writes *writeCounters

	mu      sync.Mutex
	queue   []*pendingWrite // in order of arrival, at most maxQueued
	running bool            // whether a goroutine empties the queue
}

// submit queues p, whose done receives once it was answered.
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
		go l.run() // ends when the queue is empty; its writers wait for it
	}
}

// run applies batches until nothing waits.
func (l *lane) run() {
	var round round
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.queue = round.take(l.queue)
		l.mu.Unlock()
		round.apply(l.store, l.writes)
	}
}

// round is what is applied at once: batches, and the writes they answer.
type round struct {
	batches []Batch
	writers [][]*pendingWrite // for each batch, the writers of its writes
	late    []*pendingWrite   // too close to their deadline to be tried
	place   map[Topic]int     // index in batches
	end     time.Time         // earliest deadline of the writes
}

// take forms the next round from queue and returns what is left of it, in order.
// A topic that is full keeps its later writes for the next round, and so does one of
// which writes carry different marks.
func (r *round) take(queue []*pendingWrite) (left []*pendingWrite) {
	r.batches, r.writers, r.late = nil, nil, r.late[:0]
	if r.place == nil {
		r.place = map[Topic]int{}
	}
	clear(r.place)
	enough := time.Now().Add(leastTime)
	left = queue[:0]
	for i, p := range queue {
		if i == maxScan {
			left = append(left, queue[i:]...)
			break
		}
		if p.deadline.Before(enough) {
			r.late = append(r.late, p)
			continue
		}
		i, ok := r.place[p.topic]
		if !ok {
			if len(r.batches) == maxBatchTopics {
				left = append(left, p)
				continue
			}
			i = len(r.batches)
			r.place[p.topic] = i
			r.batches = append(r.batches, Batch{Topic: p.topic, Mark: p.mark})
			r.writers = append(r.writers, nil)
		}
		if len(r.writers[i]) == MaxBatchWrites || r.batches[i].Mark != p.mark {
			left = append(left, p)
			continue
		}
		if r.end.IsZero() || p.deadline.Before(r.end) {
			r.end = p.deadline
		}
		r.batches[i].Writes = append(r.batches[i].Writes, p.write)
		r.writers[i] = append(r.writers[i], p)
	}
	clear(queue[len(left):])
	return left
}

// apply sends the round to the store and answers its writers.
func (r *round) apply(store Store, counters *writeCounters) {
	for _, p := range r.late {
		p.answer(Unavailable(context.DeadlineExceeded))
	}
	if len(r.batches) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), r.end)
	store.Apply(ctx, r.batches)
	cancel()
	r.end = time.Time{}
	counters.batches.Add(int64(len(r.batches)))
	for i := range r.batches {
		b := &r.batches[i]
		change := Change{Topic: b.Topic, Count: b.Count, Version: b.Version}
		for j, p := range r.writers[i] {
			p.write, p.change = b.Writes[j], change
			p.answer(b.Err)
		}
	}
}

// writeCounters count since the start.
type writeCounters struct {
	acknowledged atomic.Int64
	failed       atomic.Int64
	batches      atomic.Int64
}
