package hub

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Encoder appends one frame's JSON to dst as a transport sends it.
type Encoder func(dst, json []byte) []byte

// Format is the number of an [Encoder] in [Options.Formats].
type Format uint8

// Options are fixed when a [Hub] is made.
type Options struct {
	// FlushInterval is the least time between two frames of one topic to one
	// viewer. 0 stands for 50 ms.
	FlushInterval time.Duration
	// WriteTimeout is how long a viewer may take nothing before it is closed.
	// 0 stands for 30 s.
	WriteTimeout time.Duration
	// MaxTopics is how many distinct topics may be watched; 0 means any number.
	MaxTopics int
	// MaxTopicsPerViewer is how many of them one viewer may watch. 0 stands for 1,000.
	MaxTopicsPerViewer int
	// Formats are the transports' encodings. At least one.
	Formats []Encoder
	// Shards is the number of goroutines that write. 0 stands for GOMAXPROCS.
	Shards int
}

// Hub holds the newest values and sends them. It implements [tally.Sink]. All
// methods may be called concurrently, and none of them waits for a viewer.
type Hub struct {
	feed    tally.Feed
	options Options
	start   time.Time
	topics  registry
	shards  []*shard
	next    atomic.Uint32 // shard of the next viewer, modulo their number
	stats   stats
}

// New returns a hub that asks feed for what its viewers watch. [Hub.Run] must be
// running for anything to be sent.
func New(feed tally.Feed, options Options) *Hub {
	if options.FlushInterval <= 0 {
		options.FlushInterval = 50 * time.Millisecond
	}
	if options.WriteTimeout <= 0 {
		options.WriteTimeout = 30 * time.Second
	}
	if options.MaxTopicsPerViewer <= 0 {
		options.MaxTopicsPerViewer = 1000
	}
	if options.Shards <= 0 {
		options.Shards = runtime.GOMAXPROCS(0)
	}
	h := &Hub{feed: feed, options: options, start: time.Now()}
	for i := range h.topics.stripes {
		h.topics.stripes[i].topics = map[tally.Topic]*topic{}
	}
	for i := range options.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	return h
}

// Run serves the viewers until ctx ends, then closes those that are left.
func (h *Hub) Run(ctx context.Context) error {
	var shards sync.WaitGroup
	for _, s := range h.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	return nil
}

// Push implements [tally.Sink].
func (h *Hub) Push(change tally.Change) {
	h.stats.received.Add(1)
	if t := h.topics.find(change.Topic); t != nil {
		switch held, taken := t.advance(change, h.now()); {
		case taken:
			h.notifyShards(t)
		case change.Version < held.Version: // the store went back
			h.reread(t)
		}
	}
}

// Settle implements [tally.Sink].
func (h *Hub) Settle(read tally.Change) (held tally.Change) {
	t := h.topics.find(read.Topic)
	if t == nil {
		return read
	}
	for {
		floor := t.floor.Load()
		settled := read
		switch {
		case read.Version >= floor:
		case read.Version == 0:
			// Nothing is stored that could be reissued.
			settled.Version = floor + 1
		default:
			// It is reissued, and published under a version above.
			settled.Version = floor
			return settled
		}
		held, taken := t.advance(settled, h.now())
		if taken {
			h.notifyShards(t)
		}
		if t.floor.Load() == floor {
			return held
		}
	}
}

// raiseFloor makes version the least that is released of t.
func (h *Hub) raiseFloor(t *topic, version int64) {
	for {
		floor := t.floor.Load()
		if version <= floor || t.floor.CompareAndSwap(floor, version) {
			break
		}
	}
	// Settle looks at the floor after it stored what is held: one sees the other.
	if held := t.newest.Load(); held != nil && held.change.Version < version {
		h.reread(t)
	}
}

// reread has t settled again, if the feed can.
func (h *Hub) reread(t *topic) {
	if feed, ok := h.feed.(tally.Refresher); ok {
		feed.Refresh(t.name)
	}
}

// Stale implements [tally.Sink].
func (h *Hub) Stale() { h.sendToAll(command{kind: goStale}) }

// Live implements [tally.Sink].
func (h *Hub) Live() { h.sendToAll(command{kind: goLive}) }

// now returns nanoseconds since the hub was made.
func (h *Hub) now() int64 { return int64(time.Since(h.start)) }

func (h *Hub) sendToAll(c command) {
	for _, s := range h.shards {
		s.send(c)
	}
}

// notifyShards puts the topic's lists into the inboxes of the shards that watch it.
func (h *Hub) notifyShards(t *topic) {
	for i := range t.byShard {
		if l := &t.byShard[i]; l.isWatched.Load() && l.isQueued.CompareAndSwap(false, true) {
			h.shards[i].sendChanged(l)
		}
	}
}

// Newest returns the newest known value of a topic that somebody watches.
func (h *Hub) Newest(name tally.Topic) (change tally.Change, ok bool) {
	t := h.topics.find(name)
	if t == nil {
		return tally.Change{}, false
	}
	u := t.newest.Load()
	if u == nil {
		return tally.Change{}, false
	}
	return u.change, true
}

// acquire returns the topic of that name with one more reference, watching it if
// it is the first; nil when the hub watches as many as it may.
func (h *Hub) acquire(name tally.Topic) *topic {
	s := h.topics.stripe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		if most := h.options.MaxTopics; most > 0 && h.topics.count.Load() >= int64(most) {
			return nil
		}
		t = &topic{name: name, byShard: make([]subscribers, len(h.shards))}
		for i := range t.byShard {
			t.byShard[i].topic, t.byShard[i].heapIndex = t, notScheduled
		}
		s.topics[name] = t
		h.topics.count.Add(1)
		h.feed.Watch(name) // under the lock, so that Watch and Unwatch keep their order
	}
	t.refs++
	return t
}

// release gives a reference back, and the topic with the last.
func (h *Hub) release(t *topic) {
	s := h.topics.stripe(t.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.refs--; t.refs == 0 {
		delete(s.topics, t.name)
		h.topics.count.Add(-1)
		h.feed.Unwatch(t.name)
	}
}
