package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// table is a table of text.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table; nothing if it has no rows.
func (t *table) write(out io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(t.head) > 0 {
		fmt.Fprintln(w, strings.Join(t.head, "\t"))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// thousands formats n with its digits in groups of three.
var thousands = humanize.Comma

// signed formats n with its sign and with its digits in groups of three.
func signed(n int64) string {
	if n > 0 {
		return "+" + thousands(n)
	}
	return thousands(n)
}

// counted returns a text such as "1 file" or "2 files".
func counted(n int64, noun string) string { return tally.Quantity(int(n), noun) }

// totalsText returns a text such as "1 topic and 2 contributions".
func totalsText(t transfer.Totals) string {
	return counted(t.Topics, "topic") + " and " + counted(t.Contributions, "contribution")
}
