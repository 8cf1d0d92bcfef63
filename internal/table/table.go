// Package table reads the tables that spreadsheets, databases and other counters write:
// CSV in the dialects of all countries. Seeds and importers use it, so that both read
// the same files.
//
// It keeps one invariant: a row that cannot be read costs that row alone, and is named
// by its line.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/quotes"
)

// Reader reads rows of any number of columns. It is for one goroutine.
type Reader struct{ rows *csv.Reader }

// RowError is what is wrong with one row. The next row may follow.
type RowError struct {
	Line int
	Err  error
}

func (e *RowError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

// NewReader returns the rows of r, which may be in the encodings that [plaintext.NewReader]
// reads. Columns are separated by what a first line such as sep=; says, else by the
// first comma, semicolon or tab of the first line that is not within quotes. If strict
// is set, a quote within a value without quotes is an error of the row.
// Errors: those of [plaintext.NewReader].
func NewReader(r io.Reader, strict bool) (*Reader, error) {
	text, err := plaintext.NewReader(r)
	if err != nil {
		return nil, err
	}
	separator, err := separatorOf(text)
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(quotes.Reader(text, separator))
	rows.Comma = rune(separator)
	rows.FieldsPerRecord = -1
	rows.LazyQuotes = !strict
	rows.ReuseRecord = true
	return &Reader{rows}, nil
}

// Read returns the next row, which is valid until the next call, and the line that it
// begins on. Errors: [*RowError], [io.EOF] at the end, and those of the reader.
func (r *Reader) Read() (row []string, line int, err error) {
	row, err = r.rows.Read()
	var wrong *csv.ParseError
	switch {
	case errors.As(err, &wrong):
		return nil, wrong.StartLine, &RowError{wrong.StartLine, wrong.Err}
	case err != nil:
		return nil, 0, err
	}
	line, _ = r.rows.FieldPos(0)
	if quotes.In(row) {
		return nil, line, &RowError{line, quotes.ErrOpen}
	}
	return row, line, nil
}

// separatorOf returns what separates the columns of text. It removes a line such as
// sep=; but not its end, so that lines keep their numbers.
func separatorOf(text *bufio.Reader) (byte, error) {
	head, _ := text.Peek(text.Size()) // an error returns with the first row
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if named := strings.Trim(string(first), "\r\" "); len(named) >= 4 && strings.EqualFold(named[:4], "sep=") {
		separator := strings.NewReplacer(`\t`, "\t").Replace(strings.TrimPrefix(strings.Trim(string(first), "\r\""), named[:4]))
		if len(separator) != 1 || strings.ContainsAny(separator, "\"\x00") || separator[0] >= 0x80 {
			return 0, errors.New("its first line should name one character that separates the columns, such as sep=;")
		}
		_, _ = text.Discard(len(first)) // it was peeked
		return separator[0], nil
	}
	quoted := false
	for _, c := range first {
		switch c {
		case '"':
			quoted = !quoted
		case ',', ';', '\t':
			if !quoted {
				return c, nil
			}
		}
	}
	return ',', nil
}

// Column returns where the first column of that name stands in a header, in any case
// of letters; -1 if there is none.
func Column(header []string, name string) int {
	for i, each := range header {
		if strings.EqualFold(strings.TrimSpace(each), name) {
			return i
		}
	}
	return -1
}
