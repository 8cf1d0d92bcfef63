package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

var stateHead = []string{"TOPIC", "COUNT", "SEED", "ADJUSTMENT", "CHANGED"}

func (s topicState) cells() []string {
	changed := "never"
	if s.Version > 0 {
		changed = shortMoment(s.Changed)
	}
	return []string{s.Topic, thousands(s.Count), thousands(s.Seed), signed(s.Adjustment), changed}
}

// shortMoment writes a time for people, in their own zone.
func shortMoment(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }

// signed writes an adjustment.
func signed(n int64) string {
	switch {
	case n < 0:
		return "-" + thousands(-n)
	case n > 0:
		return "+" + thousands(n)
	}
	return "0"
}

// table gathers rows and writes them in columns.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table, or what to say where it is empty.
func (t *table) write(out io.Writer, empty string) error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(out, empty)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.head, "\t"))
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// listed is a page of things that the service lists under some name.
type listed struct {
	items []json.RawMessage
	next  string
}

// pages hands over what path lists under name, until there is no more or limit, where
// not 0, is reached. cursor is the parameter that takes the Next of the page before.
func (m *mending) pages(path, name, cursor string, query url.Values, limit int, each func(json.RawMessage) error) error {
	const most = 1000 // on a page
	for left := limit; ; {
		ask := most
		if limit > 0 {
			ask = min(left, most)
		}
		query.Set("limit", strconv.Itoa(ask))
		got, err := m.page(path+"?"+query.Encode(), name)
		if err != nil {
			return err
		}
		for _, item := range got.items {
			if err := each(item); err != nil {
				return err
			}
		}
		left -= len(got.items)
		if got.next == "" || limit > 0 && left <= 0 {
			return nil
		}
		query.Set(cursor, got.next)
	}
}

func (m *mending) page(path, name string) (p listed, err error) {
	var answer map[string]json.RawMessage
	if _, err := m.call("GET", path, nil, &answer); err != nil {
		return listed{}, err
	}
	if err = json.Unmarshal(answer[name], &p.items); err == nil && answer["next"] != nil {
		err = json.Unmarshal(answer["next"], &p.next)
	}
	if err != nil {
		return listed{}, m.client.unreadable(err)
	}
	return p, nil
}

// tabulate writes what a call lists: rows of a table, or lines. row adds an item's.
func tabulate[T any](m *mending, head []string, empty string, list func(func(json.RawMessage) error) error, row func(*table, T)) error {
	t := &table{head: head}
	err := list(func(raw json.RawMessage) error {
		if !m.table {
			m.line(raw)
			return nil
		}
		var item T
		if err := json.Unmarshal(raw, &item); err != nil {
			return m.client.unreadable(err)
		}
		row(t, item)
		return nil
	})
	if err != nil || !m.table {
		return err
	}
	return t.write(m.stdout, empty)
}

func addState(t *table, s topicState) { t.add(s.cells()...) }

func listTopics(m *mending) error {
	query := m.scope()
	query.Set("order", config.Read(m.read, "order", config.ParseChoice("topic", "newest", "count")))
	limit := config.Read(m.read, "limit", config.ParseLimit)
	if err := m.wrong(); err != nil {
		return err
	}
	return tabulate(m, stateHead, "There is no such topic.", func(each func(json.RawMessage) error) error {
		return m.pages("/admin/v1/topics", "topics", "after", query, limit, each)
	}, addState)
}

func showTopics(m *mending) error {
	topics, err := m.topics(m.args)
	if err != nil {
		return err
	}
	return tabulate(m, stateHead, "", func(each func(json.RawMessage) error) error {
		for _, topic := range topics {
			raw, err := m.call("GET", topicPath(topic), nil, nil)
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

func listBlocks(m *mending) error {
	type blocked struct{ Range, Visitor, Reason string }
	return tabulate(m, []string{"BLOCKED", "REASON"}, "Nobody is blocked.", func(each func(json.RawMessage) error) error {
		return m.pageOnce("/admin/v1/blocks", "blocks", each)
	}, func(t *table, b blocked) {
		who := b.Range
		if b.Visitor != "" {
			who = "visitor " + b.Visitor
		}
		t.add(who, b.Reason)
	})
}

// pageOnce hands over what is listed without pages.
func (m *mending) pageOnce(path, name string, each func(json.RawMessage) error) error {
	got, err := m.page(path, name)
	if err != nil {
		return err
	}
	for _, item := range got.items {
		if err := each(item); err != nil {
			return err
		}
	}
	return nil
}

// shownSource is how many contributions came from one source.
type shownSource struct {
	Source        string
	Contributions int64
}

func listSpikes(m *mending) error {
	query := m.scope()
	query.Set("since", config.Read(m.read, "since", parseSpan).String())
	if err := m.wrong(); err != nil {
		return err
	}
	type spike struct {
		Topic                string
		From, To             time.Time
		Contributions, Usual int64
		Sources              []shownSource
	}
	return tabulate(m, []string{"TOPIC", "FROM", "TO", "CAME", "USUAL", "SOURCES"}, "Nothing looks unlike visitors.", func(each func(json.RawMessage) error) error {
		return m.pageOnce("/admin/v1/spikes?"+query.Encode(), "spikes", each)
	}, func(t *table, s spike) {
		var sources []string
		for _, each := range s.Sources {
			sources = append(sources, fmt.Sprintf("%s (%d)", each.Source, each.Contributions))
		}
		if sources == nil {
			sources = []string{"many"}
		}
		t.add(s.Topic, shortMoment(s.From), shortMoment(s.To), thousands(s.Contributions), thousands(s.Usual), strings.Join(sources, " "))
	})
}

func listAudit(m *mending) error {
	limit := config.Read(m.read, "limit", config.ParseLimit)
	if err := m.wrong(); err != nil {
		return err
	}
	type entry struct {
		At                            time.Time
		Actor, Action, Target, Detail string
	}
	return tabulate(m, []string{"AT", "WHO", "DID", "TO", "WHAT"}, "Nothing was done.", func(each func(json.RawMessage) error) error {
		return m.pages("/admin/v1/audit", "entries", "before", url.Values{}, limit, each)
	}, func(t *table, e entry) {
		t.add(shortMoment(e.At), e.Actor, e.Action, e.Target, e.Detail)
	})
}

// maxSpan is how far back a command looks at most: a hundred years.
const maxSpan = 36_500 * 24 * time.Hour

// parseSpan reads how long something is: 90m, 24h or 7d.
var parseSpan = config.ParseDuration(time.Nanosecond, maxSpan)

// parseMoment reads a time, or how long ago it was.
func parseMoment(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if span, err := parseSpan(text); err == nil {
		return time.Now().Add(-span), nil
	}
	return time.Time{}, fmt.Errorf("%q should be a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h or 7d", text)
}
