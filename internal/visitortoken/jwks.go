package visitortoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
)

// maxKeys bounds the keys of a set: several rotations of a large service have ten.
const maxKeys = 100

// coordinateSize is the size of a coordinate on P-256, in bytes.
const coordinateSize = 32

// jsonWebKey is a key of a set (RFC 7517, RFC 7518, RFC 8037).
type jsonWebKey struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Algorithm  string   `json:"alg"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Curve      string   `json:"crv"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	D          *string  `json:"d"` // of a private key
	K          *string  `json:"k"` // of a shared secret
}

// parseKeySet returns the keys of a set that sign visitor tokens, and why it skips others.
// A set without a usable key is an error.
func parseKeySet(data []byte) (keys []Key, skipped []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, nil, errors.New(`it is not a key set (RFC 7517): a JSON object with the list "keys"`)
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("it has %d keys; at most %d are accepted", len(set.Keys), maxKeys)
	}
	for i, raw := range set.Keys {
		var k jsonWebKey
		var key Key
		err := errors.New("it is not a key")
		if json.Unmarshal(raw, &k) == nil {
			key, err = k.key()
		}
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("key %d (%.40q): %v", i+1, k.ID, err))
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		reason := "the list is empty"
		if len(skipped) > 0 {
			reason = skipped[0]
		}
		return nil, nil, fmt.Errorf("it has no key that signs visitor tokens: %s", reason)
	}
	return keys, skipped, nil
}

// key returns the key, or an error if the key cannot sign visitor tokens.
func (k jsonWebKey) key() (key Key, err error) {
	switch {
	case k.D != nil:
		return key, errors.New("it is a private key, which everybody can read there: replace it")
	case k.K != nil:
		return key, errors.New("it is a shared secret, which everybody can read there")
	case k.Use != "" && k.Use != "sig":
		return key, fmt.Errorf("its use is %.40q, not sig", k.Use)
	case k.Operations != nil && !slices.Contains(k.Operations, "verify"):
		return key, errors.New("its key_ops do not include verify")
	}
	if key.material, err = k.publicKey(); err != nil {
		return key, err
	}
	if key.algorithm, err = algorithmOf(key.material); err != nil {
		return key, fmt.Errorf("it is %w", err)
	}
	if k.Algorithm != "" && k.Algorithm != key.algorithm {
		return key, fmt.Errorf("it is for the algorithm %.40q, not %s", k.Algorithm, key.algorithm)
	}
	key.id = k.ID
	return key, nil
}

// publicKey returns the public key, whose size is not checked.
func (k jsonWebKey) publicKey() (any, error) {
	switch {
	case k.Type == "RSA":
		n, errN := decode(k.N)
		e, errE := decode(k.E)
		exponent := new(big.Int).SetBytes(e)
		if errN != nil || errE != nil || len(n) > maxRSA/8+1 || !exponent.IsInt64() || exponent.Int64() > math.MaxInt32 {
			return nil, errors.New("n or e is not a number of an RSA key")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
	case k.Type == "EC" && k.Curve == "P-256":
		x, errX := decode(k.X)
		y, errY := decode(k.Y)
		if errX != nil || errY != nil || len(x) != coordinateSize || len(y) != coordinateSize {
			return nil, fmt.Errorf("x or y does not have %d bytes", coordinateSize)
		}
		const uncompressed = 4 // SEC 1, section 2.3.3
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{uncompressed}, x, y))
	case k.Type == "OKP" && k.Curve == "Ed25519":
		x, err := decode(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("x does not have %d bytes", ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("its kty is %.20q and its crv %.20q; RSA, EC with P-256 and OKP with Ed25519 are supported", k.Type, k.Curve)
}

// decode decodes base64url, with or without padding.
func decode(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}
