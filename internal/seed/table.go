package seed

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/table"
)

// table adds the seeds of a table whose first line names the columns.
func (f *fileResult) table(r Rules, in io.Reader) error {
	rows, err := table.NewReader(in, true)
	if err != nil {
		return err
	}
	first, _, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("is empty; its first line should name the columns")
	}
	if err != nil {
		return fmt.Errorf("its first line cannot be read: %w", err)
	}
	columns := slices.Clone(first)
	if err := r.checkColumns(columns); err != nil {
		return err
	}
	for {
		row, line, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*table.RowError)):
			f.refuse(line, "%v", err)
			continue
		case err != nil:
			return err
		case len(row) != len(columns):
			f.refuse(line, "has %d values and should have %d, as the first line", len(row), len(columns))
			continue
		case slices.ContainsFunc(row, func(text string) bool { return !utf8.ValidString(text) }):
			f.refuse(line, "is not UTF-8")
			continue
		}
		f.addRecord(r, record{line: line, field: func(name string) (any, int, bool) {
			i := table.Column(columns, name)
			if i < 0 {
				return nil, line, false
			}
			return row[i], line, true
		}})
	}
}

// checkColumns returns an error if a table lacks a column of the rules or has it twice.
func (r Rules) checkColumns(columns []string) error {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return table.Column(columns, name) >= 0 })
	}
	var names []string
	for _, field := range r.Fields {
		names = append(names, field.Name)
	}
	needed := names
	if has("topic") {
		if !has("seed", "count") {
			return errors.New("its first line names a column topic and should also name count or seed")
		}
		needed = []string{"topic", "seed", "count"}
	} else if !has(names...) {
		return fmt.Errorf("its first line should name the columns topic and count, or %s", strings.Join(names, " or "))
	}
	for _, name := range needed {
		if first := table.Column(columns, name); first >= 0 && table.Column(columns[first+1:], name) >= 0 {
			return fmt.Errorf("its first line names two columns %s", name)
		}
	}
	return nil
}
