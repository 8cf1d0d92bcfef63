package ratelimit

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// burst is the default of [Limits].Burst: a page with many hearts begins with a request for each.
	burst = 3
	// wideFactor is how many times an address's limits an IPv6 /48 has. Providers usually
	// assign a customer a network between a /64 and a /48.
	wideFactor = 16
	// shareInterval is how often instances share the use of addresses. Within this time an
	// address can exceed its limit by using several instances. Then it has to wait longer.
	shareInterval = 100 * time.Millisecond
)

// Limits are the limits of one client address.
type Limits struct {
	Writes, Reads Limit
	NewTopics     Limit // topics that the address creates
	Topic         Limit // new contributions to one topic
	Burst         int   // size of the buckets of reads and writes, in periods of the limit; 3 by default
}

// Limiter limits what a client address does: writes, reads, new topics, and new contributions
// to each topic. An IPv6 /48 has 16 times the limits of writes, new topics and new
// contributions. All methods may be called concurrently.
type Limiter struct {
	// Fixed after construction.
	limitsWrites bool                   // whether writes have any limit
	secret       func() ([]byte, error) // nil if this instance counts alone
	start        time.Time

	tables  [bucketLimits]table
	cipher  atomic.Pointer[addressCipher]
	refused struct{ writes, reads, topics, additions atomic.Int64 }

	secretMutex sync.Mutex // held while the secret is applied
}

// New returns a limiter. secret returns the key of the hashes of addresses that instances
// share, or an error if it is not known yet. If secret is nil, this instance counts alone.
func New(limits Limits, secret func() ([]byte, error)) *Limiter {
	l := &Limiter{secret: secret, start: time.Now()}
	burst := cmp.Or(limits.Burst, burst)
	for limit, rate := range [bucketLimits]Rate{
		writeBucket:      NewRate(limits.Writes, burst),
		readBucket:       NewRate(limits.Reads, burst),
		createBucket:     NewRate(limits.NewTopics, 1), // one period is enough to publish a site
		topicBucket:      NewRate(limits.Topic, 1),
		wideTopicBucket:  NewRate(limits.Topic.times(wideFactor), 1),
		wideWriteBucket:  NewRate(limits.Writes.times(wideFactor), burst),
		wideCreateBucket: NewRate(limits.NewTopics.times(wideFactor), 1),
	} {
		t := &l.tables[limit]
		t.rate = rate
		l.limitsWrites = l.limitsWrites || rate.interval != 0 && bucketLimit(limit) != readBucket
		for i := range t.shards {
			t.shards[i].lines = make([]line, 1)
		}
	}
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	l.cipher.Store(newAddressCipher(random, false))
	return l
}

// now returns the time on the limiter's clock, which never goes back.
func (l *Limiter) now() time.Duration { return time.Since(l.start) }

// Read takes n reads of client and returns 0, or takes none and returns how long to wait.
func (l *Limiter) Read(client netip.Addr, n int) (wait time.Duration) {
	t := &l.tables[readBucket]
	if t.rate.interval == 0 {
		return 0
	}
	l.applySecret()
	if wait = t.take(l.addressKey(client), l.now(), n); wait > 0 {
		l.refused.reads.Add(1)
	}
	return wait
}

// Run sends the use of addresses to the other instances with broadcast, until ctx ends.
func (l *Limiter) Run(ctx context.Context, broadcast func(payload []byte)) error {
	ticker := time.NewTicker(shareInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			l.share(broadcast)
		}
	}
}

// Metrics implements [tally.Instrumented].
func (l *Limiter) Metrics() []tally.Sample {
	const help = "Requests or topics refused with rate_limited, by limit."
	refused := func(limit string, n *atomic.Int64) tally.Sample {
		return tally.Sample{Name: "rate_limited_total", Help: help, Counter: true, Label: "limit", LabelValue: limit, Value: float64(n.Load())}
	}
	evicted := func(limits ...bucketLimit) (n float64) {
		for _, limit := range limits {
			n += float64(l.tables[limit].evicted.Load())
		}
		return n
	}
	return []tally.Sample{
		refused("write", &l.refused.writes), refused("read", &l.refused.reads), refused("new_topic", &l.refused.topics), refused("topic", &l.refused.additions),
		{Name: "limited_addresses", Help: "Client addresses that limits remember.", Value: float64(l.addressCount())},
		{Name: "limited_addresses_evicted_total", Counter: true, Help: "Client addresses forgotten before their time, because there were too many.", Value: evicted(writeBucket, createBucket, readBucket)},
		{Name: "topic_limit_evicted_total", Counter: true, Help: "Buckets of --topic-limit and of IPv6 /48 networks that were forgotten before they were full, because there were too many.", Value: evicted(topicBucket, wideTopicBucket, wideWriteBucket, wideCreateBucket)},
	}
}

// addressCount returns how many addresses have a bucket that is not full: of the limit for which
// they are most.
func (l *Limiter) addressCount() (n int) {
	for _, limit := range []bucketLimit{writeBucket, createBucket, readBucket} {
		n = max(n, l.tables[limit].count(l.now()))
	}
	return n
}
