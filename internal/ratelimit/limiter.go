package ratelimit

import (
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
	// burst is the size of the buckets of reads and writes, in periods of the limit: a page
	// with many hearts begins with a request for each.
	burst = 3
	// shardCount is the number of maps that hold the addresses, so that requests seldom wait
	// for each other. A power of two.
	shardCount = 64
	// maxShardAddresses bounds the memory that a client with many addresses can use:
	// 262,144 addresses in all, about 30 MB.
	maxShardAddresses = 4096
	// wideFactor is how many times an address's limits an IPv6 /48 has. Providers usually
	// assign a customer a network between a /64 and a /48.
	wideFactor = 16
	// shareInterval is how often instances share the use of addresses. Within this time an
	// address can exceed its limit by using several instances. Then it has to wait longer.
	shareInterval = 100 * time.Millisecond
)

// addressKey is the keyed hash of a client address, the same on all instances.
type addressKey uint64

// address is the state of one client address. Guarded by its shard's mutex.
type address struct {
	key addressKey
	// When each bucket is full again, on the limiter's clock.
	writes, reads, topics time.Duration
	// Used on this instance since the last share.
	newWrites, newTopics int32
	isUsed               bool // in the shard's list of used addresses
}

func (e *address) isIdle(now time.Duration) bool {
	return e.writes <= now && e.reads <= now && e.topics <= now && !e.isUsed
}

type shard struct {
	mu        sync.Mutex
	addresses map[addressKey]*address
	used      []*address // since the last share
}

// Limits are the limits of one client address.
type Limits struct {
	Writes, Reads Limit
	NewTopics     Limit // topics that the address creates
	Topic         Limit // new contributions to one topic
}

// Limiter limits what a client address does: writes, reads, new topics, and new contributions
// to each topic. An IPv6 /48 has 16 times the limits of writes, new topics and new
// contributions. All methods may be called concurrently.
type Limiter struct {
	// Fixed after construction.
	writes, reads, topics Rate
	rates                 [bucketLimits]Rate
	limitsWrites          bool                   // whether writes have any limit
	secret                func() ([]byte, error) // nil if this instance counts alone
	start                 time.Time

	shards  [shardCount]shard
	buckets [shardCount]bucketShard
	cipher  atomic.Pointer[addressCipher]
	refused struct{ writes, reads, topics, additions atomic.Int64 }

	evicted, evictedBuckets atomic.Int64

	secretMutex sync.Mutex // held while the secret is applied
}

// New returns a limiter. secret returns the key of the hashes of addresses that instances
// share, or an error if it is not known yet. If secret is nil, this instance counts alone.
func New(limits Limits, secret func() ([]byte, error)) *Limiter {
	l := &Limiter{
		writes: NewRate(limits.Writes, burst),
		reads:  NewRate(limits.Reads, burst),
		topics: NewRate(limits.NewTopics, 1), // one period is enough to publish a site
		rates: [bucketLimits]Rate{
			topicBucket:      NewRate(limits.Topic, 1),
			wideTopicBucket:  NewRate(limits.Topic.times(wideFactor), 1),
			wideWriteBucket:  NewRate(limits.Writes.times(wideFactor), burst),
			wideCreateBucket: NewRate(limits.NewTopics.times(wideFactor), 1),
		},
		secret: secret,
		start:  time.Now(),
	}
	l.limitsWrites = l.writes.interval != 0 || l.topics.interval != 0 || l.rates[topicBucket].interval != 0
	for i := range l.shards {
		l.shards[i].addresses = map[addressKey]*address{}
		l.buckets[i].lines = make([]line, 1)
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
	if l.reads.interval == 0 {
		return 0
	}
	l.applySecret()
	now := l.now()
	s, e := l.lock(l.addressKey(client), now)
	defer s.mu.Unlock()
	if wait = l.reads.Take(&e.reads, now, n); wait > 0 {
		l.refused.reads.Add(1)
	}
	return wait
}

// Run sends the use of addresses to the other instances with broadcast, and forgets idle
// addresses, until ctx ends.
func (l *Limiter) Run(ctx context.Context, broadcast func(payload []byte)) error {
	ticker := time.NewTicker(shareInterval)
	defer ticker.Stop()
	for next := 0; ; next = (next + 1) % shardCount {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			l.shards[next].sweep(l.now())
			l.share(broadcast)
		}
	}
}

// sweep forgets idle addresses.
func (s *shard) sweep(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.addresses {
		if e.isIdle(now) {
			delete(s.addresses, key)
		}
	}
}

func (l *Limiter) shard(key addressKey) *shard { return &l.shards[key%shardCount] }

// lock returns the state of a client address and its shard, which it locks.
func (l *Limiter) lock(key addressKey, now time.Duration) (*shard, *address) {
	s := l.shard(key)
	s.mu.Lock()
	return s, l.addressLocked(s, key, now)
}

// addressLocked returns the state of an address. If the shard is full it forgets any other
// address, which is better than refusing a client that did nothing.
func (l *Limiter) addressLocked(s *shard, key addressKey, now time.Duration) *address {
	if e := s.addresses[key]; e != nil {
		return e
	}
	if len(s.addresses) >= maxShardAddresses {
		for other, e := range s.addresses {
			if !e.isIdle(now) {
				l.evicted.Add(1)
			}
			delete(s.addresses, other)
			break
		}
	}
	e := &address{key: key}
	s.addresses[key] = e
	return e
}

// useLocked adds e to the addresses to share, once their keys are those of all instances.
func (l *Limiter) useLocked(s *shard, e *address) {
	if !e.isUsed && l.cipher.Load().isShared {
		e.isUsed = true
		s.used = append(s.used, e)
	}
}

// Metrics implements [tally.Instrumented].
func (l *Limiter) Metrics() []tally.Sample {
	const help = "Requests or topics refused with rate_limited, by limit."
	refused := func(limit string, n *atomic.Int64) tally.Sample {
		return tally.Sample{Name: "rate_limited_total", Help: help, Counter: true, Label: "limit", LabelValue: limit, Value: float64(n.Load())}
	}
	return []tally.Sample{
		refused("write", &l.refused.writes), refused("read", &l.refused.reads), refused("new_topic", &l.refused.topics), refused("topic", &l.refused.additions),
		{Name: "limited_addresses", Help: "Client addresses that limits remember.", Value: float64(l.addressCount())},
		{Name: "limited_addresses_evicted_total", Counter: true, Help: "Client addresses forgotten before their time, because there were too many.", Value: float64(l.evicted.Load())},
		{Name: "topic_limit_evicted_total", Counter: true, Help: "Buckets of --topic-limit and of IPv6 /48 networks that were forgotten before they were full, because there were too many.", Value: float64(l.evictedBuckets.Load())},
	}
}

// addressCount returns how many addresses the limiter remembers.
func (l *Limiter) addressCount() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.addresses)
		s.mu.Unlock()
	}
	return n
}
