package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/tallycast/tallycast/internal/tally"
)

// update is a state of a topic and its frame in each format. The frames are encoded when several
// viewers of a shard need them. All shards share them.
type update struct {
	count    int64
	options  tally.Options
	version  int64
	received int64                    // in the hub's time
	frames   atomic.Pointer[[][]byte] // by Format; nil until they are encoded
}

// change returns u as a change of the topic with that name.
func (u *update) change(name tally.Topic) tally.Change {
	return tally.Change{Topic: name, Count: u.count, Options: u.options, Version: u.version}
}

// frame returns the frame of u, of the topic with that name, in a format. It keeps the frames of
// all formats.
func (u *update) frame(name tally.Topic, format Format, formats []Encoder) []byte {
	frames := u.frames.Load()
	if frames == nil {
		json := tally.AppendFrame(make([]byte, 0, 128), u.change(name))
		encoded := make([][]byte, len(formats))
		for i, encode := range formats {
			encoded[i] = encode(make([]byte, 0, len(json)+16), json)
		}
		frames = &encoded
		u.frames.Store(frames) // another shard may store equal ones
	}
	return (*frames)[format]
}

// topic is a watched topic. There may be millions, most of them with one viewer.
type topic struct {
	name   tally.Topic
	newest atomic.Pointer[update] // nil until the feed settles the topic
	// floor is the lowest version that settles the topic: the highest one that was sent
	// to a viewer that unsubscribed and subscribed again.
	floor atomic.Int64
	// heard is the highest version that the feed delivered or read. Answers to assertions have higher
	// ones before the feed delivers them.
	heard atomic.Int64
	// first begins the list of the shards' subscribers. The mutex of the topic's stripe guards
	// changes of the list. A shard adds its subscribers before it loads the newest value, and
	// notifyShards loads the list after the value was stored: one of them sees the other's
	// store.
	first atomic.Pointer[subscribers]

	// Guarded by the mutex of the topic's stripe.
	refs int32 // subscriptions, including those in the inbox of a shard
}

// raise stores version unless a higher one is stored. It returns false if it is.
func raise(highest *atomic.Int64, version int64) bool {
	for {
		before := highest.Load()
		if version <= before {
			return version == before
		}
		if highest.CompareAndSwap(before, version) {
			return true
		}
	}
}

// advance makes change, received at now, the newest value if its version is higher. It
// returns the newest value, and whether that is change.
func (t *topic) advance(change tally.Change, now int64) (newest tally.Change, isNew bool) {
	var next *update
	for {
		current := t.newest.Load()
		if current != nil && current.version >= change.Version {
			return current.change(t.name), false
		}
		if next == nil {
			next = &update{count: change.Count, options: change.Options, version: change.Version, received: now}
		}
		if t.newest.CompareAndSwap(current, next) {
			return change, true
		}
	}
}

// subscribersOf returns the subscribers of a shard, or nil.
func (t *topic) subscribersOf(shard int) *subscribers {
	for subs := t.first.Load(); subs != nil; subs = subs.next.Load() {
		if int(subs.shard) == shard {
			return subs
		}
	}
	return nil
}

// subscribers are the viewers of one shard that watch a topic, at least one as long as they are
// in the topic's list.
type subscribers struct {
	topic *topic                      // fixed
	next  atomic.Pointer[subscribers] // in the topic's list

	// Owned by the shard's goroutine.
	entries []subscriber
	flushed *update // sent to the subscribers; nil until the topic is settled
	due     int64   // the earliest time of the next flush, in the hub's time

	// isQueued is true while this is in the shard's inbox. The goroutine that changed
	// the topic sets it; the shard clears it before it loads the newest value.
	isQueued    atomic.Bool
	shard       uint16 // fixed; its index
	isScheduled bool   // owned by the shard's goroutine: it is in the shard's schedule
}

// subscriber is one of the viewers that watch a topic.
type subscriber struct {
	viewer *Viewer
	slot   int32 // index in viewer.subscriptions
}

// subscription is one of the topics that a viewer watches.
type subscription struct {
	subscribers *subscribers
	sent        int64 // version last sent, or notSent(minVersion)
	position    int32 // index in subscribers.entries
}

// notSent is the value of sent until the first frame, which must have at least minVersion: the
// viewer got that version before it unsubscribed.
func notSent(minVersion int64) int64 { return -1 - minVersion }

// needs reports whether the viewer still needs version of the topic.
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

// stripeCount is the number of maps that hold the watched topics, so that feeds and viewers
// seldom wait for each other. A power of two.
const stripeCount = 64

// registry is the set of watched topics.
type registry struct {
	seed    maphash.Seed
	stripes [stripeCount]stripe
	count   atomic.Int64
}

type stripe struct {
	mu     sync.RWMutex
	topics map[tally.Topic]*topic
}

// stripe returns the stripe of a topic.
func (r *registry) stripe(name tally.Topic) *stripe {
	return &r.stripes[maphash.String(r.seed, name.String())%stripeCount]
}

// find returns a watched topic, or nil.
func (r *registry) find(name tally.Topic) *topic {
	s := r.stripe(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[name]
}

// addSubscribers adds the first subscribers of a shard to their topic.
func (r *registry) addSubscribers(subs *subscribers) {
	s := r.stripe(subs.topic.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	subs.next.Store(subs.topic.first.Load())
	subs.topic.first.Store(subs)
}

// removeSubscribers removes what addSubscribers added. The next of subs stays for concurrent readers
// of the list.
func (r *registry) removeSubscribers(subs *subscribers) {
	s := r.stripe(subs.topic.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	link := &subs.topic.first
	for link.Load() != subs {
		link = &link.Load().next
	}
	link.Store(subs.next.Load())
}
