package hub

import (
	"sync"
	"sync/atomic"

	"github.com/tallycast/tallycast/internal/tally"
)

// update is a change with its bytes for each format, encoded when the first
// viewer needs them. It is shared by all shards and never altered.
type update struct {
	change   tally.Change
	received int64 // when, in the hub's time
	once     sync.Once
	frames   [][]byte // by Format
}

// frame returns the bytes of u in the format given.
func (u *update) frame(format Format, formats []Encoder) []byte {
	u.once.Do(func() {
		json := tally.AppendFrame(make([]byte, 0, 128), u.change)
		u.frames = make([][]byte, len(formats))
		for i, encode := range formats {
			u.frames[i] = encode(make([]byte, 0, len(json)+16), json)
		}
	})
	return u.frames[format]
}

// topic is one that somebody watches.
type topic struct {
	name   tally.Topic
	newest atomic.Pointer[update] // the newest known; nil until it was settled
	// floor is the highest version that a viewer was sent who left the topic and came
	// back: what is older does not settle the topic.
	floor atomic.Int64

	// Guarded by the mutex of the topic's stripe.
	refs int // subscriptions, and those on their way to a shard

	byShard []subscribers // one a shard
}

// advance makes change, heard now, the one held if it is newer, and returns the one
// held then.
func (t *topic) advance(change tally.Change, now int64) (held tally.Change, taken bool) {
	next := &update{change: change, received: now}
	for {
		current := t.newest.Load()
		if current != nil && current.change.Version >= change.Version {
			return current.change, false
		}
		if t.newest.CompareAndSwap(current, next) {
			return change, true
		}
	}
}

// subscribers is who watches a topic within one shard.
type subscribers struct {
	topic *topic
	// isQueued is true while the list waits in the shard's inbox: it is set by who
	// changed the topic and cleared by the shard before it looks at held.
	isQueued atomic.Bool
	// isWatched is true while there are subscribers. The shard sets it before it
	// looks at held; who changes the topic looks at it after: one sees the other.
	isWatched atomic.Bool

	// Owned by the shard's goroutine.
	entries   []subscriber
	flushed   *update // what subscribers may be sent; nil until settled
	due       int64   // when the next may be released, in the shard's time
	heapIndex int     // in the shard's schedule, or unscheduled
}

const notScheduled = -1

// subscriber is a viewer in a list, and where the viewer notes it.
type subscriber struct {
	viewer *Viewer
	slot   int32 // in viewer.subscriptions
}

// subscription is a list in a viewer, and where the list notes the viewer.
type subscription struct {
	subscribers *subscribers
	sent        int64 // version that the viewer was sent last, or unsent(least)
	position    int32 // in list.subscribers
}

// unsent stands for the version last sent while nothing was sent. The first must be least
// at least: the viewer was sent that one before it left the topic and came back.
func unsent(least int64) int64 { return -1 - least }

// needs reports whether the viewer is to be sent a topic at version.
func (s *subscription) needs(version int64) bool {
	if s.sent < 0 {
		return version >= s.minVersion()
	}
	return version > s.sent
}

// minVersion returns the lowest version that may be sent.
func (s *subscription) minVersion() int64 {
	if s.sent < 0 {
		return -1 - s.sent
	}
	return s.sent
}

// stripes divide the watched topics so that feeds and viewers that come and go
// seldom wait for each other. A power of two.
const stripes = 64

// registry is the set of watched topics.
type registry struct {
	stripes [stripes]stripe
	count   atomic.Int64
}

type stripe struct {
	mu     sync.RWMutex
	topics map[tally.Topic]*topic
}

// stripe returns where a topic belongs: FNV-1a of its text.
func (r *registry) stripe(name tally.Topic) *stripe {
	hash := uint32(2166136261)
	text := name.String()
	for i := range len(text) {
		hash = (hash ^ uint32(text[i])) * 16777619
	}
	return &r.stripes[(hash^hash>>16)%stripes]
}

// find returns a watched topic, or nil.
func (r *registry) find(name tally.Topic) *topic {
	s := r.stripe(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[name]
}
