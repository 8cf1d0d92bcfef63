// Package presence counts the pages that are open on connections of this instance, and
// keeps the instance's share of each topic's count in the store. A share expires in the
// store unless it is renewed, so the pages of an instance that died stop counting.
// Package push reports the pages.
package presence

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// leaveDelay is how long a page still counts after it left, so that the count does
	// not fall during a reload.
	leaveDelay = 3 * time.Second
	// batchInterval is how often changed shares are stored, all together.
	batchInterval = 100 * time.Millisecond
	// shareTTL is how long the store counts a share after it was last set.
	shareTTL = 10 * time.Second
	// renewInterval is how often shares are set again. Two renewals may fail before a
	// share expires.
	renewInterval = 3 * time.Second
	// storeTimeout bounds one call of the store, which sets at most batchSize shares.
	storeTimeout = 3 * time.Second
	batchSize    = 1000
	// withdrawTimeout bounds setting all shares to 0 when the instance ends.
	withdrawTimeout = time.Second
)

// Tracker counts present pages by topic. All methods may be called concurrently.
type Tracker struct {
	store     tally.PresenceStore
	maxTopics int // 0 means any number
	failures  atomic.Int64

	mu      sync.Mutex
	pages   map[tally.Topic]pages // a topic without pages stays until its 0 is stored
	changed map[tally.Topic]bool  // shares that the store does not have yet
	leaving []departure           // oldest first
}

// pages are the present pages on a topic.
type pages struct {
	count     int64
	mayRecord bool // one of the pages may begin the history of the topic
}

// departure is a page that left and counts until the leave delay is over.
type departure struct {
	until time.Time
	topic tally.Topic
}

// New returns a Tracker that keeps shares of at most maxTopics topics in store while
// [Tracker.Run] runs; 0 means any number.
func New(store tally.PresenceStore, maxTopics int) *Tracker {
	return &Tracker{
		store:     store,
		maxTopics: maxTopics,
		pages:     map[tally.Topic]pages{},
		changed:   map[tally.Topic]bool{},
	}
}

// Enter counts one more page on topic. It returns false, and counts nothing, if that is one
// topic too many. mayRecord reports whether the page may begin the history of the topic.
// Enter does not call it if another page on the topic may do so.
func (t *Tracker) Enter(topic tally.Topic, mayRecord func() bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pages[topic]
	if !ok && t.maxTopics > 0 && len(t.pages) >= t.maxTopics {
		return false
	}
	t.pages[topic] = pages{p.count + 1, p.mayRecord || mayRecord()}
	t.changed[topic] = true
	return true
}

// Leave counts one page less on topic after the leave delay.
func (t *Tracker) Leave(topic tally.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = append(t.leaving, departure{time.Now().Add(leaveDelay), topic})
}

// Run stores the shares until ctx ends, and then sets them to 0.
func (t *Tracker) Run(ctx context.Context) error {
	ticker := time.NewTicker(batchInterval)
	defer ticker.Stop()
	for renewed := time.Now(); ; {
		select {
		case <-ctx.Done():
			t.withdraw(context.WithoutCancel(ctx))
			return nil
		case now := <-ticker.C:
			t.expire(now)
			renews := now.Sub(renewed) >= renewInterval
			if renews {
				renewed = now
			}
			t.set(ctx, t.takeChanged(renews))
		}
	}
}

// expire removes the pages whose leave delay is over.
func (t *Tracker) expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.leaving) > 0 && !t.leaving[0].until.After(now) {
		topic := t.leaving[0].topic
		p := t.pages[topic]
		p.count--
		t.pages[topic] = p
		t.changed[topic] = true
		t.leaving = t.leaving[1:]
	}
	if len(t.leaving) == 0 {
		t.leaving = nil // frees the memory
	}
}

// takeChanged returns the shares that changed since the last call, or all shares.
func (t *Tracker) takeChanged(all bool) []tally.Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	topics := maps.Keys(t.changed)
	if all {
		topics = maps.Keys(t.pages)
	}
	var shares []tally.Share
	for topic := range topics {
		shares = append(shares, tally.Share{Topic: topic, Pages: t.pages[topic].count, MayRecord: t.pages[topic].mayRecord})
	}
	clear(t.changed)
	return shares
}

// set stores shares in batches. The next renewal repeats those that the store did not take.
func (t *Tracker) set(ctx context.Context, shares []tally.Share) {
	for batch := range slices.Chunk(shares, batchSize) {
		t.setBatch(ctx, batch)
	}
}

// setBatch stores shares, and forgets the topics of those that are 0.
func (t *Tracker) setBatch(ctx context.Context, shares []tally.Share) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := t.store.SetShares(ctx, shareTTL, shares); err != nil {
		t.failures.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, share := range shares {
		if share.Pages == 0 && t.pages[share.Topic].count == 0 {
			delete(t.pages, share.Topic)
		}
	}
}

// withdraw sets all shares to 0, so that readers disappear before shares expire.
func (t *Tracker) withdraw(ctx context.Context) {
	t.mu.Lock()
	for topic := range t.pages {
		t.pages[topic] = pages{}
	}
	t.leaving = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	t.set(ctx, t.takeChanged(true))
}

// Present returns how many pages are present, and on how many topics.
func (t *Tracker) Present() (pages int64, topics int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pages {
		pages += p.count
	}
	return pages, len(t.pages)
}

// Metrics implements [tally.Instrumented].
func (t *Tracker) Metrics() []tally.Sample {
	pages, topics := t.Present()
	return []tally.Sample{
		{Name: "present_topics", Help: "Topics on which this instance holds pages present.", Value: float64(topics)},
		{Name: "present_pages", Help: "Pages that this instance holds present.", Value: float64(pages)},
		{Name: "presence_failures_total", Counter: true, Help: "Times the store did not take this instance's shares.", Value: float64(t.failures.Load())},
	}
}
