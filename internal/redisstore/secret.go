package redisstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// secretBytes is the strength of a secret made here: 256 bits.
const secretBytes = 32

// secretKey is the key of the visitor hash: configured, or taken from the store at the
// first contact. Once known it never changes.
type secretKey struct {
	mu    sync.Mutex
	value []byte // guarded by mu; what is offered to a store that has none
	known bool   // guarded by mu; false while value was only made here
}

func newSecretKey(configured []byte) *secretKey {
	if len(configured) > 0 {
		return &secretKey{value: slices.Clone(configured), known: true}
	}
	// In digits, so that it can be copied into a configuration.
	return &secretKey{value: []byte(randomHex(secretBytes))}
}

func (k *secretKey) get() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.value)
}

// verify compares with what the store keeps, and takes it where none is known yet.
func (k *secretKey) verify(stored []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known {
		k.value, k.known = slices.Clone(stored), true
		return nil
	}
	if !bytes.Equal(k.value, stored) {
		return conflictf("the store keeps another secret (fingerprint %s) than this instance has (%s): give all instances the same --secret, or none",
			fingerprint(stored), fingerprint(k.value))
	}
	return nil
}

// fingerprint tells secrets apart without telling them: 32 bits of SHA-256.
func fingerprint(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:4])
}
