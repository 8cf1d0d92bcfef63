package redisstore

import (
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// feed tracks the watched topics of a node: which are subscribed, confirmed and settled.
// It does no I/O: the goroutines of a session take work from it.
type feed struct {
	// Fixed after newFeed.
	isPresence func(tally.Topic) bool

	// Each holds a token if there may be work.
	dirtyReady  chan struct{} // for the goroutine that subscribes
	settleReady chan struct{} // for the goroutine that settles

	mu sync.Mutex
	// Guarded by mu.
	topics       map[string]*topicState    // by the topic's text
	sweeps       [2]sweepList              // the same topics: others, presence
	watches      uint32                    // number of the last watch
	wanted       int                       // topics with wanted set
	isFirst      bool                      // nothing was watched before; see takeFirst
	dirty        []*topicState             // with queued set: to subscribe or unsubscribe
	settle       []*topicState             // with settling set: confirmed, to be read
	pending      int                       // sum of all topics' pending
	pendingSince time.Time                 // of the last confirmation, or of the first unconfirmed command
	blockers     int                       // topics with blocksLive set
	behind       map[*topicState]time.Time // see setBehind
	session      bool                      // whether a session runs
	live         bool                      // see becomeLive
}

func newFeed(isPresence func(tally.Topic) bool, intervals Intervals) *feed {
	return &feed{
		isPresence:  isPresence,
		dirtyReady:  make(chan struct{}, 1),
		settleReady: make(chan struct{}, 1),
		topics:      map[string]*topicState{},
		behind:      map[*topicState]time.Time{},
		sweeps:      [2]sweepList{{period: intervals.Sweep}, {period: intervals.PresenceSweep}},
	}
}

// sweepOf returns the list that has t.
func (f *feed) sweepOf(t *topicState) *sweepList {
	if t.is(isPresence) {
		return &f.sweeps[1]
	}
	return &f.sweeps[0]
}

// notify puts a token into c, which has capacity 1, unless it has one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *feed) watch(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[topic.String()]
	if t == nil {
		t = &topicState{topic: topic}
		if f.isPresence(topic) {
			t.set(isPresence)
		}
		f.topics[topic.String()] = t
		f.sweepOf(t).add(t)
	}
	if !t.is(wanted) {
		f.watches++
		t.set(wanted)
		t.number = f.watches
		f.wanted++
		f.isFirst = f.isFirst || f.wanted == 1
	}
	if t.is(subscribed) {
		f.settleLocked(t) // again: the new viewer has no state yet
	} else {
		f.queueLocked(t)
	}
}

// settleAgain queues a topic for settling. A topic that is not subscribed yet will be settled
// after its subscription anyway.
func (f *feed) settleAgain(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic.String()]; t != nil {
		f.settleLocked(t)
	}
}

func (f *feed) unwatch(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[topic.String()]
	if t == nil {
		return
	}
	if t.is(wanted) {
		f.wanted--
	}
	t.unset(wanted)
	f.unblockLocked(t)
	if t.is(subscribed) {
		f.queueLocked(t)
	} else {
		f.dropLocked(t)
	}
}

// queueLocked queues t to be subscribed or unsubscribed.
func (f *feed) queueLocked(t *topicState) {
	if f.session && !t.is(queued) {
		t.set(queued)
		f.dirty = append(f.dirty, t)
		notify(f.dirtyReady)
	}
}

// settleLocked queues t to be settled, if its subscription is confirmed.
func (f *feed) settleLocked(t *topicState) {
	if t.is(wanted) && t.is(subscribed) && t.pending == 0 && !t.is(settling) {
		t.set(settling)
		f.settle = append(f.settle, t)
		notify(f.settleReady)
	}
}

// dropLocked removes t, unless it is still subscribed or queued.
func (f *feed) dropLocked(t *topicState) {
	if !t.is(wanted) && !t.is(subscribed) && t.pending == 0 && !t.is(queued) {
		f.removeLocked(t)
	}
}

func (f *feed) removeLocked(t *topicState) {
	if delete(f.topics, t.topic.String()); len(f.topics) == 0 {
		f.topics = map[string]*topicState{} // a map keeps the size that it once had
	}
	delete(f.behind, t)
	f.sweepOf(t).remove(t)
}

// unblockLocked allows the feed to become live without t.
func (f *feed) unblockLocked(t *topicState) {
	if t.is(blocksLive) {
		t.unset(blocksLive)
		f.blockers--
		if f.blockers == 0 {
			notify(f.settleReady) // the feed may be live now
		}
	}
}

// reset begins or ends a session: no topic is subscribed then. The feed becomes live after all
// topics that are watched at the start of the session were subscribed and settled.
func (f *feed) reset(session bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = session
	f.dirty, f.settle, f.pending, f.blockers = nil, nil, 0, 0
	clear(f.behind)
	for _, t := range f.topics {
		if !t.is(wanted) {
			f.removeLocked(t)
			continue
		}
		t.pending = 0
		t.flags &= wanted | isPresence
		if session {
			t.set(blocksLive)
			f.blockers++
			f.queueLocked(t)
		}
	}
	notify(f.settleReady)
}

// takeDirty returns at most limit topics to subscribe and to unsubscribe, and none while
// more than limit confirmations are missing.
func (f *feed) takeDirty(limit int) (subscribe, unsubscribe []tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending > limit {
		return nil, nil // the last confirmation notifies
	}
	n := min(limit, len(f.dirty))
	for _, t := range f.dirty[:n] {
		t.unset(queued)
		if t.is(wanted) == t.is(subscribed) {
			f.dropLocked(t)
			continue
		}
		t.unset(settled)
		if f.pending == 0 {
			f.pendingSince = time.Now()
		}
		t.pending++
		f.pending++
		if t.is(wanted) {
			t.set(subscribed)
			subscribe = append(subscribe, t.topic)
		} else {
			t.unset(subscribed)
			unsubscribe = append(unsubscribe, t.topic)
		}
	}
	if f.dirty = f.dirty[n:]; len(f.dirty) == 0 {
		f.dirty = nil
	} else {
		notify(f.dirtyReady)
	}
	return subscribe, unsubscribe
}

// confirm records that Redis confirmed a command for a topic.
func (f *feed) confirm(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[text]
	if t == nil || t.pending == 0 {
		return
	}
	t.pending--
	f.pending--
	f.pendingSince = time.Now()
	if len(f.dirty) > 0 {
		notify(f.dirtyReady)
	}
	if !t.is(prefetched) {
		f.settleLocked(t)
	}
	f.dropLocked(t)
}

// unconfirmed returns how long Redis has not confirmed any of the pending commands; 0 if there
// are none.
func (f *feed) unconfirmed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == 0 {
		return 0
	}
	return time.Since(f.pendingSince)
}

// takeSettle returns at most limit topics whose state is to be read.
func (f *feed) takeSettle(limit int) (watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(limit, len(f.settle))
	for _, t := range f.settle[:n] {
		t.unset(settling)
		if t.is(wanted) && t.is(subscribed) && t.pending == 0 {
			watches = append(watches, watch{t.topic, t.number})
		}
	}
	if f.settle = f.settle[n:]; len(f.settle) == 0 {
		f.settle = nil
	} else {
		notify(f.settleReady)
	}
	return watches
}

// isCurrent reports whether a watch has not ended.
func (f *feed) isCurrent(w watch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[w.topic.String()]
	return t != nil && t.is(wanted) && t.number == w.number
}

// setSettled records that the topics were settled.
func (f *feed) setSettled(watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range watches {
		if t := f.topics[w.topic.String()]; t != nil && t.number == w.number {
			if t.is(subscribed) {
				t.set(settled)
			}
			f.unblockLocked(t)
		}
	}
}

// watchedTopic returns the topic with that text if it is watched.
func (f *feed) watchedTopic(text string) (tally.Topic, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[text]
	if t == nil || !t.is(wanted) {
		return tally.Topic{}, false
	}
	return t.topic, true
}

// takeFirst reports, once, that a topic was watched when no other one was.
func (f *feed) takeFirst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	isFirst := f.isFirst
	f.isFirst = false
	return isFirst
}

// isWatched reports whether a topic is watched.
func (f *feed) isWatched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted > 0
}

// takeSweep appends the settled topics that the sweep takes now, of others and of presence.
func (f *feed) takeSweep(now time.Time, others, presence []watch) (_, _ []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sweeps[0].appendTo(others, now), f.sweeps[1].appendTo(presence, now)
}

// becomeLive makes the feed live if a session runs and no topic has blocksLive set. It reports
// whether the feed was not live before.
func (f *feed) becomeLive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.session || f.live || f.blockers > 0 {
		return false
	}
	f.live = true
	return true
}

// becomeStale makes the feed stale, and reports whether it was live.
func (f *feed) becomeStale() (wasLive bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wasLive, f.live = f.live, false
	return wasLive
}

func (f *feed) status() (watched int64, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.topics)), f.live
}

// wantedTopics returns the watched topics.
func (f *feed) wantedTopics() (topics []tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		if t.is(wanted) {
			topics = append(topics, t.topic)
		}
	}
	return topics
}

// watchBeforeLive watches a topic that no other feed follows any more. This feed is not live until
// the topic is settled.
func (f *feed) watchBeforeLive(topic tally.Topic) {
	f.watch(topic)
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic.String()]; t != nil && f.session && !t.is(blocksLive) {
		t.set(blocksLive)
		f.blockers++
		f.live = false
	}
}
