// Package hub is the fan-out: it holds the newest value of each watched topic, knows
// which viewers subscribe to it, and sends each viewer the topics that changed.
//
// Values come in through [tally.Sink], and in answers to assertions of viewers, and go out
// through [Conn]. Package push owns the connections and calls the hub; the feed calls it from
// the other side.
//
// The hub queues no values for a viewer. For each topic it compares the version that it
// sent with the newest one. It never sends a value that a newer one replaces, and always
// sends the last one. Hence a slow viewer costs no more memory than a fast one.
//
// On one connection the versions of a topic only grow. The hub remembers the versions
// of topics that a viewer unsubscribed from; if the viewer subscribes again and the
// store has an older version, the store reissues its value before the viewer gets one.
//
// Viewers are divided among shards, one for each processor, that share nothing but the
// newest values. One goroutine owns a shard's viewers and subscribers, makes all writes
// and closes the connections; others send it commands. A shard flushes a topic that changed
// at once, and then not again within the flush interval. If the waiting deliveries take
// longer than that, the shard waits two to four times as long as they take, so that
// processor time is left for other work, such as likes.
package hub

import (
	"cmp"
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Encoder appends the JSON of one frame to dst in a transport's encoding.
type Encoder func(dst, json []byte) []byte

// Format is the index of an [Encoder] in [Options.Formats].
type Format uint8

// Options are fixed when a [Hub] is made.
type Options struct {
	// FlushInterval is the least time between two frames of one topic to one viewer;
	// 50 ms if 0.
	FlushInterval time.Duration
	// WriteTimeout is how long a viewer may accept no bytes before the hub closes it;
	// 30 s if 0.
	WriteTimeout time.Duration
	// MaxTopics is how many distinct topics viewers may watch; 0 means any number.
	MaxTopics int
	// MaxTopicsPerViewer is how many topics one viewer may watch; 1,000 if 0.
	MaxTopicsPerViewer int
	// StaleSnapshots makes the hub send snapshots, after the event stale, even while it is
	// stale: a feed with a replica has numbers then.
	StaleSnapshots bool
	// Formats are the encodings of the transports, at least one.
	Formats []Encoder
	// Shards is the number of goroutines that write; GOMAXPROCS if 0.
	Shards int
}

// Hub holds the newest values and sends them. It implements [tally.Sink]. All methods
// may be called concurrently; none waits for a viewer.
type Hub struct {
	feed      tally.Feed
	options   Options
	start     time.Time
	topics    registry
	shards    []*shard
	nextShard atomic.Uint32 // of the next viewer, modulo the number of shards
	stats     stats

	staleSince atomic.Int64 // microseconds since the Unix epoch; 0 if the hub is live
}

// New returns a hub that asks feed for the topics that its viewers watch. The hub sends
// nothing before [Hub.Run].
func New(feed tally.Feed, options Options) *Hub {
	options.FlushInterval = cmp.Or(options.FlushInterval, 50*time.Millisecond)
	options.WriteTimeout = cmp.Or(options.WriteTimeout, 30*time.Second)
	options.MaxTopicsPerViewer = cmp.Or(options.MaxTopicsPerViewer, tally.MaxTopics)
	options.Shards = cmp.Or(options.Shards, runtime.GOMAXPROCS(0))
	h := &Hub{feed: feed, options: options, start: time.Now(), topics: registry{seed: maphash.MakeSeed()}}
	h.staleSince.Store(h.start.UnixMicro())
	for i := range h.topics.stripes {
		h.topics.stripes[i].topics = map[tally.Topic]*topic{}
	}
	for i := range options.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	return h
}

// Run serves the viewers until ctx ends. Then it closes the remaining ones.
func (h *Hub) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, s := range h.shards {
		running.Go(func() { s.run(ctx) })
	}
	running.Wait()
	return nil
}

// Push implements [tally.Sink].
func (h *Hub) Push(change tally.Change) {
	h.stats.received.Add(1)
	t := h.topics.find(change.Topic)
	switch {
	case t == nil:
	case !raise(&t.heard, change.Version): // the store has older data than before
		h.feed.Refresh(t.name)
	default:
		if _, isNew := t.advance(change, h.now()); isNew {
			h.notifyShards(t, nil)
		}
	}
}

// Settle implements [tally.Sink].
func (h *Hub) Settle(read tally.Change) (newest tally.Change) { return h.settle(read, false) }

// SettleLagging implements [tally.LaggingSink].
func (h *Hub) SettleLagging(read tally.Change) (newest tally.Change) { return h.settle(read, true) }

func (h *Hub) settle(read tally.Change, mayLag bool) (newest tally.Change) {
	t := h.topics.find(read.Topic)
	if t == nil {
		return read
	}
	for {
		floor := t.floor.Load()
		settled := read
		switch {
		case read.Version >= floor:
		case read.Version == 0 && !mayLag:
			// The store has no value that it could reissue.
			settled.Version = floor + 1
		default:
			// The caller sees the difference and asks the store to reissue, or waits for
			// the replica.
			settled.Version = floor
			return settled
		}
		raise(&t.heard, settled.Version)
		newest, isNew := t.advance(settled, h.now())
		if isNew {
			h.notifyShards(t, nil)
		}
		if t.floor.Load() == floor {
			return newest
		}
	}
}

// raiseFloor makes version the lowest one that settles t, unless the floor is higher.
func (h *Hub) raiseFloor(t *topic, version int64) {
	raise(&t.floor, version)
	// Settle loads the floor after it stores the newest value, and this method loads in
	// the opposite order: one of them sees the other's store.
	if newest := t.newest.Load(); newest != nil && newest.version < version {
		h.feed.Refresh(t.name)
	}
}

// Stale implements [tally.Sink].
func (h *Hub) Stale() {
	h.staleSince.CompareAndSwap(0, time.Now().UnixMicro())
	h.sendToAll(command{kind: goStale})
}

// Live implements [tally.Sink].
func (h *Hub) Live() {
	h.staleSince.Store(0)
	h.sendToAll(command{kind: goLive})
}

// StaleSince returns since when changes may be missed; the zero Time if none are.
func (h *Hub) StaleSince() (since time.Time) {
	if micros := h.staleSince.Load(); micros != 0 {
		since = time.UnixMicro(micros).UTC()
	}
	return since
}

// now returns nanoseconds since the hub was made.
func (h *Hub) now() int64 { return int64(time.Since(h.start)) }

func (h *Hub) sendToAll(c command) {
	for _, s := range h.shards {
		s.send(c)
	}
}

// notifyShards tells the shards with subscribers of t that there is a newer value, except one
// that knows it.
func (h *Hub) notifyShards(t *topic, except *shard) {
	for subs := t.first.Load(); subs != nil; subs = subs.next.Load() {
		if s := h.shards[subs.shard]; s != except && subs.isQueued.CompareAndSwap(false, true) {
			s.sendChanged(subs)
		}
	}
}

// Newest implements [tally.Sink].
func (h *Hub) Newest(name tally.Topic) (change tally.Change, ok bool) {
	t := h.topics.find(name)
	if t == nil {
		return tally.Change{}, false
	}
	u := t.newest.Load()
	if u == nil {
		return tally.Change{}, false
	}
	return u.change(name), true
}

// acquire returns the topic with one more reference. The first reference makes the feed
// watch it. The result is nil if the hub watches as many topics as it may.
func (h *Hub) acquire(name tally.Topic) *topic {
	s := h.topics.stripe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		if most := h.options.MaxTopics; most > 0 && h.topics.count.Load() >= int64(most) {
			return nil
		}
		t = &topic{name: name}
		s.topics[name] = t
		h.topics.count.Add(1)
		h.feed.Watch(name) // under the lock, so that Watch and Unwatch keep their order
	}
	t.refs++
	return t
}

// release gives one reference back. After the last one the feed no longer watches the topic.
func (h *Hub) release(t *topic) {
	s := h.topics.stripe(t.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.refs--; t.refs == 0 {
		if delete(s.topics, t.name); len(s.topics) == 0 {
			s.topics = map[tally.Topic]*topic{} // a map keeps the size that it once had
		}
		h.topics.count.Add(-1)
		h.feed.Unwatch(t.name)
	}
}

// stats are totals since the hub was made, except viewers.
type stats struct {
	viewers   atomic.Int64    // at present
	received  atomic.Int64    // changes
	delivered atomic.Int64    // frames of changes
	written   atomic.Int64    // bytes
	lagging   atomic.Int64    // frames of changes, without snapshots
	lag       atomic.Int64    // the sum of the lag of these, in nanoseconds
	oldestLag tally.Histogram // of the oldest change of each chunk of deliveries
	closed    [reasons]atomic.Int64
}

// Viewers returns how many viewers there are.
func (h *Hub) Viewers() int64 { return h.stats.viewers.Load() }

// WatchedTopics returns how many distinct topics viewers watch.
func (h *Hub) WatchedTopics() int64 { return h.topics.count.Load() }

// Metrics implements [tally.Instrumented].
func (h *Hub) Metrics() []tally.Sample {
	samples := []tally.Sample{
		{Name: "viewers", Help: "Connections that watch topics.", Value: float64(h.Viewers())},
		{Name: "watched_topics", Help: "Distinct topics that are watched.", Value: float64(h.WatchedTopics())},
		{Name: "changes_heard_total", Counter: true, Help: "Changes that the feed delivered.", Value: float64(h.stats.received.Load())},
		{Name: "frames_delivered_total", Counter: true, Help: "Frames of changes that viewers took.", Value: float64(h.stats.delivered.Load())},
		{Name: "delivered_bytes_total", Counter: true, Help: "Bytes that viewers took.", Value: float64(h.stats.written.Load())},
		{Name: "delivery_lag_seconds_total", Counter: true, Help: "Time from receiving a change to handing it to a viewer, summed over delivery_lag_frames_total.", Value: time.Duration(h.stats.lag.Load()).Seconds()},
		{Name: "delivery_lag_frames_total", Counter: true, Help: "Frames of changes that viewers took, without snapshots.", Value: float64(h.stats.lagging.Load())},
		{Name: "delivery_lag_seconds", Help: "Time from receiving a change to the end of the round of up to 128 writes that sent it, of the oldest change of each round. Viewers whose socket was full do not count.", Histogram: &h.stats.oldestLag},
	}
	for reason := range reasons {
		samples = append(samples, tally.Sample{
			Name: "viewers_left_total", Counter: true, Help: "Viewers that were closed, by reason.",
			Label: "reason", LabelValue: reason.String(), Value: float64(h.stats.closed[reason].Load()),
		})
	}
	return samples
}
