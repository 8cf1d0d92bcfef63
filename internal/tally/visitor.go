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
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a visitor's id, in characters.
const (
	minVisitor = 8
	maxVisitor = 64
)

// ValidateVisitor tells whether id is 8 to 64 of A-Z, a-z, 0-9, _ and -.
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

// identity turns visitors into members under one secret. It is safe for
// concurrent use.
type identity struct {
	secret string
	macs   sync.Pool // of hash.Hash keyed with secret, reset

	// The sources of networks that were met lately, each in the one place where it may
	// be: a network sends many contributions, and its hash is the same each time.
	seed    maphash.Seed
	sources [keptSources]atomic.Pointer[knownSource]
}

// keptSources bounds the sources that are kept, about 60 bytes each. A power of two.
const keptSources = 4096

type knownSource struct {
	network netip.Prefix
	source  Source
}

func newIdentity(secret []byte) *identity {
	id := &identity{secret: string(secret), seed: maphash.MakeSeed()}
	id.macs.New = func() any { return hmac.New(sha256.New, []byte(id.secret)) }
	return id
}

// sum returns HMAC-SHA256 of the parts, each preceded by its length so that no
// two lists of parts are one text.
func (id *identity) sum(parts ...string) (sum [sha256.Size]byte) {
	mac := id.macs.Get().(hash.Hash)
	defer id.macs.Put(mac)
	mac.Reset()
	buffer := make([]byte, 0, 384) // a topic and a visitor fit; longer agents grow it
	for _, part := range parts {
		buffer = binary.BigEndian.AppendUint32(buffer, uint32(len(part)))
		buffer = append(buffer, part...)
	}
	mac.Write(buffer)
	mac.Sum(sum[:0])
	return sum
}

// member returns what stores know of visitor on topic; never the zero Member.
func (id *identity) member(topic Topic, visitor string) Member {
	sum := id.sum("member", topic.String(), visitor)
	return max(Member(binary.BigEndian.Uint64(sum[:8])), 1)
}

// source returns what stores know of the network that client is in.
func (id *identity) source(client netip.Addr) Source {
	if !client.IsValid() {
		return 0
	}
	network := SourceNetwork(client)
	place := &id.sources[maphash.Comparable(id.seed, network)%keptSources]
	if known := place.Load(); known != nil && known.network == network {
		return known.source
	}
	sum := id.sum("source", network.String())
	source := max(Source(binary.BigEndian.Uint32(sum[:4])), 1)
	place.Store(&knownSource{network, source})
	return source
}

// SourceNetwork returns the network that stands for client in the journal: its IPv4
// /24 or IPv6 /48.
func SourceNetwork(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 48
	if client.Is4() {
		bits = 24
	}
	network, _ := client.Prefix(bits) // fails for more bits than there are
	return network
}

// Hasher turns visitors and addresses into what stores know of them, under a
// secret. It is safe for concurrent use.
type Hasher struct{ id *identity }

// NewHasher returns the hasher under secret.
func NewHasher(secret []byte) Hasher { return Hasher{newIdentity(secret)} }

// Member returns what stores know of visitor on topic.
func (h Hasher) Member(topic Topic, visitor string) Member { return h.id.member(topic, visitor) }

// Source returns what stores know of the network that client is in.
func (h Hasher) Source(client netip.Addr) Source { return h.id.source(client) }

// Fingerprint returns a text of 16 hex digits that tells one secret from another
// and does not reveal it.
func (h Hasher) Fingerprint() string {
	sum := h.id.sum("fingerprint")
	return hex.EncodeToString(sum[:8])
}

// derived returns a visitor's id for somebody who named none. Where the rule is
// final the id holds for one day (UTC), so that nobody is known for longer.
func (id *identity) derived(client netip.Addr, agent string, rule Rule, now time.Time) string {
	day := ""
	if rule.Final() {
		day = now.UTC().Format(time.DateOnly)
	}
	sum := id.sum("derived", client.String(), agent, day)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
