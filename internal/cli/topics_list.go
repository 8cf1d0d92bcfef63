package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// stateHead is the head of a table of states, and addState adds a row to it.
var stateHead = []string{"TOPIC", "COUNT", "SEED", "ADJUSTMENT", "CHANGED"}

func addState(t *table, s admin.State) {
	changed := "never"
	if s.Version > 0 {
		changed = shortTime(s.Changed)
	}
	t.add(s.Topic, countText(s), s.Seed.Text(thousands), s.Adjustment.Text(signed), changed)
}

// shortTime writes a time in the local time zone.
func shortTime(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }

// items are items of the admin API, as JSON. After an error there are no more.
type items = iter.Seq2[json.RawMessage, error]

// listed returns the items that path lists under name, at most limit; 0 means all. cursor is the
// name of the parameter for the cursor of the next page; empty if the list has only one page.
func (c *ownerCommand) listed(path, name, cursor string, query url.Values, limit int) items {
	const pageSize = 1000
	return func(yield func(json.RawMessage, error) bool) {
		for left := limit; ; {
			if cursor != "" {
				size := pageSize
				if limit > 0 {
					size = min(left, pageSize)
				}
				query.Set("limit", strconv.Itoa(size))
			}
			page, next, err := c.getPage(path+"?"+query.Encode(), name)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			left -= len(page)
			if next == "" || limit > 0 && left <= 0 {
				return
			}
			query.Set(cursor, next)
		}
	}
}

// getPage returns the items that path lists under name, and the cursor of the next page.
func (c *ownerCommand) getPage(path, name string) (page []json.RawMessage, next string, err error) {
	var answer map[string]json.RawMessage
	if _, err := c.call("GET", path, nil, &answer); err != nil {
		return nil, "", err
	}
	if err = json.Unmarshal(answer[name], &page); err == nil && answer["next"] != nil {
		err = json.Unmarshal(answer["next"], &next)
	}
	if err != nil {
		err = c.client.unreadable(err)
	}
	return page, next, err
}

// printList prints items as a table or as lines of JSON. row adds an item to the table, and
// empty is printed if there is none.
func printList[T any](c *ownerCommand, head []string, empty string, all items, row func(*table, T)) error {
	t := &table{head: head}
	for raw, err := range all {
		var item T
		switch {
		case err != nil:
			_ = t.write(c.stdout) // the rows before the error
			return err
		case !c.asTable:
			c.printJSON(raw)
			continue
		}
		if err := json.Unmarshal(raw, &item); err != nil {
			return c.client.unreadable(err)
		}
		row(t, item)
	}
	if c.asTable && len(t.rows) == 0 {
		fmt.Fprintln(c.stdout, empty)
	}
	return t.write(c.stdout)
}

func (c *ownerCommand) listTopics() error {
	query := c.scope()
	query.Set("order", c.order)
	return printList(c, stateHead, "There is no such topic.", c.listed("/admin/v1/topics", "topics", "after", query, c.limit), addState)
}

func (c *ownerCommand) showTopics() error {
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	return printList(c, stateHead, "", func(yield func(json.RawMessage, error) bool) {
		for _, topic := range topics {
			if raw, err := c.call("GET", topicPath(topic), nil, nil); !yield(raw, err) {
				return
			}
		}
	}, addState)
}

func (c *ownerCommand) listBlocks() error {
	return printList(c, []string{"BLOCKED", "SITE", "REASON"}, "There are no blocks.", c.listed("/admin/v1/blocks", "blocks", "", url.Values{}, 0), func(t *table, b struct{ Site, Range, Visitor, Reason string }) {
		target := b.Range
		if b.Visitor != "" {
			target = "visitor " + b.Visitor
		}
		t.add(target, cmp.Or(b.Site, "all"), b.Reason)
	})
}

// shownSources bounds the sources of a spike in a table; --json lists up to 1,000.
const shownSources = 3

func (c *ownerCommand) listSpikes() error {
	query := c.scope()
	query.Set("since", c.since.String())
	return printList(c, []string{"TOPIC", "FROM", "TO", "CONTRIBUTIONS", "NETWORKS", "USUAL", "SITE USUAL", "PERIOD", "SOURCES"}, "There are no spikes.", c.listed("/admin/v1/spikes", "spikes", "", query, 0), func(t *table, s owner.Spike) {
		sources := "many"
		if len(s.Sources) > 0 {
			sources = strings.Join(namesOf(s.Sources[:min(len(s.Sources), shownSources)], func(each owner.SourceContributions) string {
				return fmt.Sprintf("%s (%d)", each.Source, each.Contributions)
			}), " ")
			if more := len(s.Sources) - shownSources; more > 0 {
				sources += fmt.Sprintf(" and %d more", more)
			}
		}
		t.add(s.Topic.String(), shortTime(s.From), shortTime(s.To), thousands(int64(s.Contributions)), thousands(int64(s.Networks)),
			thousands(int64(s.Usual)), thousands(int64(s.SiteUsual)), s.Period, sources)
	})
}

func (c *ownerCommand) listAudit() error {
	return printList(c, []string{"TIME", "ACTOR", "ACTION", "TARGET", "DETAIL"}, "The audit log is empty.", c.listed("/admin/v1/audit", "entries", "before", url.Values{}, c.limit), func(t *table, e tally.AuditEntry) {
		t.add(shortTime(e.At), e.Actor, e.Action, e.Target, e.Detail)
	})
}

// parseTime parses a time, or a duration before now.
func parseTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if span, err := parseSpan(text); err == nil {
		return time.Now().Add(-span), nil
	}
	return time.Time{}, fmt.Errorf("%q should be a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h or 7d", text)
}
