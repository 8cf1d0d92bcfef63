package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

// stateHead is the head of a table of states, and addState adds a row to it.
var stateHead = []string{"TOPIC", "COUNT", "SEED", "ADJUSTMENT", "CHANGED"}

func addState(t *table, s topicState) {
	changed := "never"
	if s.Version > 0 {
		changed = shortTime(s.Changed)
	}
	t.add(s.Topic, thousands(s.Count), thousands(s.Seed), signed(s.Adjustment), changed)
}

// shortTime writes a time in the local time zone.
func shortTime(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }

// eachItem calls each with the items that path lists under name, at most limit; 0 means
// all. cursor is the parameter that takes the next of the previous page; empty if the list
// has only one page.
func (c *ownerCommand) eachItem(path, name, cursor string, query url.Values, limit int, each func(json.RawMessage) error) error {
	const pageSize = 1000
	for left := limit; ; {
		size := pageSize
		if limit > 0 {
			size = min(left, pageSize)
		}
		if cursor != "" {
			query.Set("limit", strconv.Itoa(size))
		}
		items, next, err := c.getPage(path+"?"+query.Encode(), name)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := each(item); err != nil {
				return err
			}
		}
		left -= len(items)
		if next == "" || limit > 0 && left <= 0 {
			return nil
		}
		query.Set(cursor, next)
	}
}

// getPage returns the items that path lists under name, and the cursor of the next page.
func (c *ownerCommand) getPage(path, name string) (items []json.RawMessage, next string, err error) {
	var answer map[string]json.RawMessage
	if _, err := c.call("GET", path, nil, &answer); err != nil {
		return nil, "", err
	}
	if err = json.Unmarshal(answer[name], &items); err == nil && answer["next"] != nil {
		err = json.Unmarshal(answer["next"], &next)
	}
	if err != nil {
		err = c.client.unreadable(err)
	}
	return items, next, err
}

// printList prints the items that list passes on, as a table or as lines of JSON. row adds
// an item to the table, and empty is printed if there is none.
func printList[T any](c *ownerCommand, head []string, empty string, list func(func(json.RawMessage) error) error, row func(*table, T)) error {
	t := &table{head: head}
	err := list(func(raw json.RawMessage) error {
		if !c.asTable {
			c.printJSON(raw)
			return nil
		}
		var item T
		if err := json.Unmarshal(raw, &item); err != nil {
			return c.client.unreadable(err)
		}
		row(t, item)
		return nil
	})
	if err == nil && c.asTable && len(t.rows) == 0 {
		_, err = fmt.Fprintln(c.stdout, empty)
	}
	return errors.Join(err, t.write(c.stdout))
}

func listTopics(c *ownerCommand) error {
	query := c.scope()
	query.Set("order", config.Read(c.reader, "order", config.ParseChoice("topic", "newest", "count")))
	limit := config.Read(c.reader, "limit", config.ParseLimit)
	if err := c.checkFlags(); err != nil {
		return err
	}
	return printList(c, stateHead, "There is no such topic.", func(each func(json.RawMessage) error) error {
		return c.eachItem("/admin/v1/topics", "topics", "after", query, limit, each)
	}, addState)
}

func showTopics(c *ownerCommand) error {
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	return printList(c, stateHead, "", func(each func(json.RawMessage) error) error {
		for _, topic := range topics {
			raw, err := c.call("GET", topicPath(topic), nil, nil)
			if err != nil {
				return err
			}
			if err := each(raw); err != nil {
				return err
			}
		}
		return nil
	}, addState)
}

func listBlocks(c *ownerCommand) error {
	type blocked struct{ Range, Visitor, Reason string }
	return printList(c, []string{"BLOCKED", "REASON"}, "There are no blocks.", func(each func(json.RawMessage) error) error {
		return c.eachItem("/admin/v1/blocks", "blocks", "", url.Values{}, 0, each)
	}, func(t *table, b blocked) {
		who := b.Range
		if b.Visitor != "" {
			who = "visitor " + b.Visitor
		}
		t.add(who, b.Reason)
	})
}

// sourceCount is the number of contributions from one source.
type sourceCount struct {
	Source        string
	Contributions int64
}

func listSpikes(c *ownerCommand) error {
	query := c.scope()
	query.Set("since", config.Read(c.reader, "since", parseSpan).String())
	if err := c.checkFlags(); err != nil {
		return err
	}
	type spike struct {
		Topic                string
		From, To             time.Time
		Contributions, Usual int64
		Sources              []sourceCount
	}
	return printList(c, []string{"TOPIC", "FROM", "TO", "CAME", "USUAL", "SOURCES"}, "There are no spikes.", func(each func(json.RawMessage) error) error {
		return c.eachItem("/admin/v1/spikes", "spikes", "", query, 0, each)
	}, func(t *table, s spike) {
		var sources []string
		for _, each := range s.Sources {
			sources = append(sources, fmt.Sprintf("%s (%d)", each.Source, each.Contributions))
		}
		if sources == nil {
			sources = []string{"many"}
		}
		t.add(s.Topic, shortTime(s.From), shortTime(s.To), thousands(s.Contributions), thousands(s.Usual), strings.Join(sources, " "))
	})
}

func listAudit(c *ownerCommand) error {
	limit := config.Read(c.reader, "limit", config.ParseLimit)
	if err := c.checkFlags(); err != nil {
		return err
	}
	type entry struct {
		At                            time.Time
		Actor, Action, Target, Detail string
	}
	return printList(c, []string{"AT", "WHO", "DID", "TO", "WHAT"}, "The audit log is empty.", func(each func(json.RawMessage) error) error {
		return c.eachItem("/admin/v1/audit", "entries", "before", url.Values{}, limit, each)
	}, func(t *table, e entry) {
		t.add(shortTime(e.At), e.Actor, e.Action, e.Target, e.Detail)
	})
}

// maxSpan is the longest time a command looks back: a hundred years.
const maxSpan = 36_500 * 24 * time.Hour

// parseSpan parses a length of time: 90m, 24h or 7d.
var parseSpan = config.ParseDuration(time.Nanosecond, maxSpan)

// parseTime parses a time, or how long ago it was.
func parseTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if span, err := parseSpan(text); err == nil {
		return time.Now().Add(-span), nil
	}
	return time.Time{}, fmt.Errorf("%q should be a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h or 7d", text)
}
