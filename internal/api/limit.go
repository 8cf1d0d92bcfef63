package api

import (
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
	// burstFactor is how many seconds' (or hours') worth of reads and writes may
	// come at once: a page with many hearts opens with one request each.
	burstFactor = 3
	// limitShards is the number of maps over which addresses are spread, so that
	// requests seldom wait for each other. A power of two.
	limitShards = 64
	// maxShardAddresses bounds what a shard remembers, and with it what an
	// attacker with many addresses can make the process hold: 262,144 addresses
	// in all, about 30 MB.
	maxShardAddresses = 4096
)

// Limit allows Count events in Per. The zero Limit allows any number.
type Limit struct {
	Count int
	Per   time.Duration
}

// rate is a limit as a bucket that fills steadily (GCRA): the state of one
// address is the time at which its bucket will be full again.
type rate struct {
	interval time.Duration // until one more event is allowed; 0 for no limit
	depth    time.Duration // a full bucket
}

func newRate(l Limit, factor int) rate {
	if l.Count <= 0 || l.Per <= 0 {
		return rate{}
	}
	interval := max(l.Per/time.Duration(l.Count), 1)
	return rate{interval: interval, depth: interval * time.Duration(l.Count*factor)}
}

// take takes n events out of the bucket, or none and tells how long to wait. More
// than a bucket holds counts as a full one, or it would never be allowed.
func (r rate) take(full *time.Duration, now time.Duration, n int) (wait time.Duration) {
	if r.interval == 0 {
		return 0
	}
	next := max(*full, now) + r.of(n)
	if wait = next - now - r.depth; wait > 0 {
		return wait
	}
	*full = next
	return 0
}

// drain takes n events that were allowed elsewhere, down to an empty bucket.
func (r rate) drain(full *time.Duration, now time.Duration, n int) {
	if r.interval != 0 && n > 0 {
		*full = min(max(*full, now)+r.of(n), now+r.depth)
	}
}

// of returns what n events take, at most a full bucket.
func (r rate) of(n int) time.Duration {
	if n >= int(r.depth/r.interval) {
		return r.depth
	}
	return r.interval * time.Duration(n)
}

// addressKey stands for a client address: a keyed hash, the same on all instances.
type addressKey uint64

// address is what is known of one client address. Guarded by its shard's mutex.
type address struct {
	key addressKey
	// When each bucket is full again, on the limiter's clock.
	writes, reads, topics time.Duration
	// Used here since it was last shared.
	newWrites, newTopics int32
	shared               bool // whether it stands in the shard's list of used ones
}

func (e *address) idle(now time.Duration) bool {
	return e.writes <= now && e.reads <= now && e.topics <= now && !e.shared
}

type limitShard struct {
	mu        sync.Mutex
	addresses map[addressKey]*address
	used      []*address // used since they were last shared
}

// limiter counts what client addresses do. It is safe for concurrent use.
type limiter struct {
	writes, reads, topics rate

	shards  [limitShards]limitShard
	cipher  atomic.Pointer[addressCipher]
	refused struct{ writes, reads, topics atomic.Int64 }
	evicted atomic.Int64

	// Owned by the goroutine that calls sweep and share.
	nextSweep int
}

func newLimiter(writes, reads, topics Limit) *limiter {
	l := &limiter{
		writes: newRate(writes, burstFactor),
		reads:  newRate(reads, burstFactor),
		topics: newRate(topics, 1), // a burst of an hour's worth is enough to publish a site
	}
	for i := range l.shards {
		l.shards[i].addresses = map[addressKey]*address{}
	}
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	l.cipher.Store(newAddressCipher(random))
	return l
}

// write takes one write of client, which may bring its topic into being where
// creates says so. mayCreate tells whether one new topic was reserved; the caller
// settles it. wait is above 0 where the write is refused; else it tells when a new
// topic would be allowed.
func (l *limiter) write(client netip.Addr, now time.Duration, creates bool) (ok, mayCreate bool, wait time.Duration) {
	if l.writes.interval == 0 && l.topics.interval == 0 {
		return true, creates, 0
	}
	key := l.key(client)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := l.addressLocked(s, key, now)
	if wait = l.writes.take(&e.writes, now, 1); wait > 0 {
		l.refused.writes.Add(1)
		return false, false, wait
	}
	if l.writes.interval != 0 {
		e.newWrites++
		s.useLocked(e)
	}
	if !creates {
		return true, false, 0
	}
	wait = l.topics.take(&e.topics, now, 1)
	return true, wait == 0, wait
}

// settle ends a reservation of [limiter.write]: kept where a topic was created,
// given back where not.
func (l *limiter) settle(client netip.Addr, now time.Duration, created bool) {
	if l.topics.interval == 0 {
		return
	}
	key := l.key(client)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := l.addressLocked(s, key, now)
	if !created {
		e.topics -= l.topics.interval
		return
	}
	e.newTopics++
	s.useLocked(e)
}

// read takes n readings of client, or none and tells how long to wait.
func (l *limiter) read(client netip.Addr, now time.Duration, n int) (wait time.Duration) {
	if l.reads.interval == 0 {
		return 0
	}
	key := l.key(client)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait = l.reads.take(&l.addressLocked(s, key, now).reads, now, n); wait > 0 {
		l.refused.reads.Add(1)
	}
	return wait
}

// sweep forgets the idle addresses of one shard after another, one a call.
func (l *limiter) sweep(now time.Duration) {
	s := &l.shards[l.nextSweep%limitShards]
	l.nextSweep++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropIdleLocked(now)
}

func (l *limiter) shard(key addressKey) *limitShard { return &l.shards[key%limitShards] }

// addressLocked returns what is known of an address. Where the shard is full any
// other one makes room: it begins anew, which is milder than to refuse somebody
// who did nothing.
func (l *limiter) addressLocked(s *limitShard, key addressKey, now time.Duration) *address {
	if e := s.addresses[key]; e != nil {
		return e
	}
	if len(s.addresses) >= maxShardAddresses {
		for other, e := range s.addresses {
			if !e.idle(now) {
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

func (s *limitShard) useLocked(e *address) {
	if !e.shared {
		e.shared = true
		s.used = append(s.used, e)
	}
}

func (s *limitShard) dropIdleLocked(now time.Duration) {
	for key, e := range s.addresses {
		if e.idle(now) {
			delete(s.addresses, key)
		}
	}
}

// addressCipher turns addresses into keys: one AES block is a pseudo-random
// function of the 16 bytes of an address. The key hides addresses from whoever
// listens to what instances share, and keeps outsiders from making collisions.
type addressCipher struct{ block cipher.Block }

func newAddressCipher(sum [sha256.Size]byte) *addressCipher {
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		panic(err) // the length is a constant that AES takes
	}
	return &addressCipher{block: block}
}

// blocks are scratch space for one encryption, so that it need not allocate.
var blocks = sync.Pool{New: func() any { return new([2 * aes.BlockSize]byte) }}

func (l *limiter) key(client netip.Addr) addressKey {
	scratch := blocks.Get().(*[2 * aes.BlockSize]byte)
	defer blocks.Put(scratch)
	in := client.As16()
	copy(scratch[:], in[:])
	l.cipher.Load().block.Encrypt(scratch[aes.BlockSize:], scratch[:aes.BlockSize])
	return addressKey(binary.BigEndian.Uint64(scratch[aes.BlockSize:]))
}

// Metrics implements [tally.Instrumented].
func (l *limiter) Metrics() []tally.Sample {
	const help = "Requests or topics refused with rate_limited, by limit."
	refused := func(limit string, n *atomic.Int64) tally.Sample {
		return tally.Sample{Name: "rate_limited_total", Help: help, Counter: true, Label: "limit", LabelValue: limit, Value: float64(n.Load())}
	}
	known := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		known += len(s.addresses)
		s.mu.Unlock()
	}
	return []tally.Sample{
		refused("write", &l.refused.writes), refused("read", &l.refused.reads), refused("new_topic", &l.refused.topics),
		{Name: "limited_addresses", Help: "Client addresses that limits remember.", Value: float64(known)},
		{Name: "limited_addresses_evicted_total", Counter: true, Help: "Client addresses forgotten before their time, because there were too many.", Value: float64(l.evicted.Load())},
	}
}
