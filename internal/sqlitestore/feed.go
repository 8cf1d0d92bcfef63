package sqlitestore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// settleChunk is how many topics are read at once to be settled: enough that a
	// statement's own cost vanishes, few enough that the answer takes milliseconds.
	settleChunk = 1000
	// settleTimeout ends a read to settle; the contract of writes has it too.
	settleTimeout = 3 * time.Second
	// retryAfter is the pause after the file failed before it is tried again.
	retryAfter = time.Second
)

// feed hands changes from the writer to the sink, through the goroutines of Run.
// It has no queue: for each watched topic it keeps the newest change that was not
// delivered, and replaces it when the sink is slower than the writer.
type feed struct {
	changed   chan struct{} // holds one: pending has something
	unsettled chan struct{} // holds one: settling has something

	mu       sync.Mutex
	watched  map[tally.Topic]struct{}
	pending  map[tally.Topic]tally.Change // of watched topics
	settling map[tally.Topic]struct{}     // watched, and to be settled
}

func newFeed() *feed {
	return &feed{
		changed:   make(chan struct{}, 1),
		unsettled: make(chan struct{}, 1),
		watched:   map[tally.Topic]struct{}{},
		pending:   map[tally.Topic]tally.Change{},
		settling:  map[tally.Topic]struct{}{},
	}
}

// notify wakes who waits for c; signals not yet seen are one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish hands over changes. Those of one topic must come in the order of their
// versions; it does not block.
func (f *feed) publish(changes ...tally.Change) {
	if len(changes) == 0 {
		return
	}
	f.mu.Lock()
	for _, change := range changes {
		if _, ok := f.watched[change.Topic]; ok {
			f.pending[change.Topic] = change
		}
	}
	any := len(f.pending) > 0
	f.mu.Unlock()
	if any {
		notify(f.changed)
	}
}

// Watch begins to follow topic.
func (s *Store) Watch(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	f.watched[topic] = struct{}{}
	f.settling[topic] = struct{}{}
	f.mu.Unlock()
	notify(f.unsettled)
}

// Refresh implements [tally.Refresher].
func (s *Store) Refresh(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	if _, ok := f.watched[topic]; ok {
		f.settling[topic] = struct{}{}
	}
	f.mu.Unlock()
	notify(f.unsettled)
}

// Unwatch ends what Watch began.
func (s *Store) Unwatch(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watched, topic)
	delete(f.pending, topic)
	delete(f.settling, topic)
}

// watches tells whether topic is watched.
func (f *feed) watches(topic tally.Topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.watched[topic]
	return ok
}

// Broadcast does nothing: there is no other instance.
func (s *Store) Broadcast([]byte) {}

// Run delivers to sink until ctx ends, and returns nil then.
func (s *Store) Run(ctx context.Context, sink tally.Sink, _ func(payload []byte)) error {
	var running sync.WaitGroup
	// Each ends with ctx.
	running.Go(func() { s.feed.deliver(ctx, sink) })
	running.Go(func() { s.settle(ctx, sink) })
	running.Go(func() { s.presence.expire(ctx) })
	running.Go(func() { s.probe(ctx) })
	running.Wait()
	return nil
}

// deliver pushes what is published.
func (f *feed) deliver(ctx context.Context, sink tally.Sink) {
	spare := map[tally.Topic]tally.Change{}
	for {
		select {
		case <-f.changed:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		changes := f.pending
		f.pending = spare
		f.mu.Unlock()
		for _, change := range changes {
			sink.Push(change)
		}
		clear(changes)
		spare = changes
	}
}

// settle reads the state of topics that began to be watched. A change that is
// committed after Watch is pushed, one from before it is in what is read, so none
// is missed.
func (s *Store) settle(ctx context.Context, sink tally.Sink) {
	live := false
	for ctx.Err() == nil {
		topics := s.feed.toSettle()
		if len(topics) == 0 {
			if !live {
				live = true
				sink.Live()
			}
			select {
			case <-s.feed.unsettled:
			case <-ctx.Done():
			}
			continue
		}
		for portion := range slices.Chunk(topics, settleChunk) {
			if s.settleTopics(ctx, sink, portion) {
				continue
			}
			if live && ctx.Err() == nil {
				live = false
				sink.Stale()
			}
			s.feed.unsettle()
			select {
			case <-time.After(retryAfter):
			case <-ctx.Done():
			}
			break
		}
	}
}

// toSettle takes the topics that are to be settled.
func (f *feed) toSettle() []tally.Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	topics := slices.Collect(maps.Keys(f.settling))
	clear(f.settling)
	return topics
}

// unsettle marks all watched topics as to be settled: Live promises that they
// were, since Stale.
func (f *feed) unsettle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic := range f.watched {
		f.settling[topic] = struct{}{}
	}
}

// settleTopics tells whether it could.
func (s *Store) settleTopics(ctx context.Context, sink tally.Sink, topics []tally.Topic) bool {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	queries := make([]tally.Query, len(topics))
	for i, topic := range topics {
		queries[i].Topic = topic
	}
	var ahead []tally.Change
	for _, reading := range s.Read(ctx, queries) {
		if reading.Err != nil {
			return false
		}
		if !s.feed.watches(reading.Change.Topic) {
			continue
		}
		if held := sink.Settle(reading.Change); isBehind(reading.Change, held) {
			ahead = append(ahead, held)
		}
	}
	return len(ahead) == 0 || s.Reissue(ctx, ahead) == nil
}

// probe writes from time to time while writing fails, so that Health knows when
// there is room again though nobody presses a heart.
func (s *Store) probe(ctx context.Context) {
	tick := time.NewTicker(retryAfter)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.writeFault.err() == nil {
			continue
		}
		// What becomes of it is noted where all writes are.
		_ = s.update(ctx, func(w *writer) ([]tally.Change, error) {
			_, err := w.probed.Exec(w.now().Unix())
			return nil, err
		})
	}
}
