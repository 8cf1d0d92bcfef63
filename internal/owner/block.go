package owner

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxBlocks bounds the blocks in one site, and those in all sites: every contribution
	// is compared with their ranges.
	maxBlocks = 1000
	// maxReason bounds a reason, in bytes: a few sentences.
	maxReason = 1000
	// noReason is stored if no reason is given: a setting without a value does not exist.
	noReason = "(no reason given)"
)

// BlockTarget is an address range or a visitor that may not contribute to Site. If Site is
// empty, it may not contribute to any site that the [Service] sees.
type BlockTarget struct {
	Site      string
	Addresses netip.Prefix
	Visitor   string
}

// Block is a block in force. Site is empty for a block in all sites. Visitor is a keyed hash
// of the visitor's id, since the id itself is not stored.
type Block struct {
	Site      string       `json:"site,omitempty"`
	Addresses netip.Prefix `json:"range,omitzero"`
	Visitor   string       `json:"visitor,omitempty"`
	Reason    string       `json:"reason"`
}

// Block makes all instances refuse contributions of target. Earlier contributions stay.
// Errors: [tally.CodeBadBody] if target names none or both, or all addresses, the reason
// is too long, or there are too many blocks; [tally.CodeBadVisitor],
// [tally.CodeUnknownSite]; [tally.CodeStoreUnavailable], also for a block in one site while
// an instance runs that ignores it.
func (s *Service) Block(ctx context.Context, actor string, target BlockTarget, reason string) error {
	blocks, err := s.blocks(target)
	if err == nil {
		err = s.rejectSiteBlock(ctx, blocks[0])
	}
	if err != nil {
		return err
	}
	settings, err := s.store.Settings(ctx)
	if err == nil {
		err = checkBlocks(settings, countBlocks(settings), blocks, reason)
	}
	if err != nil {
		return err
	}
	entries := map[string]string{}
	for _, block := range blocks {
		entries[block.Setting()] = cmp.Or(reason, noReason)
	}
	if err := s.set(ctx, entries); err != nil {
		return err
	}
	return s.Audit(ctx, blockEntry(actor, "block", blocks, cmp.Or(reason, noReason)))
}

// checkBlocks returns an error if blocks may not be added to settings. present is the number of
// blocks of each site in settings. Errors: [tally.CodeBadBody].
func checkBlocks(settings map[string]string, present map[string]int, blocks []tally.Block, reason string) error {
	if len(reason) > maxReason {
		return tally.Errorf(tally.CodeBadBody, "a reason has at most %d bytes", maxReason)
	}
	for _, block := range blocks {
		if settings[block.Setting()] == "" && present[block.Site] >= maxBlocks {
			return tally.Errorf(tally.CodeBadBody, "there are %d blocks, the maximum; replace several by a wider range", maxBlocks)
		}
	}
	return nil
}

// countBlocks returns the number of blocks of each site; of those in all sites for "".
func countBlocks(settings map[string]string) map[string]int {
	present := map[string]int{}
	for block := range tally.Blocks(settings) {
		present[block.Site]++
	}
	return present
}

// rejectSiteBlock refuses a block in one site while an instance runs that ignores it.
// Errors: [tally.CodeStoreUnavailable].
func (s *Service) rejectSiteBlock(ctx context.Context, block tally.Block) error {
	if block.Site == "" {
		return nil
	}
	return s.rejectOlderInstances(ctx, formatSiteBlocks, "ignores blocks in one site")
}

// Unblock ends a block. A visitor may be named by its id or by the hash that Blocks
// returns. Errors: those of Block, and [tally.CodeNotFound].
func (s *Service) Unblock(ctx context.Context, actor string, target BlockTarget) error {
	blocks, err := s.blocks(target)
	if err != nil {
		return err
	}
	hashed := slices.Clone(blocks)
	for i := range hashed {
		hashed[i] = tally.BlockHash(blocks[i].Site, target.Visitor)
	}
	var names []string
	for _, block := range append(hashed, blocks...) {
		names = append(names, block.Setting())
	}
	settings, err := s.store.Settings(ctx, names...)
	if err != nil {
		return err
	}
	ended := slices.DeleteFunc(append(hashed, blocks...), func(b tally.Block) bool { return settings[b.Setting()] == "" })
	if len(ended) == 0 {
		return tally.Errorf(tally.CodeNotFound, "%s is not blocked", blocks[0].Target)
	}
	removed := map[string]string{}
	for _, block := range ended {
		removed[block.Setting()] = ""
	}
	if err := s.set(ctx, removed); err != nil {
		return err
	}
	return s.Audit(ctx, blockEntry(actor, "unblock", ended, ""))
}

// blockEntry returns the audit entry about blocks of one target.
func blockEntry(actor, action string, blocks []tally.Block, detail string) tally.AuditEntry {
	entry := tally.AuditEntry{Actor: actor, Action: action, Target: blocks[0].Target, Detail: detail}
	var scopes []tally.Scope
	for _, block := range blocks {
		scopes = append(scopes, tally.Scope{Site: block.Site})
	}
	if entry.Sites = sitesOf(scopes...); entry.Sites != "" {
		entry.Target += " in " + strings.ReplaceAll(entry.Sites, " ", ", ")
	}
	return entry
}

// Blocks returns the blocks in force that the Service sees, address ranges first.
// Errors: [tally.CodeStoreUnavailable].
func (s *Service) Blocks(ctx context.Context) ([]Block, error) {
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	reasons := tally.Blocks(settings)
	sorted := slices.SortedFunc(maps.Keys(reasons), func(a, b tally.Block) int {
		return cmp.Or(strings.Compare(a.Target, b.Target), strings.Compare(a.Site, b.Site))
	})
	blocks := []Block{}
	for _, stored := range sorted {
		b := Block{Site: stored.Site, Visitor: stored.Visitor(), Reason: reasons[stored]}
		addresses, isRange, err := stored.Range()
		if b.Addresses = addresses; err != nil || !isRange && b.Visitor == "" {
			continue // an invalid block, which loadSettings logs, or one of a later release
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// blocks returns the blocks of target: one, or one for each site that the Service sees.
func (s *Service) blocks(target BlockTarget) ([]tally.Block, error) {
	block, err := s.blockOf(target)
	if err != nil {
		return nil, err
	}
	switch {
	case target.Site != "":
		if err := s.checkSite(target.Site); err != nil {
			return nil, err
		}
	case s.sites != nil:
		var blocks []tally.Block
		for _, block.Site = range s.sites {
			blocks = append(blocks, block)
		}
		return blocks, nil
	}
	return []tally.Block{block}, nil
}

// blockOf returns the block of target.
func (s *Service) blockOf(target BlockTarget) (tally.Block, error) {
	if target.Addresses.IsValid() == (target.Visitor != "") {
		return tally.Block{}, tally.Errorf(tally.CodeBadBody, "name either an address range, such as 203.0.113.0/24, or a visitor")
	}
	if target.Visitor != "" {
		if err := tally.ValidateAnyVisitor(target.Visitor); err != nil {
			return tally.Block{}, err
		}
		secret, err := s.store.Secret()
		if err != nil {
			return tally.Block{}, err
		}
		return tally.BlockVisitor(secret, target.Site, target.Visitor), nil
	}
	block := tally.BlockRange(target.Site, normalize(target.Addresses))
	return block, block.Validate()
}

// normalize returns the range in the form that client addresses are compared with: IPv4
// not mapped to IPv6, no bits set beyond the prefix.
func normalize(addresses netip.Prefix) netip.Prefix {
	const mapped = 96 // bits before the IPv4 address in an IPv6 address
	if a := addresses.Addr(); a.Is4In6() && addresses.Bits() >= mapped {
		addresses = netip.PrefixFrom(a.Unmap(), addresses.Bits()-mapped)
	}
	return addresses.Masked()
}
