package ratelimit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"sync"
)

// addressCipher computes keys of networks and topics: the encryption of one AES block is a
// pseudo-random function of its 16 bytes. The secret hides addresses from other readers of
// the channel on which instances share them, and prevents collisions on purpose.
type addressCipher struct {
	block    cipher.Block
	isShared bool // its key is the one of all instances
}

// newAddressCipher returns the cipher with a key.
func newAddressCipher(key [sha256.Size]byte, isShared bool) *addressCipher {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // cannot fail: AES takes keys of this length
	}
	return &addressCipher{block, isShared}
}

// scratch holds the blocks of encryptions, so that these do not allocate.
type scratch struct{ network, in, out [aes.BlockSize]byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// addressKey returns the key of a client address.
func (l *Limiter) addressKey(client netip.Addr) bucketKey {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.in = client.As16()
	l.cipher.Load().block.Encrypt(s.out[:], s.in[:])
	return bucketKey(binary.BigEndian.Uint64(s.out[:]))
}

// keys returns the keys of client for a write.
func (l *Limiter) keys(client netip.Addr, w Write) (k clientKeys) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	block := l.cipher.Load().block
	hasTopic := w.Adds && l.tables[topicBucket].rate.interval != 0
	var topic [aes.BlockSize]byte
	if hasTopic {
		binary.BigEndian.PutUint64(topic[:], hashTopic(w.Topic))
		topic[aes.BlockSize-1] = 1 // not 0, so that the key never is that of the network alone
	}
	// topicKey returns the key of the network with the topic: it encrypts the network's block
	// again, combined with the topic.
	topicKey := func(limit bucketLimit) bucketKey {
		subtle.XORBytes(s.in[:], s.network[:], topic[:])
		block.Encrypt(s.out[:], s.in[:])
		return newBucketKey(binary.BigEndian.Uint64(s.out[:]), limit)
	}
	s.in = client.As16()
	block.Encrypt(s.network[:], s.in[:])
	k.address = bucketKey(binary.BigEndian.Uint64(s.network[:]))
	if hasTopic {
		k.topic = topicKey(topicBucket)
	}
	if client.Is4() {
		return k
	}
	wide, _ := client.Prefix(48) // fails for IPv4 only
	s.in = wide.Addr().As16()
	s.in[aes.BlockSize-1] = 48 // otherwise the first /64 of the network would have the same block
	block.Encrypt(s.network[:], s.in[:])
	k.wideWrites = newBucketKey(binary.BigEndian.Uint64(s.network[:]), wideWriteBucket)
	k.wideCreates = newBucketKey(binary.BigEndian.Uint64(s.network[8:]), wideCreateBucket)
	if hasTopic {
		k.wideTopic = topicKey(wideTopicBucket)
	}
	return k
}

// hashTopic returns the 64-bit FNV-1a hash of a topic. Topics with the same hash share a
// client's bucket, which harms that client alone.
func hashTopic(topic string) uint64 {
	hash := uint64(14695981039346656037) // FNV offset basis
	for i := range len(topic) {
		hash = (hash ^ uint64(topic[i])) * 1099511628211 // FNV prime
	}
	return hash
}
