package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

func (c *ownerCommand) forgetVisitor() error {
	if err := tally.ValidateAnyVisitor(c.args[0]); err != nil {
		return usageError{errors.New(tally.AsError(err).Message)}
	}
	if err := c.confirm("Remove all contributions of this visitor?"); err != nil {
		return err
	}
	return c.revert("/admin/v1/forget", map[string]string{"visitor": c.args[0], "site": c.site})
}

// revert calls path, which removes contributions, and prints how many.
func (c *ownerCommand) revert(path string, body any) error {
	var done struct{ Contributions int64 }
	raw, err := c.call("POST", path, body, &done)
	if err != nil {
		return err
	}
	c.print(raw, "%s removed", counted(done.Contributions, "contribution"))
	return nil
}

// needsBlocked describes the target of a block.
const needsBlocked = "one range of addresses, such as 203.0.113.0/24, or a visitor with --visitor"

func (c *ownerCommand) block() error   { return c.changeBlock("POST", "is blocked") }
func (c *ownerCommand) unblock() error { return c.changeBlock("DELETE", "may contribute again") }

// changeBlock starts or ends the block of a range or a visitor.
func (c *ownerCommand) changeBlock(method, outcome string) error {
	if (c.visitor == "") == (len(c.args) == 0) {
		return usagef("name %s", needsBlocked)
	}
	body, target := map[string]string{"visitor": c.visitor, "reason": c.reason}, "the visitor"
	if c.visitor == "" {
		target = c.args[0]
		body["range"] = target
	}
	if c.site != "" { // services of the release 0.2.0 refuse this field
		body["site"] = c.site
	}
	if _, err := c.call(method, "/admin/v1/blocks", body, nil); err != nil {
		return err
	}
	c.print(nil, "%s %s", target, outcome)
	return nil
}

// undo previews which contributions it would remove, asks, and removes them.
func (c *ownerCommand) undo() error {
	names, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	switch {
	case len(names) == 0 && len(c.scope()) == 0:
		return usagef("name topics, or a site with --site")
	case c.from.IsZero():
		return usagef("--from is missing: it says since when contributions are removed, such as --from 2h")
	case c.to.IsZero():
		c.to = time.Now() // later contributions are not in the preview
	}
	body := map[string]any{
		"site": c.site, "metric": c.metric, "prefix": c.prefix, "topics": names, "from": c.from.UTC(), "to": c.to.UTC(),
		"sources": c.sources, "addresses": c.addresses, "preview": true,
	}
	if c.repeated { // services of the release 0.2.0 refuse this field
		body["repeated"] = true
	}
	var found owner.Reverted
	raw, err := c.call("POST", "/admin/v1/undo", body, &found)
	if err != nil {
		return err
	}
	if found.Entries == 0 {
		c.print(raw, "there is nothing to revert")
		return nil
	}
	topics, sources := newTable("TOPIC", "CONTRIBUTIONS"), newTable("SOURCE", "CONTRIBUTIONS")
	for _, each := range found.Topics {
		topics.add(each.Topic.String(), thousands(int64(each.Contributions)))
	}
	for _, each := range found.Sources {
		sources.add(each.Source.String(), thousands(int64(each.Contributions)))
	}
	if err := c.preview(topics, sources); err != nil {
		return err
	}
	if err := c.confirm("Remove %s?", counted(int64(found.Entries), "contribution")); err != nil {
		return err
	}
	body["preview"] = false
	return c.revert("/admin/v1/undo", body)
}

// preview prints tables of what would change, unless the output is JSON.
func (c *ownerCommand) preview(tables ...*table) error {
	if !c.asTable {
		return nil
	}
	for _, t := range tables {
		if err := t.write(c.stdout); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout)
	}
	return nil
}

// prune previews which topics it would delete, asks, and deletes them.
func (c *ownerCommand) prune() error {
	switch {
	case c.site == "":
		return usagef("name a site with --site")
	case c.untouched == 0:
		return usagef("--untouched is missing: name the time without contributions, such as --untouched 365d")
	}
	body := map[string]any{
		"site": c.site, "metric": c.metric, "prefix": c.prefix, "untouched_since": time.Now().Add(-c.untouched).UTC(), "preview": true,
	}
	var found struct{ Topics []admin.State }
	if _, err := c.call("POST", "/admin/v1/prune", body, &found); err != nil {
		return err
	}
	if len(found.Topics) == 0 {
		c.print(nil, "there is nothing to prune")
		return nil
	}
	t := newTable(stateHead...)
	for _, state := range found.Topics {
		addState(t, state)
	}
	if err := c.preview(t); err != nil {
		return err
	}
	if err := c.confirm("Delete %s?", counted(int64(len(found.Topics)), "topic")); err != nil {
		return err
	}
	body["preview"] = false
	return printList(c, stateHead, "There is nothing left to prune.", c.pruned(body), addState)
}

// pruned returns the topics that it deletes. It calls the API until no topic is left, since one call
// deletes a limited number of them.
func (c *ownerCommand) pruned(body map[string]any) items {
	return func(yield func(json.RawMessage, error) bool) {
		for {
			var done struct{ Topics []json.RawMessage }
			if _, err := c.call("POST", "/admin/v1/prune", body, &done); err != nil {
				yield(nil, err)
				return
			}
			for _, raw := range done.Topics {
				if !yield(raw, nil) {
					return
				}
			}
			if len(done.Topics) == 0 {
				return
			}
		}
	}
}
