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
	// maxShardLines bounds the memory of buckets: 524,288 in all, 8 MB. With the default
	// limit a new contribution to a topic uses a bucket for 30 s, so this is enough for
	// 17,000 of them a second.
	maxShardLines = 1024
)

// bucketKey is a keyed hash of a client's network and, for limits of one topic, the topic,
// the same on all instances. Its lowest bits are its [bucketLimit].
type bucketKey uint64

// bucketLimit identifies the limit of a bucket. Instances send each other these numbers.
type bucketLimit uint8

const (
	topicBucket      bucketLimit = iota // new contributions of one address to one topic
	wideTopicBucket                     // of an IPv6 /48
	wideWriteBucket                     // writes of an IPv6 /48
	wideCreateBucket                    // new topics of an IPv6 /48
	bucketLimits
)

func newBucketKey(hash uint64, limit bucketLimit) bucketKey {
	return bucketKey(hash&^uint64(bucketLimits-1)) | bucketKey(limit)
}

func (k bucketKey) limit() bucketLimit { return bucketLimit(k) & (bucketLimits - 1) }

// bucket is the state of one bucket. A full one may be forgotten.
type bucket struct {
	key  bucketKey
	full time.Duration // when it is full again, on the limiter's clock
}

type line [lineCells]bucket

// bucketShard is a set of buckets, associative within a line like a processor's cache. It needs
// no sweep, since a new key replaces a full bucket of its line. If the line has no full bucket,
// the shard doubles its lines, up to maxShardLines. Then the new key replaces the bucket of the
// line that is nearest to full.
type bucketShard struct {
	mu    sync.Mutex
	lines []line      // their number is a power of two
	used  []bucketKey // a key for each unit taken on this instance since the last share
}

// findLocked returns the bucket of key, a full one if the shard has none.
func (s *bucketShard) findLocked(key bucketKey, now time.Duration, evicted *atomic.Int64) *bucket {
	for {
		line := &s.lines[s.lineOf(key)]
		fullest := &line[0]
		for i := range line {
			b := &line[i]
			if b.key == key {
				return b
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
			evicted.Add(1)
		}
		*fullest = bucket{key: key}
		return fullest
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

func (l *Limiter) bucketShard(key bucketKey) *bucketShard { return &l.buckets[key>>32%shardCount] }

// take takes one unit from the bucket of key and returns 0, or takes none and returns how
// long to wait.
func (l *Limiter) take(key bucketKey, now time.Duration) (wait time.Duration) {
	rate := l.rates[key.limit()]
	if rate.interval == 0 {
		return 0
	}
	s := l.bucketShard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return rate.Take(&s.findLocked(key, now, &l.evictedBuckets).full, now, 1)
}

// settle ends the reservation of one unit by take. It gives the unit back unless isUsed.
func (l *Limiter) settle(key bucketKey, isUsed bool) {
	rate := l.rates[key.limit()]
	if rate.interval == 0 {
		return
	}
	s := l.bucketShard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !isUsed:
		s.findLocked(key, l.now(), &l.evictedBuckets).full -= rate.interval
	case l.cipher.Load().isShared:
		s.used = append(s.used, key)
	}
}
