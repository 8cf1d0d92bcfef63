package ratelimit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
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
	for i := range l.tables {
		l.tables[i].clear()
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
	uses, units := payloads{format: payloadFormat}, payloads{format: bucketPayloadFormat}
	for limit := range numberedLimits {
		for _, key := range l.tables[limit].takeUsed() {
			payload := units.last()
			*payload = binary.BigEndian.AppendUint64(*payload, uint64(key))
		}
	}
	uses.add(l.tables[writeBucket].takeUsed(), func(n uint64) (writes, topics uint64) { return n, 0 })
	uses.add(l.tables[createBucket].takeUsed(), func(n uint64) (writes, topics uint64) { return 0, n })
	for _, payload := range slices.Concat(units.list, uses.list) {
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

// add adds an entry for each address in sorted keys, which occur once for each unit. use returns the
// numbers of an entry for n units.
func (p *payloads) add(keys []bucketKey, use func(n uint64) (writes, topics uint64)) {
	for len(keys) > 0 {
		key, n := keys[0], 1
		for n < len(keys) && keys[n] == key {
			n++
		}
		keys = keys[n:]
		writes, topics := use(uint64(n))
		payload := p.last()
		*payload = binary.BigEndian.AppendUint64(*payload, uint64(key))
		*payload = binary.AppendUvarint(binary.AppendUvarint(*payload, writes), topics)
	}
}

// Receive takes the use of addresses on another instance out of their buckets here.
func (l *Limiter) Receive(payload []byte) {
	l.applySecret()
	now := l.now()
	if keys, ok := bytes.CutPrefix(payload, []byte(bucketPayloadFormat)); ok {
		for ; len(keys) >= 8; keys = keys[8:] {
			key := bucketKey(binary.BigEndian.Uint64(keys))
			l.tables[key.limit()].drain(key, now, 1)
		}
		return
	}
	entries, ok := bytes.CutPrefix(payload, []byte(payloadFormat))
	for ok && len(entries) > 8 {
		key := bucketKey(binary.BigEndian.Uint64(entries))
		writes, n := binary.Uvarint(entries[8:])
		if n <= 0 {
			return
		}
		topics, m := binary.Uvarint(entries[8+n:])
		if m <= 0 {
			return
		}
		entries = entries[8+n+m:]
		// Every bucket holds far fewer than 2^31 events, so a greater number empties it too.
		l.tables[writeBucket].drain(key, now, int(min(writes, 1<<31-1)))
		l.tables[createBucket].drain(key, now, int(min(topics, 1<<31-1)))
	}
}
