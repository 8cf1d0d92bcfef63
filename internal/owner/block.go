package owner

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxBlocks bounds the ranges that every contribution is compared with, and the
	// settings.
	maxBlocks = 1000
	// maxReason bounds a reason, in bytes: a few sentences.
	maxReason = 1000
	// noReason is stored if no reason is given: a setting without a value does not exist.
	noReason = "(no reason given)"
)

// BlockTarget is an address range or a visitor that may not contribute.
type BlockTarget struct {
	Addresses netip.Prefix
	Visitor   string
}

// Block is a block in force. Visitor is a keyed hash of the visitor's id, since the id
// itself is not stored.
type Block struct {
	Addresses netip.Prefix `json:"range,omitzero"`
	Visitor   string       `json:"visitor,omitempty"`
	Reason    string       `json:"reason"`
}

// Block refuses contributions of target from now on. Earlier contributions stay.
// Errors: [tally.CodeBadBody] if target names none or both, or all addresses, the reason
// is too long, or there are too many blocks; [tally.CodeBadVisitor],
// [tally.CodeStoreUnavailable].
func (s *Service) Block(ctx context.Context, actor string, target BlockTarget, reason string) error {
	if len(reason) > maxReason {
		return tally.Errorf(tally.CodeBadBody, "a reason has at most %d bytes", maxReason)
	}
	entry, err := s.blockEntry(target)
	if err != nil {
		return err
	}
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return err
	}
	if settings[entry] == "" && len(tally.Blocks(settings)) >= maxBlocks {
		return tally.Errorf(tally.CodeBadBody, "there are %d blocks, the maximum; replace several by a wider range", maxBlocks)
	}
	if reason == "" {
		reason = noReason
	}
	if err := s.set(ctx, map[string]string{entry: reason}); err != nil {
		return err
	}
	return s.Audit(ctx, actor, "block", blockName(entry), reason)
}

// Unblock ends a block. A visitor may be named by its id or by the hash that Blocks
// returns. Errors: those of Block, and [tally.CodeNotFound].
func (s *Service) Unblock(ctx context.Context, actor string, target BlockTarget) error {
	entry, err := s.blockEntry(target)
	if err != nil {
		return err
	}
	hashed := blockPrefix + "visitor " + target.Visitor
	settings, err := s.store.Settings(ctx, entry, hashed)
	if err != nil {
		return err
	}
	if settings[hashed] != "" {
		entry = hashed
	}
	if settings[entry] == "" {
		return tally.Errorf(tally.CodeNotFound, "%s is not blocked", blockName(entry))
	}
	if err := s.set(ctx, map[string]string{entry: ""}); err != nil {
		return err
	}
	return s.Audit(ctx, actor, "unblock", blockName(entry), "")
}

// Blocks returns the blocks in force, address ranges first.
// Errors: [tally.CodeStoreUnavailable].
func (s *Service) Blocks(ctx context.Context) ([]Block, error) {
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	blocks := []Block{}
	reasons := tally.Blocks(settings)
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		b := Block{Reason: reasons[name]}
		if text, ok := strings.CutPrefix(name, "range "); ok {
			if b.Addresses, err = netip.ParsePrefix(text); err != nil {
				continue // loadSettings logs it
			}
		} else if b.Visitor, ok = strings.CutPrefix(name, "visitor "); !ok {
			continue
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// blockPrefix begins the names of the settings that [tally.Blocks] returns without it.
const blockPrefix = "block "

// blockName returns how the audit log names the target of a block's setting.
func blockName(entry string) string { return strings.TrimPrefix(entry, blockPrefix) }

// blockEntry returns the name of the setting that blocks target.
func (s *Service) blockEntry(target BlockTarget) (string, error) {
	if target.Addresses.IsValid() == (target.Visitor != "") {
		return "", tally.Errorf(tally.CodeBadBody, "name either an address range, such as 203.0.113.0/24, or a visitor")
	}
	if target.Visitor != "" {
		if err := tally.ValidateAnyVisitor(target.Visitor); err != nil {
			return "", err
		}
		secret, err := s.store.Secret()
		if err != nil {
			return "", err
		}
		return tally.BlockVisitorSetting(secret, target.Visitor), nil
	}
	addresses := normalize(target.Addresses)
	if addresses.Bits() == 0 {
		return "", tally.Errorf(tally.CodeBadBody, "%s contains every address; name a smaller range", addresses)
	}
	return tally.BlockRangeSetting(addresses), nil
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
