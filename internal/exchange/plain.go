package exchange

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

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

// ReadCountsCSV reads rows of a topic and its count. Where the first row names columns
// topic and count they may stand anywhere, beside others; where it names none they are
// the first two. Topics pass through template, if that is not empty; see [Template].
func ReadCountsCSV(r io.Reader, template Template) (Counts, error) {
	a := newAdder("line")
	rows := newRows(r)
	topicAt, countAt := 0, 1
	for first := true; ; first = false {
		row, line, err := rows.next()
		switch {
		case errors.Is(err, io.EOF):
			return a.counts(), nil
		case errors.As(err, new(*csv.ParseError)):
			a.result.Entries++
			a.refuse(line, err)
			continue
		case err != nil:
			return Counts{}, fmt.Errorf("read the counts: %w", err)
		}
		if first {
			named, err := columns(row, "topic", "count")
			if err == nil {
				topicAt, countAt = named["topic"], named["count"]
				continue
			}
			if len(row) < 2 || !isNumber(row[1]) {
				return Counts{}, fmt.Errorf("the first line names no columns topic and count, and is no topic and count")
			}
		}
		a.result.Entries++
		if len(row) <= max(topicAt, countAt) {
			a.refuse(line, fmt.Errorf("it has %d columns", len(row)))
			continue
		}
		a.addText(line, template, row[topicAt], row[countAt])
	}
}

func isNumber(text string) bool {
	_, err := parseCount(text)
	return err == nil
}

// parseCount reads a whole number, which spreadsheets may have written as 12.0.
func parseCount(text string) (int64, error) {
	text = strings.TrimSpace(text)
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0") != "" {
		return 0, fmt.Errorf("%.100q is no whole number", text)
	}
	return n, checkCount(n)
}

// addText adds an entry whose parts are texts.
func (a *adder) addText(entry int64, template Template, name, number string) {
	topic, err := template.topic(name)
	if err != nil {
		a.refuse(entry, err)
		return
	}
	n, err := parseCount(number)
	if err != nil {
		a.refuse(entry, fmt.Errorf("%s: %w", topic, err))
		return
	}
	a.add(topic, n)
}

// ReadCountsJSON reads an array of objects with topic and count, or one object of
// counts by topic. Topics pass through template, if that is not empty.
func ReadCountsJSON(r io.Reader, template Template) (Counts, error) {
	a := newAdder("entry")
	err := eachJSON(r, func(entry int64, name string, text json.RawMessage) {
		a.result.Entries++
		var o struct {
			Topic string
			Count json.Number
		}
		if name != "" {
			o.Topic, o.Count = name, json.Number(bytes.Trim(text, `"`))
		} else if err := json.Unmarshal(text, &o); err != nil || o.Topic == "" {
			a.refuse(entry, errors.New("it is no object with topic and count"))
			return
		}
		a.addText(entry, template, o.Topic, o.Count.String())
	})
	return a.counts(), err
}
