package admin

import (
	"net/netip"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// forget answers POST /admin/v1/forget.
func (q *request) forget() error {
	var body struct {
		Visitor string `json:"visitor"`
		Site    string `json:"site"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	scope, err := q.s.scope(body.Site, "", "")
	if err != nil {
		return err
	}
	n, err := q.s.owner.Forget(q.detached(), q.actor(), body.Visitor, scope)
	if err != nil {
		return err
	}
	q.respond(struct {
		Contributions int `json:"contributions"`
	}{n})
	return nil
}

// block answers POST /admin/v1/blocks.
func (q *request) block() error {
	target, reason, err := q.blockTarget()
	if err != nil {
		return err
	}
	if err := q.s.owner.Block(q.detached(), q.actor(), target, reason); err != nil {
		return err
	}
	q.respondEmpty()
	return nil
}

// unblock answers DELETE /admin/v1/blocks.
func (q *request) unblock() error {
	target, _, err := q.blockTarget()
	if err != nil {
		return err
	}
	if err := q.s.owner.Unblock(q.detached(), q.actor(), target); err != nil {
		return err
	}
	q.respondEmpty()
	return nil
}

// blockTarget reads the body of block and unblock. Errors: bad_body.
func (q *request) blockTarget() (target owner.BlockTarget, reason string, err error) {
	var body struct {
		Range   string `json:"range"`
		Visitor string `json:"visitor"`
		Reason  string `json:"reason"`
	}
	if err := q.decode(&body); err != nil {
		return target, "", err
	}
	target.Visitor = body.Visitor
	if body.Range != "" {
		target.Addresses, err = parseRange(body.Range)
	}
	return target, body.Reason, err
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
func (q *request) listBlocks() error {
	blocks, err := q.s.owner.Blocks(q.r.Context())
	if err != nil {
		return err
	}
	q.respond(struct {
		Blocks []owner.Block `json:"blocks"`
	}{blocks})
	return nil
}
