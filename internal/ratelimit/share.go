package ratelimit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Instances send each other payloads. The first two bytes are the format. The entries of
// payloadFormat are client addresses and their use since the last share:
//
//	8 bytes   key of the address, big endian
//	uvarint   writes
//	uvarint   new topics
//
// Those of bucketPayloadFormat are units that were taken from buckets:
//
//	8 bytes   key of the bucket, big endian
//
// Instances ignore a payload of another format.
const (
	payloadFormat       = "u\x01"
	bucketPayloadFormat = "u\x02"
	// maxPayloadBytes bounds a payload, so that it does not delay changes, which come over
	// the same connection.
	maxPayloadBytes = 32 << 10
	// maxEntryBytes bounds the size of an entry.
	maxEntryBytes = 8 + 2*binary.MaxVarintLen32
)

// applySecret makes the limiter use the same keys as all instances, and forget all counts
// under its former key. It returns false while the secret is not known: until then this
// instance counts alone.
func (l *Limiter) applySecret() bool {
	if l.cipher.Load().isShared {
		return true
	}
	if l.secret == nil {
		return false
	}
	secret, err := l.secret()
	if err != nil {
		return false
	}
	l.secretMutex.Lock()
	defer l.secretMutex.Unlock()
	if l.cipher.Load().isShared {
		return true
	}
	key := sha256.Sum256(append([]byte("tallycast client addresses\x00"), secret...))
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		clear(s.addresses)
		s.used = nil
		s.mu.Unlock()
		b := &l.buckets[i]
		b.mu.Lock()
		clear(b.lines)
		b.used = nil
		b.mu.Unlock()
	}
	l.cipher.Store(newAddressCipher(key, true)) // last, since counting starts with it
	return true
}

// share calls send with the use of addresses on this instance since the last call. It does
// nothing while the secret is not known.
func (l *Limiter) share(send func(payload []byte)) {
	if !l.applySecret() {
		return
	}
	addresses, buckets := payloads{format: payloadFormat}, payloads{format: bucketPayloadFormat}
	for i := range l.shards {
		l.shards[i].takeUsed(&addresses)
		l.buckets[i].takeUsed(&buckets)
	}
	for _, payload := range slices.Concat(buckets.list, addresses.list) {
		send(payload)
	}
}

// payloads are payloads of one format.
type payloads struct {
	format string
	list   [][]byte
}

// last returns the payload for the next entry.
func (p *payloads) last() *[]byte {
	if n := len(p.list); n == 0 || len(p.list[n-1]) > maxPayloadBytes-maxEntryBytes {
		p.list = append(p.list, append(make([]byte, 0, 1024), p.format...))
	}
	return &p.list[len(p.list)-1]
}

// takeUsed moves the use of addresses to payloads.
func (s *shard) takeUsed(to *payloads) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.used {
		payload := to.last()
		*payload = binary.BigEndian.AppendUint64(*payload, uint64(e.key))
		*payload = binary.AppendUvarint(*payload, uint64(e.newWrites))
		*payload = binary.AppendUvarint(*payload, uint64(e.newTopics))
		e.newWrites, e.newTopics, e.isUsed = 0, 0, false
	}
	clear(s.used)
	s.used = s.used[:0]
}

// takeUsed moves the keys of taken units to payloads.
func (s *bucketShard) takeUsed(to *payloads) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.used {
		payload := to.last()
		*payload = binary.BigEndian.AppendUint64(*payload, uint64(key))
	}
	s.used = s.used[:0]
}

// Receive takes the use of addresses on another instance out of their buckets here.
func (l *Limiter) Receive(payload []byte) {
	l.applySecret()
	now := l.now()
	if keys, ok := bytes.CutPrefix(payload, []byte(bucketPayloadFormat)); ok {
		l.receiveBuckets(keys, now)
		return
	}
	payload, ok := bytes.CutPrefix(payload, []byte(payloadFormat))
	if !ok {
		return
	}
	for len(payload) > 8 {
		key := addressKey(binary.BigEndian.Uint64(payload))
		payload = payload[8:]
		writes, n := binary.Uvarint(payload)
		if n <= 0 {
			return
		}
		topics, m := binary.Uvarint(payload[n:])
		if m <= 0 {
			return
		}
		payload = payload[n+m:]
		s := l.shard(key)
		s.mu.Lock()
		e := l.addressLocked(s, key, now)
		// Every bucket holds far fewer than 2^31 events, so a greater number empties it too.
		l.writes.drain(&e.writes, now, int(min(writes, 1<<31-1)))
		l.topics.drain(&e.topics, now, int(min(topics, 1<<31-1)))
		s.mu.Unlock()
	}
}

// receiveBuckets takes one unit out of the bucket of each key.
func (l *Limiter) receiveBuckets(keys []byte, now time.Duration) {
	for ; len(keys) >= 8; keys = keys[8:] {
		key := bucketKey(binary.BigEndian.Uint64(keys))
		s := l.bucketShard(key)
		s.mu.Lock()
		l.rates[key.limit()].drain(&s.findLocked(key, now, &l.evictedBuckets).full, now, 1)
		s.mu.Unlock()
	}
}
