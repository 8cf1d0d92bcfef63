package ratelimit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// burst is how many periods' worth of reads and writes may come at once: a page
	// with many hearts opens with one request each.
	burst = 3
	// shardCount is over how many maps addresses are spread, so that requests seldom
	// wait for each other. A power of two.
	shardCount = 64
	// maxShardAddresses bounds the memory that a client with many addresses can make
	// the process use: 262,144 addresses in all, about 30 MB.
	maxShardAddresses = 4096
	// shareInterval is how often instances share what addresses used. An address
	// exceeds its limit by at most what it sends in this time.
	shareInterval = 100 * time.Millisecond
)

// addressKey is the keyed hash of a client address, the same on all instances.
type addressKey uint64

// address is the state of one client address. Guarded by its shard's mutex.
type address struct {
	key addressKey
	// When each bucket is full again, on the limiter's clock.
	writes, reads, topics time.Duration
	// Used on this instance since it was last shared.
	newWrites, newTopics int32
	isUsed               bool // in the shard's list of used addresses
}

func (e *address) isIdle(now time.Duration) bool {
	return e.writes <= now && e.reads <= now && e.topics <= now && !e.isUsed
}

type shard struct {
	mu        sync.Mutex
	addresses map[addressKey]*address
	used      []*address // since they were last shared
}

// Limiter limits the writes, the reads and the new topics of client addresses. All
// methods may be called concurrently.
type Limiter struct {
	// Fixed after construction.
	writes, reads, topics Rate
	secret                func() ([]byte, error) // nil if this instance counts alone
	start                 time.Time

	shards  [shardCount]shard
	cipher  atomic.Pointer[addressCipher]
	refused struct{ writes, reads, topics atomic.Int64 }
	evicted atomic.Int64

	secretMutex sync.Mutex // held while the secret is applied
}

// New returns a limiter. secret returns the key of the hash under which instances share
// addresses, or an error if it is not known yet; with nil this instance counts alone.
func New(writes, reads, topics Limit, secret func() ([]byte, error)) *Limiter {
	l := &Limiter{
		writes: NewRate(writes, burst),
		reads:  NewRate(reads, burst),
		topics: NewRate(topics, 1), // one period's worth is enough to publish a site
		secret: secret,
		start:  time.Now(),
	}
	for i := range l.shards {
		l.shards[i].addresses = map[addressKey]*address{}
	}
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	l.cipher.Store(newAddressCipher(random, false))
	return l
}

// now returns the time on the limiter's clock, which never goes back.
func (l *Limiter) now() time.Duration { return time.Since(l.start) }

// Write takes one write of client. With creates it also reserves one new topic, which
// the caller must [Limiter.Settle] if mayCreate is true. If ok is false the client
// waits before its next write; if mayCreate is false, before its next new topic.
func (l *Limiter) Write(client netip.Addr, creates bool) (ok, mayCreate bool, wait time.Duration) {
	if l.writes.interval == 0 && l.topics.interval == 0 {
		return true, creates, 0
	}
	now := l.now()
	s, e := l.lock(client, now)
	defer s.mu.Unlock()
	if wait = l.writes.Take(&e.writes, now, 1); wait > 0 {
		l.refused.writes.Add(1)
		return false, false, wait
	}
	if l.writes.interval != 0 {
		e.newWrites++
		l.useLocked(s, e)
	}
	if !creates {
		return true, false, 0
	}
	wait = l.topics.Take(&e.topics, now, 1)
	return true, wait == 0, wait
}

// Settle ends the reservation of a new topic: it gives it back unless created is true.
func (l *Limiter) Settle(client netip.Addr, created bool) {
	if l.topics.interval == 0 {
		return
	}
	s, e := l.lock(client, l.now())
	defer s.mu.Unlock()
	if !created {
		e.topics -= l.topics.interval
		return
	}
	e.newTopics++
	l.useLocked(s, e)
}

// CountRefusedTopic counts a refusal of a new topic in the metrics.
func (l *Limiter) CountRefusedTopic() { l.refused.topics.Add(1) }

// Read takes n reads of client and returns 0, or takes none and returns how long to wait.
func (l *Limiter) Read(client netip.Addr, n int) (wait time.Duration) {
	if l.reads.interval == 0 {
		return 0
	}
	now := l.now()
	s, e := l.lock(client, now)
	defer s.mu.Unlock()
	if wait = l.reads.Take(&e.reads, now, n); wait > 0 {
		l.refused.reads.Add(1)
	}
	return wait
}

// Run shares what addresses used with the other instances by calling broadcast, and
// forgets idle addresses, until ctx ends.
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
func (l *Limiter) lock(client netip.Addr, now time.Duration) (*shard, *address) {
	l.applySecret() // before anything is counted, since it forgets all counts
	key := l.key(client)
	s := l.shard(key)
	s.mu.Lock()
	return s, l.addressLocked(s, key, now)
}

// addressLocked returns the state of an address. If the shard is full it forgets any
// other address: that is milder than refusing a client that did nothing.
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

// useLocked adds e to the addresses to share.
func (l *Limiter) useLocked(s *shard, e *address) {
	if !e.isUsed && l.secret != nil {
		e.isUsed = true
		s.used = append(s.used, e)
	}
}

// addressCipher turns addresses into keys: one AES block is a pseudo-random function of
// the 16 bytes of an address. The secret hides addresses from other readers of the
// channel that instances share, and keeps outsiders from making collisions.
type addressCipher struct {
	block    cipher.Block
	isShared bool // all instances use it
}

// newAddressCipher returns the cipher with a key.
func newAddressCipher(key [sha256.Size]byte, isShared bool) *addressCipher {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the length is a constant that AES takes
	}
	return &addressCipher{block, isShared}
}

// blocks are scratch space for one encryption, which so does not allocate.
var blocks = sync.Pool{New: func() any { return new([2 * aes.BlockSize]byte) }}

func (l *Limiter) key(client netip.Addr) addressKey {
	scratch := blocks.Get().(*[2 * aes.BlockSize]byte)
	defer blocks.Put(scratch)
	in := client.As16()
	copy(scratch[:], in[:])
	l.cipher.Load().block.Encrypt(scratch[aes.BlockSize:], scratch[:aes.BlockSize])
	return addressKey(binary.BigEndian.Uint64(scratch[aes.BlockSize:]))
}

// Metrics implements [tally.Instrumented].
func (l *Limiter) Metrics() []tally.Sample {
	const help = "Requests or topics refused with rate_limited, by limit."
	refused := func(limit string, n *atomic.Int64) tally.Sample {
		return tally.Sample{Name: "rate_limited_total", Help: help, Counter: true, Label: "limit", LabelValue: limit, Value: float64(n.Load())}
	}
	return []tally.Sample{
		refused("write", &l.refused.writes), refused("read", &l.refused.reads), refused("new_topic", &l.refused.topics),
		{Name: "limited_addresses", Help: "Client addresses that limits remember.", Value: float64(l.addressCount())},
		{Name: "limited_addresses_evicted_total", Counter: true, Help: "Client addresses forgotten before their time, because there were too many.", Value: float64(l.evicted.Load())},
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
