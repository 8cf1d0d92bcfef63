package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
	"github.com/tallycast/tallycast/internal/tally"
)

// Lister is the part of a [tally.Ledger] that lists topics.
type Lister interface {
	List(ctx context.Context, listing tally.Listing) (tally.Page, error)
}

// ExportCounts writes topic and count of all topics of scope, as CSV with a header or
// as a JSON array of objects, for spreadsheets and programs. It reads all contributions
// on the way: of a listing each page would cost a store without an order of names, such
// as Redis, a look at all keys.
func ExportCounts(ctx context.Context, source Source, scope tally.Scope, asJSON bool, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporting{w: w, progress: progress, buffer: make([]byte, 0, 2*writeBytes)}
	begin, end := "topic,count\n", ""
	if asJSON {
		begin, end = "[", "\n]\n"
	}
	e.buffer = append(e.buffer, begin...)
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		e.done.Contributions += int64(len(p.Contributions))
		if !p.Last {
			return nil
		}
		if asJSON {
			e.buffer = appendCountJSON(e.buffer, p.Change, e.done.Topics == 0)
		} else {
			e.buffer = appendCountCSV(e.buffer, p.Change)
		}
		e.done.Topics++
		return e.flush(writeBytes)
	})
	if err != nil {
		return e.done.Totals, fmt.Errorf("export: %w", err)
	}
	e.buffer = append(e.buffer, end...)
	return e.done.Totals, e.flush(0)
}

func appendCountJSON(dst []byte, c tally.Change, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = tally.AppendJSONString(append(dst, "\n{\"topic\":"...), c.Topic.String())
	dst = strconv.AppendInt(append(dst, `,"count":`...), c.Count, 10)
	return append(dst, '}')
}

// appendCountCSV appends a row (RFC 4180). No topic looks like a formula to a
// spreadsheet, since it begins with the name of a site.
func appendCountCSV(dst []byte, c tally.Change) []byte {
	topic := c.Topic.String()
	if strings.ContainsAny(topic, `",`) {
		topic = `"` + strings.ReplaceAll(topic, `"`, `""`) + `"`
	}
	dst = append(append(dst, topic...), ',')
	return append(strconv.AppendInt(dst, c.Count, 10), '\n')
}

// Layout says where a table or document of counts holds what.
type Layout struct {
	// Topic and Count are the names of the columns or members; empty is topic and count.
	Topic, Count string
	// Template makes topics of what Topic holds, if it is not empty; see [Template].
	Template Template
	// Hosts, if not empty, are those whose pages are taken where Topic holds URLs.
	Hosts []string
}

// ParseColumns reads the columns of a layout from texts such as topic=path and count=views.
func ParseColumns(items []string) (layout Layout, err error) {
	for _, item := range items {
		name, column, ok := strings.Cut(item, "=")
		column = strings.TrimSpace(column)
		switch {
		case ok && column != "" && name == "topic":
			layout.Topic = column
		case ok && column != "" && name == "count":
			layout.Count = column
		default:
			return layout, fmt.Errorf("%q should be topic=COLUMN or count=COLUMN, such as topic=path,count=views", item)
		}
	}
	if layout.Topic != "" && strings.EqualFold(layout.Topic, layout.Count) {
		return layout, fmt.Errorf("topic and count both come from the column %s", layout.Topic)
	}
	return layout, nil
}

func (l Layout) names() (topic, count string) {
	return cmp.Or(l.Topic, "topic"), cmp.Or(l.Count, "count")
}

// ReadCountsCSV reads rows of a topic and its count. If the first row names the columns
// of layout they may stand anywhere, beside others; if layout names none they may also be
// the first two of a table without a header.
func ReadCountsCSV(file File, layout Layout) (Counts, error) {
	return layout.read("line", func(a *adder, use func(name string, number attribute) error) error {
		text, err := file.open()
		if err != nil {
			return err
		}
		first, rows, err := openRows(text)
		if err != nil {
			return err
		}
		topicName, countName := layout.names()
		topicAt, countAt := table.Column(first, topicName), table.Column(first, countName)
		switch headed := topicAt >= 0 && countAt >= 0; {
		case headed && (table.Column(first[topicAt+1:], topicName) >= 0 || table.Column(first[countAt+1:], countName) >= 0):
			return fmt.Errorf("its first line names two columns %s or %s", topicName, countName)
		case headed:
		case layout.Topic == "" && layout.Count == "" && len(first) > 1 && isNumeral(first[1]):
			topicAt, countAt = 0, 1
			if err := a.used("", 1, use(first[0], attribute{text: first[1]})); err != nil {
				return err
			}
		default:
			return errNoColumns(first, topicName, countName)
		}
		return a.eachRow(rows, "", max(topicAt, countAt)+1, func(row []string) error {
			return use(row[topicAt], attribute{text: row[countAt]})
		})
	})
}

// errNoColumns says that a table lacks the columns that are read, and what to do.
func errNoColumns(first []string, topic, count string) error {
	advice := "--columns names other columns, such as topic=path,count=views, and --topic makes topics of paths, such as blog/views/{1}"
	switch {
	case first[0] == "1Path" || first[0] == "2Path":
		advice = "it looks like GoatCounter's export: --format goatcounter"
	case table.Column(first, "url_path") >= 0 && table.Column(first, "session_id") >= 0:
		advice = "it looks like Umami's export: --format umami"
	}
	return fmt.Errorf("its first line names no columns %s and %s, and is no topic and count: it is %.300q. %s", topic, count, strings.Join(first, ", "), advice)
}

// read returns the counts that each passes on. Where topics are made of URLs, it reads
// twice: first to learn which hosts there are.
func (l Layout) read(unit string, each func(a *adder, use func(name string, number attribute) error) error) (Counts, error) {
	named := hosts{}
	madeOfNames := l.Template != Template{}
	if madeOfNames {
		err := each(newAdder(unit), func(name string, _ attribute) error { named.add(hostOfURL(name)); return nil })
		if err != nil {
			return Counts{}, err
		}
	}
	chosen, err := named.choose(l.Hosts)
	if err != nil {
		return Counts{}, err
	}
	a := newAdder(unit)
	err = each(a, func(name string, number attribute) error {
		if madeOfNames {
			if err := chosen.check(hostOfURL(name)); err != nil {
				return err
			}
		}
		return a.addText(l.Template, name, number)
	})
	a.noteHosts(chosen)
	return a.counts(), err
}

// isNumeral reports whether text is written as a number, though maybe as one that can
// be read in two ways.
func isNumeral(text string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.Trim(text, "0123456789.,_:+-'\u2019 \u00a0\u202fxXeE") == ""
}

// addText adds an entry whose parts are texts.
func (a *adder) addText(template Template, name string, number attribute) error {
	topic, err := template.topic(name)
	if err != nil {
		return err
	}
	n, err := number.count()
	if err != nil {
		return fmt.Errorf("%s: %w", topic, err)
	}
	a.add(topic, n)
	return nil
}

// ReadCountsJSON reads an array of objects with topic and count, or one object of
// counts by topic.
func ReadCountsJSON(file File, layout Layout) (Counts, error) {
	topicName, countName := layout.names()
	return layout.read("entry", func(a *adder, use func(name string, number attribute) error) error {
		text, err := file.open()
		if err != nil {
			return err
		}
		names := map[string]bool{}
		return eachJSON(text, func(line int64, name string, text json.RawMessage) error {
			var number attribute
			if names[name] {
				return a.used("", line, fmt.Errorf("%.300s: it is named twice", name))
			}
			names[name] = name != ""
			if name == "" {
				var object map[string]json.RawMessage
				var topic string
				if json.Unmarshal(text, &object) != nil || json.Unmarshal(object[topicName], &topic) != nil || topic == "" {
					return a.used("", line, fmt.Errorf("it is no object with %s and %s", topicName, countName))
				}
				name, text = topic, object[countName]
			}
			if len(text) == 0 || text[0] == '{' || json.Unmarshal(text, &number) != nil {
				return a.used("", line, fmt.Errorf("%.300s: its count is no number", name))
			}
			return a.used("", line, use(name, number))
		})
	})
}
