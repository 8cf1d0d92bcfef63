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
	// settleChunk bounds the topics that one statement reads: with this many the fixed cost of
	// a statement is negligible, and it takes milliseconds.
	settleChunk = 1000
	// settleTimeout bounds one such read.
	settleTimeout = 3 * time.Second
	// retryAfter is the pause between attempts while the file fails.
	retryAfter = time.Second
	// maxSpare bounds the size of a map that is used again: iterating over a map and clearing
	// it take time for the largest size that it ever had.
	maxSpare = 1000
)

// feed passes changes from the writer to the sink, through the goroutines of Run. It has no
// queue: it keeps the newest undelivered change of each watched topic. If the sink is slower
// than the writer, newer changes replace older ones.
type feed struct {
	changed   chan struct{} // holds one if pending is not empty
	unsettled chan struct{} // holds one if settling is not empty

	mu sync.Mutex
	// Guarded by mu.
	watched  map[tally.Topic]struct{}
	pending  map[tally.Topic]tally.Change // undelivered changes of watched topics
	settling map[tally.Topic]struct{}     // watched topics to settle
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

// notify sends to c, which has capacity 1, unless it is full.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish makes changes pending for deliver. Calls are in the order of versions of a topic. It
// does not block.
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

// Watch implements [tally.Feed].
func (s *Store) Watch(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	f.watched[topic] = struct{}{}
	f.settling[topic] = struct{}{}
	f.mu.Unlock()
	notify(f.unsettled)
}

// Refresh implements [tally.Feed].
func (s *Store) Refresh(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	if _, ok := f.watched[topic]; ok {
		f.settling[topic] = struct{}{}
	}
	f.mu.Unlock()
	notify(f.unsettled)
}

// Unwatch implements [tally.Feed].
func (s *Store) Unwatch(topic tally.Topic) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.watched, topic); len(f.watched) == 0 {
		f.watched = map[tally.Topic]struct{}{} // a map keeps the size that it once had
	}
	delete(f.pending, topic)
	delete(f.settling, topic)
}

// watches reports whether topic is watched.
func (f *feed) watches(topic tally.Topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.watched[topic]
	return ok
}

// Broadcast does nothing: no other instance uses the file.
func (s *Store) Broadcast([]byte) {}

// Run delivers to sink until ctx ends, and returns nil then.
func (s *Store) Run(ctx context.Context, sink tally.Sink, _ func(payload []byte)) error {
	var running sync.WaitGroup
	// Each ends with ctx.
	running.Go(func() { s.feed.deliver(ctx, sink) })
	running.Go(func() { s.settle(ctx, sink) })
	running.Go(func() { s.probe(ctx) })
	running.Wait()
	return nil
}

// deliver pushes published changes until ctx ends.
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
		if len(changes) > maxSpare {
			changes = map[tally.Topic]tally.Change{}
		}
		clear(changes)
		spare = changes
	}
}

// settle settles the topics in f.settling until ctx ends. The feed pushes changes that were
// committed after Watch, and the read has earlier ones, so no change is missed.
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

// toSettle takes the topics to settle.
func (f *feed) toSettle() []tally.Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	topics := slices.Collect(maps.Keys(f.settling))
	if len(topics) > 0 {
		f.settling = map[tally.Topic]struct{}{}
	}
	return topics
}

// unsettle makes settle read all watched topics again, as [tally.Sink] promises before Live.
func (f *feed) unsettle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic := range f.watched {
		f.settling[topic] = struct{}{}
	}
}

// settleTopics settles topics and reports whether it could read and reissue them.
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

// probe writes periodically while writing fails, so that Health recovers without a write of
// a visitor.
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
		// The writer records the result.
		_ = s.update(ctx, func(w *writer) ([]tally.Change, error) {
			return nil, w.exec(`INSERT INTO meta (name, value) VALUES ('probed', ?) ON CONFLICT DO UPDATE SET value = excluded.value`, w.now().Unix())
		})
	}
}
