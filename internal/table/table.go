// Package table reads the tables that spreadsheets, databases and other counters write: CSV
// with any separator, and JSON. Seeds and importers use it.
//
// It keeps one invariant: an error of a CSV row names the row's line, and the other rows can
// be read.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// Reader reads rows of CSV. It is for one goroutine.
type Reader struct{ rows *csv.Reader }

// RowError is the error of one row.
type RowError struct {
	Line int
	Err  error
}

func (e *RowError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

// NewReader returns a reader of r, in the encodings of [plaintext.NewReader]. It skips blank
// lines and comments at the beginning, as in tables of Google Analytics. The separator
// is that of a first line such as sep=;, else the first comma, semicolon or tab outside of
// quotes in the first line. If strict is set, a quote within an unquoted value is an error of
// its row.
// Errors: those of [plaintext.NewReader], a line sep= without one separator.
func NewReader(r io.Reader, strict bool) (*Reader, error) {
	text, err := plaintext.NewReader(r)
	if err != nil {
		return nil, err
	}
	comments := skipComments(text)
	separator, err := separatorOf(text)
	if err != nil {
		return nil, err
	}
	// Blank lines replace the comments, so that lines keep their numbers.
	blank := strings.NewReader(strings.Repeat("\n", comments))
	rows := csv.NewReader(newQuoteReader(io.MultiReader(blank, text), separator))
	rows.Comma = rune(separator)
	rows.FieldsPerRecord = -1
	rows.LazyQuotes = !strict
	rows.ReuseRecord = true
	return &Reader{rows}, nil
}

// Read returns the next row with a value, which is valid until the next call, and the line on
// which it begins. Errors: [*RowError], [io.EOF] at the end, those of the reader.
func (r *Reader) Read() (row []string, line int, err error) {
	for isBlank := true; isBlank; { // spreadsheets write rows without values
		row, err = r.rows.Read()
		isBlank = err == nil && strings.TrimSpace(strings.Join(row, "")) == ""
	}
	var invalid *csv.ParseError
	switch {
	case errors.As(err, &invalid):
		return nil, invalid.StartLine, &RowError{invalid.StartLine, invalid.Err}
	case err != nil:
		return nil, 0, err
	}
	line, _ = r.rows.FieldPos(0)
	if hasUnclosedQuote(row) {
		return nil, line, &RowError{line, errUnclosedQuote}
	}
	return row, line, nil
}

// comment matches a line such as # Report. The name of a column may begin with # too, but then
// no space or hyphen follows.
var comment = regexp.MustCompile(`^#([ -]|$)`)

// skipComments removes blank lines and comments at the beginning and returns their number.
func skipComments(text *bufio.Reader) (lines int) {
	for {
		head, _ := text.Peek(text.Size()) // an error returns with the first row
		line, _, isLine := bytes.Cut(head, []byte("\n"))
		if trimmed := bytes.TrimSpace(line); !isLine || len(trimmed) > 0 && !comment.Match(trimmed) {
			return lines
		}
		_, _ = text.Discard(len(line) + 1) // it was peeked
		lines++
	}
}

// separatorOf returns the separator of text. It removes a line such as sep=; without its
// end, so that lines keep their numbers.
func separatorOf(text *bufio.Reader) (byte, error) {
	head, _ := text.Peek(text.Size()) // an error returns with the first row
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if named := strings.Trim(string(first), "\r\" "); len(named) >= 4 && strings.EqualFold(named[:4], "sep=") {
		separator := strings.NewReplacer(`\t`, "\t").Replace(strings.TrimPrefix(strings.Trim(string(first), "\r\""), named[:4]))
		if len(separator) != 1 || strings.ContainsAny(separator, "\"\x00") || separator[0] >= 0x80 {
			return 0, errors.New("its first line should name one separator of columns, such as sep=;")
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

// Column returns the index of the first column of that name in a header, ignoring case; -1
// if there is none.
func Column(header []string, name string) int {
	for i, each := range header {
		if strings.EqualFold(strings.TrimSpace(each), name) {
			return i
		}
	}
	return -1
}
