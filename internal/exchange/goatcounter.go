package exchange

import (
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
)

// Figures that importers find.
const (
	FigureViews    = "views"
	FigureVisitors = "visitors"
	FigureClaps    = "claps"
)

// ReadGoatCounter reads the CSV export of GoatCounter, versions 1 and 2 of its format
// (https://www.goatcounter.com/help/export): a row a view. A page's views are its rows, its
// visitors those that were the first of their session there; those of the site are
// its sessions. Rows of bots and of events are left out.
func ReadGoatCounter(r io.Reader, naming Naming) (Counts, error) {
	a := newAdder("line")
	rows := newRows(r)
	header, _, err := rows.next()
	if err != nil {
		return Counts{}, fmt.Errorf("read GoatCounter's export: %w", err)
	}
	// The version stands before the first column's name.
	if version, ok := strings.CutSuffix(header[0], "Path"); !ok || (version != "1" && version != "2") {
		return Counts{}, fmt.Errorf("the first column is %.100q; an export of GoatCounter that is known begins with 1Path or 2Path", header[0])
	}
	header[0] = "path"
	at, err := columns(header, "path", "event", "bot", "session", "firstvisit")
	if err != nil {
		return Counts{}, fmt.Errorf("GoatCounter's export: %w", err)
	}
	width := max(at["path"], at["event"], at["bot"], at["session"], at["firstvisit"]) + 1
	sessions := newDistinct()
	err = rows.each(a, width, func(line int64, row []string) error {
		switch {
		case isTrue(row[at["event"]]):
			a.leaveOut("events")
			return nil
		case row[at["bot"]] != "0" && row[at["bot"]] != "":
			a.leaveOut("views of bots")
			return nil
		}
		key, err := naming.page("", row[at["path"]])
		if err != nil {
			return err
		}
		return a.view(naming, key, isTrue(row[at["firstvisit"]]), sessions.add(row[at["session"]]))
	})
	return a.counts(), err
}

func isTrue(text string) bool { return text == "true" || text == "1" }

// each reads the remaining rows of at least width columns; what use does not
// understand is refused.
func (r *rows) each(a *adder, width int, use func(line int64, row []string) error) error {
	for {
		row, line, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*csv.ParseError)):
		case err != nil:
			return fmt.Errorf("read the rows: %w", err)
		case len(row) < width:
			err = fmt.Errorf("it has %d columns of %d", len(row), width)
		default:
			err = use(line, row)
		}
		a.result.Entries++
		if errors.Is(err, errOtherHost) {
			a.leaveOut("views of other hosts")
		} else if err != nil {
			a.refuse(line, err)
		}
	}
}

// view counts a view of a page, and whether it brings a visitor to the page and one to
// the site.
func (a *adder) view(naming Naming, key string, newToPage, newToSite bool) error {
	for _, each := range []struct {
		figure, key string
		counts      bool
	}{
		{FigureViews, key, true},
		{FigureVisitors, key, newToPage},
		{FigureViews, wholeSite, true},
		{FigureVisitors, wholeSite, newToSite},
	} {
		topic, wanted, err := naming.topic(each.figure, each.key)
		if err != nil {
			return err
		}
		if wanted && each.counts {
			a.add(topic, 1)
		}
	}
	return nil
}

// distinct tells texts that are new from those that were added before, by 64 bits of a
// hash: a million of them take some 40 MB less than their texts would, and one of a
// million is mistaken with a chance of less than one in ten million.
type distinct struct {
	seed maphash.Seed
	seen map[uint64]struct{}
}

func newDistinct() distinct {
	return distinct{maphash.MakeSeed(), map[uint64]struct{}{}}
}

// add tells whether these parts are new. Empty ones are nobody.
func (d distinct) add(parts ...string) bool {
	var h maphash.Hash
	h.SetSeed(d.seed)
	for _, part := range parts {
		if part == "" {
			return false
		}
		_, _ = h.WriteString(part) // never fails
		_ = h.WriteByte(0)
	}
	sum := h.Sum64()
	if _, ok := d.seen[sum]; ok {
		return false
	}
	d.seen[sum] = struct{}{}
	return true
}
