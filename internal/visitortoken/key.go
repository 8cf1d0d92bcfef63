package visitortoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// The algorithms of keys (RFC 7518, RFC 8037). Each kind of key has one.
const (
	hs256 = "HS256" // shared secret
	rs256 = "RS256" // RSA
	es256 = "ES256" // P-256
	edDSA = "EdDSA" // Ed25519
)

var algorithms = []string{hs256, rs256, es256, edDSA}

const (
	// minSecret is the least length of a shared secret, in bytes: that of the hash (RFC
	// 7518, section 3.2).
	minSecret = 32
	// minRSA and maxRSA bound an RSA key, in bits: RFC 7518 requires 2048, and a
	// verification with a longer key than 8192 takes milliseconds.
	minRSA, maxRSA = 2048, 8192
)

// Key verifies signatures by one algorithm.
type Key struct {
	algorithm string
	id        string // kid in a key set; empty without a kid or a set
	material  any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// SecretKey returns the key of a shared secret, whose bytes are taken as they are. It
// refuses public keys, with which everybody could sign.
func SecretKey(secret string) (Key, error) {
	switch {
	case looksPublic(secret):
		return Key{}, errors.New("is a public key, and everybody could sign with it as a shared secret; --visitor-key-file takes public keys in PEM, --visitor-jwks the address of a key set")
	case strings.TrimSpace(secret) != secret:
		return Key{}, errors.New("begins or ends with a space")
	case len(secret) < minSecret:
		return Key{}, fmt.Errorf("has %s; a shared secret should have %d or more, such as `openssl rand -hex 32` makes", tally.Quantity(len(secret), "byte"), minSecret)
	}
	return Key{algorithm: hs256, material: []byte(secret)}, nil
}

// looksPublic reports whether text is a public key or a key set in a common form.
func looksPublic(text string) bool {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") && (strings.Contains(text, `"kty"`) || strings.Contains(text, `"keys"`)) || strings.Contains(text, "-----BEGIN") || strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-") {
		return true
	}
	data := []byte(text)
	if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		data = decoded
	}
	_, errAny := x509.ParsePKIXPublicKey(data)
	_, errRSA := x509.ParsePKCS1PublicKey(data)
	_, errCertificate := x509.ParseCertificate(data)
	return errAny == nil || errRSA == nil || errCertificate == nil
}

// ParseFile returns the keys in the content of a file: public keys in PEM, or a shared secret
// without its last line end.
func ParseFile(content []byte) ([]Key, error) {
	if text := string(content); !strings.Contains(text, "-----BEGIN") {
		key, err := SecretKey(strings.TrimRight(text, "\r\n"))
		return []Key{key}, err
	}
	var keys []Key
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		key, err := publicKey(block)
		if err != nil {
			return nil, err
		}
		keys, content = append(keys, key), rest
	}
	if len(keys) == 0 || strings.Contains(string(content), "-----BEGIN") {
		return nil, errors.New("has a broken PEM block")
	}
	return keys, nil
}

func publicKey(block *pem.Block) (key Key, err error) {
	switch {
	case block.Type == "PUBLIC KEY":
		key.material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		key.material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return key, errors.New("has a private key, which only the site's backend should have; `openssl pkey -pubout` prints the public one")
	default:
		return key, fmt.Errorf("has a PEM block of type %.40q and should have a PUBLIC KEY; `openssl x509 -pubkey` prints that of a certificate", block.Type)
	}
	if err != nil {
		return key, fmt.Errorf("has a public key that cannot be read: %w", err)
	}
	if key.algorithm, err = algorithmOf(key.material); err != nil {
		return key, fmt.Errorf("has %w", err)
	}
	return key, nil
}

// algorithmOf returns the algorithm of a public key.
func algorithmOf(key any) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA || n > maxRSA {
			return "", fmt.Errorf("an RSA key of %d bits; one of %d to %d is needed", n, minRSA, maxRSA)
		}
		if key.E < 3 || key.E%2 == 0 {
			return "", fmt.Errorf("an RSA key with the exponent %d", key.E)
		}
		return rs256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", fmt.Errorf("a key on the curve %s; P-256 is needed", key.Params().Name)
		}
		return es256, nil
	case ed25519.PublicKey:
		return edDSA, nil
	}
	return "", errors.New("a key of another kind than RSA, P-256 and Ed25519")
}
