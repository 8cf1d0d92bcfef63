package ratelimit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// What instances send each other: two bytes that name the format, then for each client
// address that used anything since the last time
//
//	8 bytes   key of the address, big endian
//	uvarint   writes
//	uvarint   new topics
//
// or for each unit taken from a bucket
//
//	8 bytes   key of the bucket, big endian
//
// Instances ignore a payload that begins with other bytes.
const (
	payloadFormat       = "u\x01"
	bucketPayloadFormat = "u\x02"
	// maxPayloadBytes bounds a payload, so that it does not delay changes on the same
	// channel.
	maxPayloadBytes = 32 << 10
	// maxEntryBytes is the most that one address takes.
	maxEntryBytes = 8 + 2*binary.MaxVarintLen32
)

// applySecret makes the limiter use the same keys as all instances, and forget what was
// counted under another key. It returns false while the secret is not known: until then
// this instance counts alone.
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

// share passes to send what addresses used on this instance since the last call. It
// does nothing while the secret is not known.
func (l *Limiter) share(send func(payload []byte)) {
	if !l.applySecret() {
		return
	}
	var payloads [][]byte
	for i := range l.shards {
		payloads = l.shards[i].appendUsed(payloads)
	}
	var buckets [][]byte
	for i := range l.buckets {
		buckets = l.buckets[i].appendUsed(buckets)
	}
	for _, payload := range buckets {
		send(payload)
	}
	for _, payload := range payloads {
		send(payload)
	}
}

// appendUsed appends what was used in this shard to the last of payloads, or to new ones.
func (s *shard) appendUsed(payloads [][]byte) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.used {
		last := len(payloads) - 1
		if last < 0 || len(payloads[last]) > maxPayloadBytes-maxEntryBytes {
			payloads = append(payloads, append(make([]byte, 0, 1024), payloadFormat...))
			last++
		}
		p := binary.BigEndian.AppendUint64(payloads[last], uint64(e.key))
		p = binary.AppendUvarint(p, uint64(e.newWrites))
		payloads[last] = binary.AppendUvarint(p, uint64(e.newTopics))
		e.newWrites, e.newTopics, e.isUsed = 0, 0, false
	}
	clear(s.used)
	s.used = s.used[:0]
	return payloads
}

// appendUsed appends the keys of the units taken in this shard to the last of payloads, or
// to new ones.
func (s *bucketShard) appendUsed(payloads [][]byte) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.used {
		last := len(payloads) - 1
		if last < 0 || len(payloads[last]) > maxPayloadBytes-maxEntryBytes {
			payloads = append(payloads, append(make([]byte, 0, 1024), bucketPayloadFormat...))
			last++
		}
		payloads[last] = binary.BigEndian.AppendUint64(payloads[last], uint64(key))
	}
	s.used = s.used[:0]
	return payloads
}

// Receive takes what addresses used on another instance out of their buckets here.
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
		// A bucket holds far less than an int32: a greater number empties it too.
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
