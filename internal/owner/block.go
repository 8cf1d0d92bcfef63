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
	// register.
	maxBlocks = 1000
	// noReason stands for a reason that was not given: an entry without a value is none.
	noReason = "(no reason given)"
)

// BlockTarget is who may not contribute: an address range, or else a visitor.
type BlockTarget struct {
	Addresses netip.Prefix
	Visitor   string
}

// Block is one order that somebody may not contribute. Visitor is a keyed hash of
// the visitor's id: the id itself is kept nowhere.
type Block struct {
	Addresses netip.Prefix
	Visitor   string
	Reason    string
}

// Block keeps somebody from contributing from now on. What was contributed stays.
// Errors: [tally.CodeBadBody] where nobody or everybody is named, or too many are;
// [tally.CodeBadVisitor], [tally.CodeStoreUnavailable].
func (d *Service) Block(ctx context.Context, actor string, who BlockTarget, reason string) error {
	name, target, err := d.blockEntry(who)
	if err != nil {
		return err
	}
	register, err := d.store.Settings(ctx)
	if err != nil {
		return err
	}
	if register[name] == "" && len(tally.Blocks(register)) >= maxBlocks {
		return tally.Errorf(tally.CodeBadBody, "%d are blocked already; a wider range takes the place of several", maxBlocks)
	}
	if reason == "" {
		reason = noReason
	}
	if err := d.set(ctx, name, reason); err != nil {
		return err
	}
	return d.Audit(ctx, actor, "block", target, reason)
}

// Unblock ends a Block; a visitor may be named by its id or by the hash that Blocks
// shows. Errors: those of Block, and [tally.CodeNotFound].
func (d *Service) Unblock(ctx context.Context, actor string, who BlockTarget) error {
	name, target, err := d.blockEntry(who)
	if err != nil {
		return err
	}
	register, err := d.store.Settings(ctx)
	if err != nil {
		return err
	}
	if _, shown := tally.Blocks(register)["visitor "+who.Visitor]; shown && who.Visitor != "" {
		name, target = "block visitor "+who.Visitor, "visitor "+who.Visitor
	}
	if register[name] == "" {
		return tally.Errorf(tally.CodeNotFound, "%s is not blocked", target)
	}
	if err := d.set(ctx, name, ""); err != nil {
		return err
	}
	return d.Audit(ctx, actor, "unblock", target, "")
}

// Blocks returns who is blocked, address ranges first.
// Errors: [tally.CodeStoreUnavailable].
func (d *Service) Blocks(ctx context.Context) ([]Block, error) {
	register, err := d.store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	blocks := []Block{}
	orders := tally.Blocks(register)
	for _, what := range slices.Sorted(maps.Keys(orders)) {
		b := Block{Reason: orders[what]}
		if text, ok := strings.CutPrefix(what, "range "); ok {
			if b.Addresses, err = netip.ParsePrefix(text); err != nil {
				continue // the log says so, see loadSettings
			}
		} else if b.Visitor, ok = strings.CutPrefix(what, "visitor "); !ok {
			continue
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// blockEntry returns the name of the register's entry, and how the audit log calls
// who is blocked.
func (d *Service) blockEntry(who BlockTarget) (name, target string, err error) {
	switch {
	case who.Addresses.IsValid() == (who.Visitor != ""):
		return "", "", tally.Errorf(tally.CodeBadBody, "an address range, such as 203.0.113.0/24, or a visitor should be named")
	case who.Visitor != "":
		if err := tally.ValidateVisitor(who.Visitor); err != nil {
			return "", "", err
		}
		secret, err := d.store.Secret()
		if err != nil {
			return "", "", err
		}
		name = tally.BlockVisitorSetting(secret, who.Visitor)
		return name, strings.TrimPrefix(name, "block "), nil
	}
	addresses := plain(who.Addresses)
	if addresses.Bits() == 0 {
		return "", "", tally.Errorf(tally.CodeBadBody, "%s is everybody", addresses)
	}
	return tally.BlockRangeSetting(addresses), "range " + addresses.String(), nil
}

// plain returns the range as clients' addresses are compared with it: IPv4 as such,
// no bit set beyond its length.
func plain(addresses netip.Prefix) netip.Prefix {
	const mapped = 96 // bits before the IPv4 address in an IPv6 one
	if a := addresses.Addr(); a.Is4In6() && addresses.Bits() >= mapped {
		addresses = netip.PrefixFrom(a.Unmap(), addresses.Bits()-mapped)
	}
	return addresses.Masked()
}
