package admin

import (
	"net/netip"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

type forgetBody struct {
	Visitor string `json:"visitor"`
	Site    string `json:"site"`
}

// forget answers POST /admin/v1/forget.
func (q *request) forget(body forgetBody) (any, error) {
	scope, err := q.scope(scopeNames{Site: body.Site})
	if err != nil {
		return nil, err
	}
	n, err := q.owner.Forget(q.r.Context(), q.actor(), body.Visitor, scope)
	return map[string]any{"contributions": n}, err
}

type blockBody struct {
	Site    string `json:"site"`
	Range   string `json:"range"`
	Visitor string `json:"visitor"`
	Reason  string `json:"reason"`
}

// target returns the range or the visitor that the body names. Errors: bad_body.
func (b blockBody) target() (owner.BlockTarget, error) {
	target := owner.BlockTarget{Site: b.Site, Visitor: b.Visitor}
	var err error
	if b.Range != "" {
		target.Addresses, err = parseRange(b.Range)
	}
	return target, err
}

// block answers POST /admin/v1/blocks.
func (q *request) block(body blockBody) (any, error) {
	target, err := body.target()
	if err != nil {
		return nil, err
	}
	return nil, q.owner.Block(q.detached(), q.actor(), target, body.Reason)
}

// unblock answers DELETE /admin/v1/blocks.
func (q *request) unblock(body blockBody) (any, error) {
	target, err := body.target()
	if err != nil {
		return nil, err
	}
	return nil, q.owner.Unblock(q.detached(), q.actor(), target)
}

// parseRange parses an address range or one address. Errors: bad_body.
func parseRange(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	addresses, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, tally.Errorf(tally.CodeBadBody, "%.60q is not an address range such as 203.0.113.0/24 or 2001:db8::/48", text)
	}
	return addresses, nil
}

// listBlocks answers GET /admin/v1/blocks.
func (q *request) listBlocks() (any, error) {
	blocks, err := q.owner.Blocks(q.r.Context())
	return map[string]any{"blocks": blocks}, err
}
