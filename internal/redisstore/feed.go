package redisstore

import (
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// feed knows which topics of a node are watched and how far following each has
// come. It does no I/O: the goroutines of a session take work from it.
type feed struct {
	// Each holds at most one token, which says that there may be something to do.
	dirtyReady  chan struct{} // for the goroutine that subscribes
	settleReady chan struct{} // for the goroutine that settles

	mu sync.Mutex
	// Guarded by mu.
	topics       map[string]*topicState // by the topic's text
	watches      uint64                 // how many began
	dirty        []*topicState          // to be subscribed or unsubscribed, those with queued set
	settle       []*topicState          // confirmed, their state to be read, those with settling set
	pending      int                    // sum of all topics' pending
	pendingSince time.Time              // since when none of them was confirmed
	blockers     int                    // topics with owed set
	session      bool                   // whether there is a session
	live         bool                   // whether all that was watched has been settled
}

// topicState is a topic on its way from Watch to Settle, or back.
type topicState struct {
	topic      tally.Topic
	number     uint64 // of the watch, see watch
	wanted     bool   // between Watch and Unwatch
	subscribed bool   // what was sent to Redis last, in this session
	queued     bool   // stands in dirty
	settling   bool   // stands in settle
	settled    bool   // was settled in this session since it was subscribed
	blocksLive bool   // must be settled before the feed is live
	pending    int32
}

// watch is a topic between Watch and Unwatch. Its number tells it from the next one: what
// was read for a watch that ended is too old for one that began since.
type watch struct {
	topic  tally.Topic
	number uint64
}

// queuedBroadcasts is how many payloads wait for Redis: some seconds of them.
const queuedBroadcasts = 256

func newFeed() *feed {
	return &feed{
		dirtyReady:  make(chan struct{}, 1),
		settleReady: make(chan struct{}, 1),
		topics:      map[string]*topicState{},
	}
}

// notify leaves a token in c.
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
		f.topics[topic.String()] = t
	}
	if !t.wanted {
		f.watches++
		t.wanted, t.number = true, f.watches
	}
	if t.subscribed {
		f.settleLocked(t) // again: whoever watches now knows nothing yet
	} else {
		f.queueLocked(t)
	}
}

// settleAgain has a topic settled again. One that is not subscribed yet will be settled.
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
	t.wanted = false
	f.unblockLocked(t)
	if t.subscribed {
		f.queueLocked(t)
	} else {
		f.dropLocked(t)
	}
}

// queueLocked has t's subscription looked at.
func (f *feed) queueLocked(t *topicState) {
	if f.session && !t.queued {
		t.queued = true
		f.dirty = append(f.dirty, t)
		notify(f.dirtyReady)
	}
}

// settleLocked has t's state read, if its subscription stands and is confirmed.
func (f *feed) settleLocked(t *topicState) {
	if t.wanted && t.subscribed && t.pending == 0 && !t.settling {
		t.settling = true
		f.settle = append(f.settle, t)
		notify(f.settleReady)
	}
}

// dropLocked forgets t, unless something about it is under way.
func (f *feed) dropLocked(t *topicState) {
	if !t.wanted && !t.subscribed && t.pending == 0 && !t.queued {
		delete(f.topics, t.topic.String())
	}
}

func (f *feed) unblockLocked(t *topicState) {
	if t.blocksLive {
		t.blocksLive = false
		f.blockers--
		if f.blockers == 0 {
			notify(f.settleReady) // the feed may be live now
		}
	}
}

// begin starts a session: nothing is subscribed, every watched topic is to be, and
// to be settled before the feed is live.
func (f *feed) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = true
	f.dirty, f.settle, f.pending, f.blockers = nil, nil, 0, 0
	for text, t := range f.topics {
		if !t.wanted {
			delete(f.topics, text)
			continue
		}
		*t = topicState{topic: t.topic, number: t.number, wanted: true, blocksLive: true}
		f.blockers++
		f.queueLocked(t)
	}
	notify(f.settleReady)
}

// end ends a session.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = false
	for text, t := range f.topics {
		if !t.wanted {
			delete(f.topics, text)
			continue
		}
		*t = topicState{topic: t.topic, number: t.number, wanted: true}
	}
	f.dirty, f.settle, f.pending, f.blockers = nil, nil, 0, 0
}

// takeDirty returns topics to subscribe and to unsubscribe, at most limit of them,
// and none while the confirmations of more than limit are outstanding.
func (f *feed) takeDirty(limit int) (subscribe, unsubscribe []tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending > limit {
		return nil, nil // the last confirmation pokes again
	}
	n := min(limit, len(f.dirty))
	for _, t := range f.dirty[:n] {
		t.queued = false
		if t.wanted == t.subscribed {
			f.dropLocked(t)
			continue
		}
		t.subscribed, t.settled = t.wanted, false
		if f.pending == 0 {
			f.pendingSince = time.Now()
		}
		t.pending++
		f.pending++
		if t.wanted {
			subscribe = append(subscribe, t.topic)
		} else {
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

// confirm notes that Redis carried out what was sent for a topic.
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
	f.settleLocked(t)
	f.dropLocked(t)
}

// unconfirmed returns how long Redis has confirmed nothing of what was sent.
func (f *feed) unconfirmed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == 0 {
		return 0
	}
	return time.Since(f.pendingSince)
}

// takeSettle returns topics whose state is to be read, at most limit.
func (f *feed) takeSettle(limit int) (watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(limit, len(f.settle))
	for _, t := range f.settle[:n] {
		t.settling = false
		if t.wanted && t.subscribed && t.pending == 0 {
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

// isCurrent tells whether a watch has not ended yet.
func (f *feed) isCurrent(w watch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[w.topic.String()]
	return t != nil && t.wanted && t.number == w.number
}

// settledAll notes that the topics were settled, and pays what they owed.
func (f *feed) settledAll(watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range watches {
		if t := f.topics[w.topic.String()]; t != nil && t.number == w.number {
			t.settled = t.subscribed
			f.unblockLocked(t)
		}
	}
}

// watchedTopic returns the topic of that text, if somebody watches it.
func (f *feed) watchedTopic(text string) (tally.Topic, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[text]
	if t == nil || !t.wanted {
		return tally.Topic{}, false
	}
	return t.topic, true
}

// settledTopics returns the settled topics that the sweep is to read.
func (f *feed) settledTopics(of func(tally.Topic) bool) (watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		if t.settled && t.wanted && of(t.topic) {
			watches = append(watches, watch{t.topic, t.number})
		}
	}
	return watches
}

// becomeLive tells whether the feed is live from now on.
func (f *feed) becomeLive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.session || f.live || f.blockers > 0 {
		return false
	}
	f.live = true
	return true
}

// becomeStale ends that, and tells whether it was so.
func (f *feed) becomeStale() (was bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.live = f.live, false
	return was
}

func (f *feed) status() (watched int64, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.topics)), f.live
}

// wantedTopics returns all topics between watch and unwatch.
func (f *feed) wantedTopics() (topics []tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		if t.wanted {
			topics = append(topics, t.topic)
		}
	}
	return topics
}

// watchBeforeLive watches a topic that nobody follows any more: the feed is not live until it
// was settled here.
func (f *feed) watchBeforeLive(topic tally.Topic) {
	f.watch(topic)
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[topic.String()]; t != nil && f.session && !t.blocksLive {
		t.blocksLive = true
		f.blockers++
		f.live = false
	}
}
