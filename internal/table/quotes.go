package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// maxValueLines and maxValueBytes bound a quoted value of several lines, such as a
	// description. The quote of a longer value counts as unclosed.
	maxValueLines = 100
	maxValueBytes = 1 << 20
	// maxLine bounds a line, in bytes, which is kept in memory.
	maxLine = 4 << 20
	// unclosedQuote replaces a quote that is not closed. No text contains it.
	unclosedQuote = '\x00'
)

var (
	errUnclosedQuote = errors.New("a quote is opened and not closed, or the line contains a NUL")
	errLongLine      = fmt.Errorf("a line is longer than %d bytes", maxLine)
)

func hasUnclosedQuote(row []string) bool {
	return slices.ContainsFunc(row, func(value string) bool { return strings.IndexByte(value, unclosedQuote) >= 0 })
}

// quoteReader reads CSV and replaces each quote that opens a value and is not closed, which
// would swallow the rows behind it. Within a line it accepts quotes as [csv.Reader] does
// with LazyQuotes; a value of several lines must follow RFC 4180.
type quoteReader struct {
	lines     *bufio.Reader
	separator byte
	ahead     [][]byte // lines that were read and not yet repaired
	ready     []byte   // repaired text to be returned
	err       error    // of lines
}

func newQuoteReader(r io.Reader, separator byte) *quoteReader {
	return &quoteReader{lines: bufio.NewReaderSize(r, 64<<10), separator: separator}
}

// Read implements [io.Reader].
func (r *quoteReader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		line, ok := r.line(0)
		if !ok {
			return 0, r.err
		}
		r.ahead = r.ahead[1:]
		r.ready = r.repaired(line)
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// line returns the n-th of the lines ahead.
func (r *quoteReader) line(n int) ([]byte, bool) {
	for len(r.ahead) <= n {
		if r.err != nil {
			return nil, false
		}
		var line []byte
		if line, r.err = r.next(); len(line) > 0 {
			r.ahead = append(r.ahead, line)
		}
	}
	return r.ahead[n], true
}

// next reads a line with its end.
func (r *quoteReader) next() (line []byte, err error) {
	for {
		part, err := r.lines.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// repaired returns the line with the lines in which its last value continues, or the line
// alone without its unclosed quotes.
func (r *quoteReader) repaired(line []byte) []byte {
	at := unclosed(line, r.separator, false)
	if at < 0 {
		return line
	}
	joined := bytes.Clone(line)
	for n := 0; n < maxValueLines && len(joined) < maxValueBytes; n++ {
		next, ok := r.line(n)
		if !ok {
			break
		}
		if joined = append(joined, next...); unclosed(joined, r.separator, true) < 0 {
			r.ahead = r.ahead[n+1:]
			return joined
		}
	}
	for ; at >= 0; at = unclosed(line, r.separator, false) {
		line[at] = unclosedQuote
	}
	return line
}

// unclosed returns the index of a quote that opens a value and is not closed; -1 if there is
// none. If strict is set, only a quote before a separator or a line end closes a value.
func unclosed(text []byte, separator byte, strict bool) int {
	for i := 0; i < len(text); {
		if text[i] != '"' {
			next := bytes.IndexByte(text[i:], separator)
			if next < 0 {
				return -1
			}
			i += next + 1
			continue
		}
		end := endOfQuoted(text, i+1, separator, strict)
		if end < 0 {
			return i
		}
		i = end + 1
	}
	return -1
}

// endOfQuoted returns the index of the separator or line end behind the quoted value that
// begins at i; -1 if the value does not end.
func endOfQuoted(text []byte, i int, separator byte, strict bool) int {
	for ; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		rest := bytes.TrimPrefix(text[i+1:], []byte("\r"))
		switch {
		case len(rest) == 0 || rest[0] == '\n' || rest[0] == separator:
			return len(text) - len(rest)
		case rest[0] == '"':
			i = len(text) - len(rest) // an escaped quote
		case strict:
			return -1
		}
	}
	return -1
}
