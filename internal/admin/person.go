package admin

import (
	"net/netip"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// forget answers POST /admin/v1/forget.
func (q *request) forget() error {
	var said struct {
		Visitor string `json:"visitor"`
		Site    string `json:"site"`
	}
	if err := q.decode(&said); err != nil {
		return err
	}
	if err := tally.ValidateVisitor(said.Visitor); err != nil {
		return err
	}
	scope, err := q.s.scope(said.Site, "", "")
	if err != nil {
		return err
	}
	n, err := q.s.owner.Forget(q.carriedThrough(), q.actor(), said.Visitor, scope)
	if err != nil {
		return err
	}
	q.answer(struct {
		Contributions int `json:"contributions"`
	}{n})
	return nil
}

// maxReason bounds a reason in bytes: a few sentences.
const maxReason = 1000

// block answers POST /admin/v1/blocks.
func (q *request) block() error {
	who, reason, err := q.blocked()
	if err != nil {
		return err
	}
	if len(reason) > maxReason {
		return tally.Errorf(tally.CodeBadBody, "a reason is at most %d bytes long", maxReason)
	}
	if err := q.s.owner.Block(q.carriedThrough(), q.actor(), who, reason); err != nil {
		return err
	}
	q.done()
	return nil
}

// unblock answers DELETE /admin/v1/blocks.
func (q *request) unblock() error {
	who, _, err := q.blocked()
	if err != nil {
		return err
	}
	if err := q.s.owner.Unblock(q.carriedThrough(), q.actor(), who); err != nil {
		return err
	}
	q.done()
	return nil
}

// blocked reads who is meant. Errors: bad_body.
func (q *request) blocked() (who owner.BlockTarget, reason string, err error) {
	var said struct {
		Range   string `json:"range"`
		Visitor string `json:"visitor"`
		Reason  string `json:"reason"`
	}
	if err := q.decode(&said); err != nil {
		return who, "", err
	}
	who.Visitor = said.Visitor
	if said.Range != "" {
		if who.Addresses, err = parseRange(said.Range); err != nil {
			return who, "", err
		}
	}
	return who, said.Reason, nil
}

// parseRange reads an address range, or one address. Errors: bad_body.
func parseRange(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	addresses, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, tally.Errorf(tally.CodeBadBody, "%.60q is no address range such as 203.0.113.0/24 or 2001:db8::/48", text)
	}
	return addresses, nil
}

// listBlocks answers GET /admin/v1/blocks.
func (q *request) listBlocks() error {
	blocks, err := q.s.owner.Blocks(q.r.Context())
	if err != nil {
		return err
	}
	type item struct {
		Range   string `json:"range,omitempty"`
		Visitor string `json:"visitor,omitempty"`
		Reason  string `json:"reason"`
	}
	items := make([]item, len(blocks))
	for i, b := range blocks {
		items[i] = item{Visitor: b.Visitor, Reason: b.Reason}
		if b.Addresses.IsValid() {
			items[i].Range = b.Addresses.String()
		}
	}
	q.answer(struct {
		Blocks []item `json:"blocks"`
	}{items})
	return nil
}
