package ratelimit

import (
	"crypto/sha256"
	"encoding/binary"
)

// What instances send each other: two bytes that name the format, then for each client
// address that used anything since the last time
//
//	8 bytes   key of the address, big endian
//	uvarint   writes
//	uvarint   new topics
//
// Instances ignore a payload that begins with other bytes.
const (
	payloadFormat = "u\x01"
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

// Receive takes what addresses used on another instance out of their buckets here.
func (l *Limiter) Receive(payload []byte) {
	l.applySecret()
	now := l.now()
	if len(payload) < len(payloadFormat) || string(payload[:len(payloadFormat)]) != payloadFormat {
		return
	}
	payload = payload[len(payloadFormat):]
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
