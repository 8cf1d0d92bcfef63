package tally

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// Parts of the name of a block's setting, after [blockPrefix]: the site, if the block is in
// one site, and the target. Releases that know no blocks in one site ignore such a setting.
const (
	blockSite    = "site "
	blockRange   = "range "   // begins the target that is an address range
	blockVisitor = "visitor " // begins the target that is the keyed hash of a visitor
)

// blockHashBytes is the length of a visitor's keyed hash in a block.
const blockHashBytes = 8

// Block is a blocked address range or visitor. It is the name of a setting, whose value is the
// reason.
type Block struct {
	Site   string // empty: all sites
	Target string // such as "range 203.0.113.0/24" or "visitor 0123456789abcdef"
}

// BlockRange returns the block of an address range.
func BlockRange(site string, addresses netip.Prefix) Block {
	return Block{site, blockRange + addresses.String()}
}

// BlockVisitor returns the block of a visitor, whose id it does not contain.
func BlockVisitor(secret []byte, site, visitor string) Block {
	return Block{site, NewHasher(secret).blockTarget(visitor)}
}

// BlockHash is [BlockVisitor] for the keyed hash that [Block.Visitor] returns.
func BlockHash(site, hash string) Block { return Block{site, blockVisitor + hash} }

func (h *Hasher) blockTarget(visitor string) string {
	sum := h.sum("blocked", visitor)
	return blockVisitor + hex.EncodeToString(sum[:blockHashBytes])
}

// Setting returns the name of the block's setting.
func (b Block) Setting() string {
	if b.Site == "" {
		return blockPrefix + b.Target
	}
	return blockPrefix + blockSite + b.Site + " " + b.Target
}

// ParseBlock parses the name of a block's setting; ok is false for another setting. It does
// not check the target.
func ParseBlock(name string) (b Block, ok bool) {
	if b.Target, ok = strings.CutPrefix(name, blockPrefix); !ok {
		return Block{}, false
	}
	if rest, isOfSite := strings.CutPrefix(b.Target, blockSite); isOfSite {
		b.Site, b.Target, _ = strings.Cut(rest, " ")
		ok = ValidSite(b.Site)
	}
	return b, ok
}

// Range returns the blocked address range; ok is false for another target.
func (b Block) Range() (addresses netip.Prefix, ok bool, err error) {
	text, ok := strings.CutPrefix(b.Target, blockRange)
	if ok {
		addresses, err = netip.ParsePrefix(text)
	}
	return addresses, ok, err
}

// Validate returns an error unless the target has the form of [BlockRange] or [BlockVisitor],
// and is not the range of all addresses. Errors: [CodeBadBody].
func (b Block) Validate() error {
	addresses, isRange, err := b.Range()
	switch {
	case isRange && err == nil && addresses.Bits() == 0:
		return Errorf(CodeBadBody, "%s contains every address; name a smaller range", addresses)
	case isRange && (err != nil || b.Target != blockRange+addresses.Masked().String() || addresses.Addr().Is4In6()):
		return Errorf(CodeBadBody, "%.100q should be an address range, such as 203.0.113.0/24", strings.TrimPrefix(b.Target, blockRange))
	case isRange:
		return nil
	}
	if hash := b.Visitor(); len(hash) != 2*blockHashBytes || strings.Trim(hash, "0123456789abcdef") != "" {
		return Errorf(CodeBadBody, "%.100q is neither an address range nor a visitor", b.Target)
	}
	return nil
}

// Visitor returns the keyed hash of the blocked visitor, or "" for another target.
func (b Block) Visitor() string {
	if hash, ok := strings.CutPrefix(b.Target, blockVisitor); ok {
		return hash
	}
	return ""
}

// Blocks returns the blocks in stored settings with their reasons.
func Blocks(stored map[string]string) map[Block]string {
	blocks := map[Block]string{}
	for name, value := range stored {
		if b, ok := ParseBlock(name); ok {
			blocks[b] = value
		}
	}
	return blocks
}

// blockList has the blocks in one site, or those in all.
type blockList struct {
	ranges   []netip.Prefix
	visitors map[string]bool // targets
}

// addBlock adds the block of a setting by its name. It ignores an unknown target.
func (s *settings) addBlock(name string) error {
	b, ok := ParseBlock(name)
	if !ok {
		return nil
	}
	list := s.blocked[b.Site]
	if list == nil {
		list = &blockList{visitors: map[string]bool{}}
		s.blocked[b.Site] = list
	}
	addresses, isRange, err := b.Range()
	switch {
	case err != nil:
		return err
	case isRange:
		list.ranges = append(list.ranges, addresses.Masked())
	case b.Visitor() != "":
		list.visitors[b.Target] = true
	}
	return nil
}

// checkBlocks returns an error if the client or the visitor is blocked in the site.
// Errors: [CodeBlocked].
func (s *settings) checkBlocks(hasher *Hasher, site string, client netip.Addr, visitor string) error {
	if len(s.blocked) == 0 {
		return nil
	}
	if s.blocked[""].contains(hasher, client, visitor) || s.blocked[site].contains(hasher, client, visitor) {
		return Errorf(CodeBlocked, "contributions from here are not accepted")
	}
	return nil
}

// contains reports whether the list, which may be nil, has the client or the visitor.
func (l *blockList) contains(hasher *Hasher, client netip.Addr, visitor string) bool {
	if l == nil {
		return false
	}
	return client.IsValid() && slices.ContainsFunc(l.ranges, func(p netip.Prefix) bool { return p.Contains(client) }) ||
		len(l.visitors) > 0 && l.visitors[hasher.blockTarget(visitor)]
}
