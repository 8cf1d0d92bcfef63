package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// linger is how long a page that went still counts, so that a reload does
	// not flicker.
	linger = 3 * time.Second
	// gather is how long changes of presence wait for others to go with them.
	gather = 100 * time.Millisecond
	// shareTTL is how long an instance's share counts after it was last set: an
	// instance that dies takes its readers with it by then.
	shareTTL = 10 * time.Second
	// renew is how often shares are set again. Two renewals may fail before one ends.
	renew = 3 * time.Second
	// shareTimeout bounds one call of the store, with at most shareChunk shares.
	shareTimeout = 3 * time.Second
	shareChunk   = 1000
	// withdrawTimeout bounds taking the shares back when the instance ends.
	withdrawTimeout = time.Second
)

// Presence counts the pages that this instance's connections hold present, and
// keeps its share of each topic's presence in the store. All methods may be
// called concurrently.
type Presence struct {
	store    tally.Store
	most     int           // topics; 0 means any number
	wake     chan struct{} // holds one when a share changed
	failures atomic.Int64

	mu      sync.Mutex
	pages   map[tally.Topic]int64 // by topic; 0 means that the share is to be withdrawn
	changed map[tally.Topic]bool  // whose share is not yet in the store
	leaving []departure           // in order of time
}

// departure is a page that went and counts until then.
type departure struct {
	until time.Time
	topic tally.Topic
}

// NewPresence returns a Presence that keeps its shares in store while
// [Presence.Run] runs, on at most maxTopics topics; 0 means any number.
func NewPresence(store tally.Store, maxTopics int) *Presence {
	return &Presence{
		store:   store,
		most:    maxTopics,
		wake:    make(chan struct{}, 1),
		pages:   map[tally.Topic]int64{},
		changed: map[tally.Topic]bool{},
	}
}

// Enter counts one more page on topic. It is false when pages are present on as
// many other topics as they may.
func (p *Presence) Enter(topic tally.Topic) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.pages[topic]; !ok && p.most > 0 && len(p.pages) >= p.most {
		return false
	}
	p.pages[topic]++
	p.changed[topic] = true
	p.rouse()
	return true
}

// Leave counts one page less on topic, 3 s from now.
func (p *Presence) Leave(topic tally.Topic) {
	p.mu.Lock()
	p.leaving = append(p.leaving, departure{time.Now().Add(linger), topic})
	p.mu.Unlock()
	p.rouse()
}

func (p *Presence) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run keeps the shares until ctx ends, and withdraws them then.
func (p *Presence) Run(ctx context.Context) error {
	renewal := time.NewTicker(renew)
	defer renewal.Stop()
	timer := time.NewTimer(renew)
	defer timer.Stop()
	next := time.Now().Add(renew) // when timer fires
	for {
		select {
		case <-ctx.Done():
			return p.withdraw(context.WithoutCancel(ctx))
		case <-renewal.C:
			p.expire(time.Now())
			p.set(ctx, p.all())
		case <-p.wake:
			if soon := time.Now().Add(gather); soon.Before(next) {
				next = soon
				timer.Reset(gather)
			}
		case <-timer.C:
			wait := p.expire(time.Now())
			p.set(ctx, p.due())
			next = time.Now().Add(wait)
			timer.Reset(wait)
		}
	}
}

// expire takes off the pages whose time is over and returns when the next is.
func (p *Presence) expire(now time.Time) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := 0
	for _, d := range p.leaving {
		if d.until.After(now) {
			break
		}
		p.pages[d.topic]--
		p.changed[d.topic] = true
		gone++
	}
	if p.leaving = p.leaving[gone:]; len(p.leaving) == 0 {
		p.leaving = nil
		return renew
	}
	return p.leaving[0].until.Sub(now) + gather
}

// due returns the shares that changed.
func (p *Presence) due() []tally.Share {
	p.mu.Lock()
	defer p.mu.Unlock()
	shares := make([]tally.Share, 0, len(p.changed))
	for topic := range p.changed {
		shares = append(shares, tally.Share{Topic: topic, Pages: p.pages[topic]})
	}
	clear(p.changed)
	return shares
}

// all returns every share.
func (p *Presence) all() []tally.Share {
	p.mu.Lock()
	defer p.mu.Unlock()
	shares := make([]tally.Share, 0, len(p.pages))
	for topic, pages := range p.pages {
		shares = append(shares, tally.Share{Topic: topic, Pages: pages})
	}
	clear(p.changed)
	return shares
}

// set sends shares to the store. What the store does not take goes with the next
// renewal; what it took of a topic without pages is forgotten.
func (p *Presence) set(ctx context.Context, shares []tally.Share) {
	for chunk := range slices.Chunk(shares, shareChunk) {
		p.setChunk(ctx, chunk)
	}
}

func (p *Presence) setChunk(ctx context.Context, shares []tally.Share) {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	if err := p.store.SetShares(ctx, shareTTL, shares); err != nil {
		p.failures.Add(1)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, share := range shares {
		if share.Pages == 0 && p.pages[share.Topic] == 0 {
			delete(p.pages, share.Topic)
		}
	}
}

// withdraw takes all shares back, so that nobody has to wait for their end.
func (p *Presence) withdraw(ctx context.Context) error {
	p.mu.Lock()
	for topic := range p.pages {
		p.pages[topic] = 0
	}
	p.leaving = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	p.set(ctx, p.all())
	return nil
}

// Metrics implements [tally.Instrumented].
func (p *Presence) Metrics() []tally.Metric {
	p.mu.Lock()
	topics := len(p.pages)
	var pages int64
	for _, n := range p.pages {
		pages += n
	}
	p.mu.Unlock()
	return []tally.Metric{
		{Name: "present_topics", Help: "Topics on which this instance holds pages present.", Value: float64(topics)},
		{Name: "present_pages", Help: "Pages that this instance holds present.", Value: float64(pages)},
		{Name: "presence_failures_total", Counter: true, Help: "Times the store did not take this instance's shares.", Value: float64(p.failures.Load())},
	}
}
