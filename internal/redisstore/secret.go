package redisstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// secretBytes is the length of a new secret: 256 bits.
const secretBytes = 32

// secretKey is the key of the visitor hash: configured, or read from the store at the first
// connection. Once known it never changes.
type secretKey struct {
	mu    sync.Mutex
	value []byte // guarded by mu; stored if the store has no secret
	known bool   // guarded by mu; false until value is configured or was read from the store
}

func newSecretKey(configured []byte) *secretKey {
	if len(configured) > 0 {
		return &secretKey{value: slices.Clone(configured), known: true}
	}
	// Digits can be copied into a configuration.
	return &secretKey{value: []byte(randomHex(secretBytes))}
}

func (k *secretKey) get() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.value)
}

// expected returns the key if it is known, else nil.
func (k *secretKey) expected() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known {
		return nil
	}
	return slices.Clone(k.value)
}

// verify compares the key with the stored one, or adopts that if the key is not known yet.
func (k *secretKey) verify(stored []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known {
		k.value, k.known = slices.Clone(stored), true
		return nil
	}
	if !bytes.Equal(k.value, stored) {
		return conflictf("the store has another secret (fingerprint %s) than this instance (%s): give all instances the same --secret, or none",
			fingerprint(stored), fingerprint(k.value))
	}
	return nil
}

// fingerprint distinguishes secrets without revealing them: 32 bits of SHA-256.
func fingerprint(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:4])
}
