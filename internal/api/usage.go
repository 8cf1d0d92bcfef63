package api

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// What instances tell each other: two bytes that name the format, then for each
// client address that used anything since the last time
//
//	8 bytes   key of the address, big endian
//	uvarint   writes
//	uvarint   new topics
//
// A payload that begins with other bytes is of another version and is ignored.
const (
	usageFormat = "u\x01"
	// maxUsageBytes bounds a payload, so that no message holds up the channel it
	// shares with changes.
	maxUsageBytes = 32 << 10
	// usageEntryBytes is the most one address takes.
	usageEntryBytes = 8 + 2*binary.MaxVarintLen32
)

// rekey makes addresses be known by keys under secret, as on all instances. What
// was counted under another key is forgotten: it happens once, at the start.
func (l *limiter) rekey(secret []byte) {
	key := sha256.Sum256(append([]byte("tallycast client addresses\x00"), secret...))
	l.cipher.Store(newAddressCipher(key))
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		clear(s.addresses)
		s.used = nil
		s.mu.Unlock()
	}
}

// share hands to send what was used here since the last call.
func (l *limiter) share(send func(payload []byte)) {
	var payloads [][]byte
	for i := range l.shards {
		payloads = l.shards[i].share(payloads)
	}
	for _, payload := range payloads {
		send(payload)
	}
}

// share appends what was used in this shard to the last of payloads, or to new ones.
func (s *limitShard) share(payloads [][]byte) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.used {
		last := len(payloads) - 1
		if last < 0 || len(payloads[last]) > maxUsageBytes-usageEntryBytes {
			payloads = append(payloads, append(make([]byte, 0, 1024), usageFormat...))
			last++
		}
		p := binary.BigEndian.AppendUint64(payloads[last], uint64(e.key))
		p = binary.AppendUvarint(p, uint64(e.newWrites))
		payloads[last] = binary.AppendUvarint(p, uint64(e.newTopics))
		e.newWrites, e.newTopics, e.shared = 0, 0, false
	}
	clear(s.used)
	s.used = s.used[:0]
	return payloads
}

// receive takes what was used elsewhere out of the buckets here.
func (l *limiter) receive(payload []byte, now time.Duration) {
	if len(payload) < len(usageFormat) || string(payload[:len(usageFormat)]) != usageFormat {
		return
	}
	payload = payload[len(usageFormat):]
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
		// A bucket holds far less than an int32: what is above empties it all the same.
		l.writes.drain(&e.writes, now, int(min(writes, 1<<31-1)))
		l.topics.drain(&e.topics, now, int(min(topics, 1<<31-1)))
		s.mu.Unlock()
	}
}
