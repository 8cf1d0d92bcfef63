// Package report writes the results of a case: a table, JSON lines, a plot, and a page with
// all cases.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// Case holds the results of one case.
type Case struct {
	Name    string // and that of its files
	Title   string
	Machine string
	Command string // repeats the measurement

	tables   []*Table
	targets  []Target
	settings [][2]string
	lines    []json.RawMessage
	plot     func(path string) error
}

// Table is one table of a case.
type Table struct {
	Columns []string
	Rows    [][]string
}

// Target is a figure with a limit.
type Target struct {
	What   string
	Figure float64
	Limit  float64
	Unit   string
	// AtLeast makes Limit a lower bound.
	AtLeast bool
}

// Reached reports whether the figure is within its limit. NaN is not.
func (t Target) Reached() bool {
	if t.AtLeast {
		return t.Figure >= t.Limit
	}
	return t.Figure <= t.Limit
}

func (t Target) String() string {
	bound, verdict := "at most", "reached"
	if t.AtLeast {
		bound = "at least"
	}
	switch {
	case math.IsNaN(t.Figure):
		return t.What + ": not measured"
	case !t.Reached():
		verdict = "NOT reached"
	}
	unit := t.Unit
	if unit != "" {
		unit = " " + unit
	}
	return fmt.Sprintf("%s: %.3g%s, target %s %.3g%s: %s", t.What, t.Figure, unit, bound, t.Limit, unit, verdict)
}

// Table adds a table.
func (c *Case) Table(columns ...string) *Table {
	t := &Table{Columns: columns}
	c.tables = append(c.tables, t)
	return t
}

// Row adds a row. Numbers have three digits.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		switch cell := cell.(type) {
		case float64:
			row[i] = Number(cell)
		default:
			row[i] = fmt.Sprint(cell)
		}
	}
	t.Rows = append(t.Rows, row)
}

// Number formats v with three digits, or with all digits before the point.
func Number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// Target adds a target.
func (c *Case) Target(t Target) { c.targets = append(c.targets, t) }

// Setting records the settings of a peer, once for each name.
func (c *Case) Setting(name, settings string) {
	for _, s := range c.settings {
		if s[0] == name {
			return
		}
	}
	c.settings = append(c.settings, [2]string{name, settings})
}

// Record adds a measurement as a JSON line.
func (c *Case) Record(measurement any) error {
	line, err := json.Marshal(struct {
		Case        string
		Measurement any
	}{c.Name, measurement})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	c.lines = append(c.lines, line)
	return nil
}

// Print writes the tables and targets as text.
func (c *Case) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\n%s\n", c.Title) // Flush returns errors
	for _, t := range c.tables {
		_, _ = fmt.Fprintf(w, "\n%s\n", strings.Join(t.Columns, "\t"))
		for _, row := range t.Rows {
			_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
		}
	}
	_, _ = fmt.Fprintln(w)
	for _, t := range c.targets {
		_, _ = fmt.Fprintln(w, t)
	}
	return w.Flush()
}

// markdown returns the section of the case.
func (c *Case) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", c.Name, c.Title)
	for _, t := range c.tables {
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
		b.WriteString("\n")
	}
	for _, t := range c.targets {
		fmt.Fprintf(&b, "- %s\n", t)
	}
	if c.plot != nil {
		fmt.Fprintf(&b, "\n![%s](%s.svg)\n", c.Title, c.Name)
	}
	fmt.Fprintf(&b, "\nMeasured with `%s` on %s.", c.Command, c.Machine)
	for _, s := range c.settings {
		fmt.Fprintf(&b, "\n- %s: %s", s[0], s[1])
	}
	return b.String() + "\n"
}

// Save writes NAME.jsonl, NAME.svg and NAME.md into dir, and README.md with all sections
// there in the given order.
func (c *Case) Save(dir string, order []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var lines []byte
	for _, line := range c.lines {
		lines = append(append(lines, line...), '\n')
	}
	path := func(end string) string { return filepath.Join(dir, c.Name+end) }
	if err := os.WriteFile(path(".jsonl"), lines, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(path(".md"), []byte(c.markdown()), 0o644); err != nil {
		return err
	}
	if c.plot != nil {
		if err := c.plot(path(".svg")); err != nil {
			return fmt.Errorf("plot: %w", err)
		}
	}
	page := []byte("# Results\n\nWritten by the bench; [how to repeat them](../README.md).\n")
	for _, name := range order {
		section, err := os.ReadFile(filepath.Join(dir, name+".md"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		page = append(append(page, '\n'), section...)
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), page, 0o644)
}
