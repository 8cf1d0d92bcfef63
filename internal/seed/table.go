package seed

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/quotes"
)

// table adds what a table gives: lines of values, of which the first names the
// columns. They are separated by commas, semicolons or tabs, whichever stands first
// in that line, as spreadsheets of all countries write it.
func (f *found) table(r Rules, in io.Reader) error {
	buffered := bufio.NewReader(in)
	if mark, _ := buffered.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = buffered.Discard(len(byteOrderMark)) // it was just peeked at
	}
	head, _ := buffered.Peek(buffered.Size())
	comma := separator(head)
	rows := csv.NewReader(quotes.Reader(buffered, byte(comma)))
	rows.Comma = comma
	rows.FieldsPerRecord = -1 // said with the line, below
	columns, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("is empty; its first line should name the columns")
	}
	if err != nil {
		return fmt.Errorf("its first line cannot be read: %w", err)
	}
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	if err := r.checkColumns(columns); err != nil {
		return err
	}
	for {
		row, err := rows.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &malformed):
			f.refuse(malformed.Line, "%v", malformed.Err)
			continue
		case err != nil:
			return err
		}
		line, _ := rows.FieldPos(0)
		if quotes.In(row) {
			f.refuse(line, "%v", quotes.ErrOpen)
			continue
		}
		if len(row) != len(columns) {
			f.refuse(line, "has %d values, and the first line %d columns", len(row), len(columns))
			continue
		}
		if !slices.ContainsFunc(row, func(text string) bool { return !utf8.ValidString(text) }) {
			f.take(r, record{file: f.file, line: line, field: func(name string) (any, int, bool) {
				i := column(columns, name)
				if i < 0 {
					return nil, line, false
				}
				return row[i], line, true
			}})
			continue
		}
		f.refuse(line, "is not UTF-8")
	}
}

// separator returns what separates the columns of a table that begins with head.
func separator(head []byte) rune {
	for _, c := range string(head) {
		switch c {
		case ',', ';', '\t':
			return c
		case '\n':
			return ','
		}
	}
	return ','
}

func column(columns []string, name string) int {
	return slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
}

// checkColumns tells whether a table has what the rules need.
func (r Rules) checkColumns(columns []string) error {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return column(columns, name) >= 0 })
	}
	if has("topic") {
		if !has("seed", "count") {
			return errors.New("its first line names a column topic, and neither count nor seed")
		}
		return nil
	}
	var names []string
	for _, field := range r.Fields {
		names = append(names, field.Name)
	}
	if !has(names...) {
		return fmt.Errorf("its first line should name the columns; there is none called topic, and none called %s", strings.Join(names, " or "))
	}
	return nil
}
