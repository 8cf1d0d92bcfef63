package ratelimit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineCells is the number of buckets in which a key can be: 128 bytes, two cache lines.
	lineCells = 8
	// shardCount is the number of shards of a table, so that requests seldom wait for each other.
	// A power of two.
	shardCount = 64
	// maxShardLines bounds the memory that a client with many addresses can use: 524,288 buckets
	// of a table, 8 MB. With the default limit a new contribution to a topic uses a bucket for
	// 30 s, so this is enough for 17,000 of them a second.
	maxShardLines = 1024
)

// bucketKey is a keyed hash of a client's network and, for limits of one topic, the topic,
// the same on all instances. 0 is no key.
type bucketKey uint64

// bucketLimit identifies a limit.
type bucketLimit uint8

const (
	// The lowest bits of the keys of these limits are their numbers, which instances send each
	// other.
	topicBucket      bucketLimit = iota // new contributions of one address to one topic
	wideTopicBucket                     // of an IPv6 /48
	wideWriteBucket                     // writes of an IPv6 /48
	wideCreateBucket                    // new topics of an IPv6 /48

	writeBucket  // writes of one address
	createBucket // new topics of one address
	readBucket   // reads of one address
	bucketLimits

	numberedLimits = writeBucket
)

func newBucketKey(hash uint64, limit bucketLimit) bucketKey {
	return bucketKey(hash&^uint64(numberedLimits-1)) | bucketKey(limit)
}

// limit returns the limit of a key that has its number.
func (k bucketKey) limit() bucketLimit { return bucketLimit(k) & (numberedLimits - 1) }

// bucket is the state of one bucket. A full one may be forgotten.
type bucket struct {
	key  bucketKey
	full time.Duration // when it is full again, on the limiter's clock
}

type line [lineCells]bucket

// table has the buckets of one limit. A shard is a set of buckets, associative within a line like a
// processor's cache. It needs no sweep, since a new key replaces a full bucket of its line. If the
// line has no full bucket, the shard doubles its lines, up to maxShardLines. Then the new key
// replaces the bucket of the line that is nearest to full.
type table struct {
	rate    Rate         // fixed
	evicted atomic.Int64 // buckets that were replaced before they were full
	shards  [shardCount]bucketShard
}

type bucketShard struct {
	mu    sync.Mutex
	lines []line      // their number is a power of two
	used  []bucketKey // a key for each unit taken on this instance since the last share
}

// lock returns the shard of key, locked, and the bucket, a full one if the shard has none.
func (t *table) lock(key bucketKey, now time.Duration) (*bucketShard, *bucket) {
	s := &t.shards[key>>32%shardCount]
	s.mu.Lock()
	for {
		line := &s.lines[s.lineOf(key)]
		fullest := &line[0]
		for i := range line {
			b := &line[i]
			if b.key == key {
				return s, b
			}
			if b.full < fullest.full {
				fullest = b
			}
		}
		if fullest.full > now && len(s.lines) < maxShardLines {
			s.growLocked()
			continue
		}
		if fullest.full > now {
			t.evicted.Add(1)
		}
		*fullest = bucket{key: key}
		return s, fullest
	}
}

// lineOf returns the line of key. It uses other bits than those that choose the shard.
func (s *bucketShard) lineOf(key bucketKey) int { return int(key>>8) & (len(s.lines) - 1) }

// growLocked doubles the lines. A line's buckets fit in the two lines that replace it.
func (s *bucketShard) growLocked() {
	former := s.lines
	s.lines = make([]line, 2*len(former))
	for i := range former {
		for _, b := range former[i] {
			if b == (bucket{}) {
				continue
			}
			line := &s.lines[s.lineOf(b.key)]
			line[slices.IndexFunc(line[:], func(b bucket) bool { return b == bucket{} })] = b
		}
	}
}

// take takes n units from the bucket of key and returns 0, or takes none and returns how long to
// wait.
func (t *table) take(key bucketKey, now time.Duration, n int) (wait time.Duration) {
	if t.rate.interval == 0 {
		return 0
	}
	s, b := t.lock(key, now)
	defer s.mu.Unlock()
	return t.rate.Take(&b.full, now, n)
}

// drain takes n units that another instance took.
func (t *table) drain(key bucketKey, now time.Duration, n int) {
	if t.rate.interval == 0 || n == 0 {
		return
	}
	s, b := t.lock(key, now)
	defer s.mu.Unlock()
	t.rate.drain(&b.full, now, n)
}

// settle ends the reservation of one unit by take. It gives the unit back unless isUsed, and records
// a used one if isShared.
func (t *table) settle(key bucketKey, now time.Duration, isUsed, isShared bool) {
	if t.rate.interval == 0 || isUsed && !isShared {
		return
	}
	s, b := t.lock(key, now)
	defer s.mu.Unlock()
	if isUsed {
		s.used = append(s.used, key)
	} else {
		b.full -= t.rate.interval
	}
}

// takeUsed returns the keys of used units since the last call, sorted.
func (t *table) takeUsed() (keys []bucketKey) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		keys = append(keys, s.used...)
		s.used = s.used[:0]
		s.mu.Unlock()
	}
	slices.Sort(keys)
	return keys
}

// clear forgets all buckets.
func (t *table) clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		clear(s.lines)
		s.used = nil
		s.mu.Unlock()
	}
}

// count returns the number of buckets that are not full.
func (t *table) count(now time.Duration) (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, line := range s.lines {
			for _, b := range line {
				if b.full > now {
					n++
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}
