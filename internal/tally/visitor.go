package tally

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a visitor's id, in characters.
const (
	minVisitor = 8
	maxVisitor = 64
)

// ValidateVisitor reports whether id is 8 to 64 of A-Z, a-z, 0-9, _ and -.
// Errors: [CodeBadVisitor].
func ValidateVisitor(id string) error {
	ok := len(id) >= minVisitor && len(id) <= maxVisitor
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	if !ok {
		return Errorf(CodeBadVisitor, "a visitor is %d to %d of A-Z, a-z, 0-9, _ and -", minVisitor, maxVisitor)
	}
	return nil
}

// signedPrefix begins the id of a signed visitor. A client cannot name such an id, since
// [ValidateVisitor] refuses it.
const signedPrefix = "@"

// SignedVisitor returns the id of the visitor that a site's backend calls subject.
func SignedVisitor(subject string) string { return signedPrefix + subject }

// IsSigned reports whether a verified token named the visitor.
func IsSigned(visitor string) bool { return strings.HasPrefix(visitor, signedPrefix) }

// ValidateAnyVisitor is [ValidateVisitor] that also accepts signed visitors. It is not for
// ids that clients send. Errors: [CodeBadVisitor].
func ValidateAnyVisitor(id string) error {
	if IsSigned(id) && len(id) > len(signedPrefix) {
		return nil
	}
	return ValidateVisitor(id)
}

// Hasher computes the keyed hashes of visitors and networks, which stores keep instead of
// them. It is safe for concurrent use.
type Hasher struct {
	secret string
	macs   sync.Pool // of *mac keyed with secret

	// A direct-mapped cache of sources: a network sends many contributions.
	seed    maphash.Seed
	sources [cachedSources]atomic.Pointer[cachedSource]
}

// cachedSources is the size of the cache of sources, about 60 bytes each.
const cachedSources = 4096

type cachedSource struct {
	network netip.Prefix
	source  Source
}

// NewHasher returns the hasher with secret.
func NewHasher(secret []byte) *Hasher {
	h := &Hasher{secret: string(secret), seed: maphash.MakeSeed()}
	h.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, []byte(h.secret))} }
	return h
}

// mac is a keyed hash with buffers for its input and output. A pool saves their allocations.
type mac struct {
	hash.Hash
	buffer [384]byte // a topic and a visitor fit; long user agents do not
	sum    [sha256.Size]byte
}

// sum returns HMAC-SHA256 of the parts, each preceded by its length so that different
// lists of parts differ.
func (h *Hasher) sum(parts ...string) [sha256.Size]byte {
	m := h.macs.Get().(*mac)
	defer h.macs.Put(m)
	m.Reset()
	input := m.buffer[:0]
	for _, part := range parts {
		input = binary.BigEndian.AppendUint32(input, uint32(len(part)))
		input = append(input, part...)
	}
	m.Write(input)
	m.Sum(m.sum[:0])
	return m.sum
}

// Member returns the keyed hash of visitor for topic; never 0.
func (h *Hasher) Member(topic Topic, visitor string) Member {
	sum := h.sum("member", topic.String(), visitor)
	return max(Member(binary.BigEndian.Uint64(sum[:8])), 1)
}

// Source returns the keyed hash of the network of client; 0 for the zero Addr.
func (h *Hasher) Source(client netip.Addr) Source {
	if !client.IsValid() {
		return 0
	}
	network := sourceNetwork(client)
	slot := &h.sources[maphash.Comparable(h.seed, network)%cachedSources]
	if cached := slot.Load(); cached != nil && cached.network == network {
		return cached.source
	}
	sum := h.sum("source", network.String())
	source := max(Source(binary.BigEndian.Uint32(sum[:4])), 1)
	slot.Store(&cachedSource{network, source})
	return source
}

// sourceNetwork returns the network of client that a [Source] identifies: an IPv4 /24 or
// IPv6 /48.
func sourceNetwork(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 48
	if client.Is4() {
		bits = 24
	}
	network, _ := client.Prefix(bits) // fails for more bits than there are
	return network
}

// Fingerprint returns 16 hex digits that identify the secret without revealing it.
func (h *Hasher) Fingerprint() string {
	sum := h.sum("fingerprint")
	return hex.EncodeToString(sum[:8])
}

// derived returns the id of the visitor for a client that sends none. For a metric with final
// contributions it changes every day (UTC), so that a client cannot be recognised for longer.
func (h *Hasher) derived(client netip.Addr, agent string, rule Rule, now time.Time) string {
	day := ""
	if rule.Final() {
		day = now.UTC().Format(time.DateOnly)
	}
	sum := h.sum("derived", client.String(), agent, day)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
