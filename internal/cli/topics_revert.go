package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

func forgetVisitor(c *ownerCommand) error {
	if err := c.needArguments(1, "one visitor, by the id that its browser keeps"); err != nil {
		return err
	}
	if err := tally.ValidateVisitor(c.args[0]); err != nil {
		return usageError{errors.New(tally.AsError(err).Message)}
	}
	body := map[string]string{"visitor": c.args[0]}
	if site := c.reader.Text("site"); site != "" {
		body["site"] = site
	}
	if err := c.confirm("Take back all that this visitor contributed?"); err != nil {
		return err
	}
	var done struct{ Contributions int64 }
	raw, err := c.call("POST", "/admin/v1/forget", body, &done)
	if err != nil {
		return err
	}
	c.print(raw, "%s taken back", counted(int(done.Contributions), "contribution"))
	return nil
}

func block(c *ownerCommand) error   { return c.changeBlock("POST", "is blocked") }
func unblock(c *ownerCommand) error { return c.changeBlock("DELETE", "may contribute again") }

// changeBlock starts or ends the block of a range or a visitor.
func (c *ownerCommand) changeBlock(method, becomes string) error {
	body := map[string]string{}
	visitor := c.reader.Text("visitor")
	switch {
	case visitor != "" && len(c.args) == 0:
		body["visitor"] = visitor
	case visitor == "" && len(c.args) == 1:
		body["range"] = c.args[0]
	default:
		return usagef("name one range of addresses, such as 203.0.113.0/24, or a visitor with --visitor")
	}
	if reason := c.reader.Text("reason"); reason != "" {
		body["reason"] = reason
	}
	if err := c.client.call(c.ctx, method, "/admin/v1/blocks", body, nil); err != nil {
		return err
	}
	if c.asTable {
		who := "the visitor"
		if visitor == "" {
			who = c.args[0]
		}
		c.print(nil, "%s %s", who, becomes)
	}
	return nil
}

// undoResult is what an undo took back, or would.
type undoResult struct {
	Contributions int64
	Topics        []struct {
		Topic         string
		Contributions int64
	}
	Sources []sourceCount
}

// undo previews what it would take back, asks, and takes it back.
func undo(c *ownerCommand) error {
	body := map[string]any{}
	for name, text := range c.scope() {
		body[name] = text[0]
	}
	if len(c.args) > 0 {
		topics, err := parseTopics(c.args)
		if err != nil {
			return err
		}
		body["topics"] = topics
	}
	if len(body) == 0 {
		return usagef("name topics, or a site with --site")
	}
	from, to := config.Read(c.reader, "from", parseTime), config.Read(c.reader, "to", parseTime)
	if err := c.checkFlags(); err != nil {
		return err
	}
	if from.IsZero() {
		return usagef("say with --from since when contributions are taken back, such as --from 2h")
	}
	if to.IsZero() {
		to = time.Now() // later contributions are not in the preview
	}
	body["from"], body["to"] = from.UTC(), to.UTC()
	if sources := c.reader.Texts("source"); sources != nil {
		body["sources"] = sources
	}
	if addresses := c.reader.Texts("address"); addresses != nil {
		body["addresses"] = addresses
	}
	body["preview"] = true
	var found undoResult
	raw, err := c.call("POST", "/admin/v1/undo", body, &found)
	if err != nil {
		return err
	}
	if found.Contributions == 0 {
		c.print(raw, "there is nothing to take back")
		return nil
	}
	topics, sources := newTable("TOPIC", "CONTRIBUTIONS"), newTable("SOURCE", "CONTRIBUTIONS")
	for _, each := range found.Topics {
		topics.add(each.Topic, thousands(each.Contributions))
	}
	for _, each := range found.Sources {
		sources.add(each.Source, thousands(each.Contributions))
	}
	if err := c.preview(topics, sources); err != nil {
		return err
	}
	if err := c.confirm("Take back %s?", counted(int(found.Contributions), "contribution")); err != nil {
		return err
	}
	body["preview"] = false
	var done undoResult
	if raw, err = c.call("POST", "/admin/v1/undo", body, &done); err != nil {
		return err
	}
	c.print(raw, "%s taken back", counted(int(done.Contributions), "contribution"))
	return nil
}

// preview prints tables of what would be done, for people.
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
func prune(c *ownerCommand) error {
	query := c.scope()
	untouched := config.Read(c.reader, "untouched", parseSpan)
	if err := c.checkFlags(); err != nil {
		return err
	}
	switch {
	case query.Get("site") == "":
		return usagef("name a site with --site")
	case untouched == 0:
		return usagef("--untouched is missing: name the time without contributions, such as --untouched 365d")
	}
	body := map[string]any{"untouched_since": time.Now().Add(-untouched).UTC(), "preview": true}
	for name, text := range query {
		body[name] = text[0]
	}
	var found struct{ Topics []topicState }
	if _, err := c.call("POST", "/admin/v1/prune", body, &found); err != nil {
		return err
	}
	if len(found.Topics) == 0 {
		if c.asTable {
			c.print(nil, "there is nothing to prune")
		}
		return nil
	}
	t := newTable(stateHead...)
	for _, state := range found.Topics {
		addState(t, state)
	}
	if err := c.preview(t); err != nil {
		return err
	}
	if err := c.confirm("Delete %s?", counted(len(found.Topics), "topic")); err != nil {
		return err
	}
	body["preview"] = false
	return printList(c, stateHead, "There is nothing to prune any more.", func(each func(json.RawMessage) error) error {
		return c.pruneAll(body, each)
	}, addState)
}

// pruneAll calls until nothing is left: one call deletes a limited number of topics.
func (c *ownerCommand) pruneAll(body map[string]any, each func(json.RawMessage) error) error {
	for {
		var done struct{ Topics []json.RawMessage }
		if _, err := c.call("POST", "/admin/v1/prune", body, &done); err != nil {
			return err
		}
		for _, raw := range done.Topics {
			if err := each(raw); err != nil {
				return err
			}
		}
		if len(done.Topics) == 0 {
			return nil
		}
	}
}
