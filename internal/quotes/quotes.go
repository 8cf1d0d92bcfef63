// Package quotes keeps a quote in a table that was opened and never closed from
// swallowing the rows that follow it. What reads tables of others imports it.
package quotes

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
	// maxLines and maxBytes bound a value of several lines: a description, a comment.
	// What would be longer was not closed.
	maxLines = 100
	maxBytes = 1 << 20
	// maxLine bounds a line, in bytes; the reader keeps a line in memory.
	maxLine = 4 << 20
	// Spoiled takes the place of a quote that was not closed. It stands in no text.
	Spoiled = '\x00'
)

// ErrOpen is what is wrong with a row that In finds.
var ErrOpen = errors.New("a quote is opened and not closed, or there is a NUL in it")

// ErrLong says that a line is too long for a table. Nothing behind it is read.
var ErrLong = fmt.Errorf("a line is longer than %d bytes", maxLine)

// In tells whether a row has a quote that was Spoiled.
func In(row []string) bool {
	return slices.ContainsFunc(row, func(value string) bool { return strings.IndexByte(value, Spoiled) >= 0 })
}

// Reader returns what r has, line by line the same (but for the end of the last), with
// each quote that begins a value and is not closed Spoiled. Within a line quotes are
// read as encoding/csv does with LazyQuotes; a value of several lines has to be as
// RFC 4180 says. separator stands between values.
func Reader(r io.Reader, separator byte) io.Reader {
	return &reader{lines: bufio.NewReaderSize(r, 64<<10), separator: separator}
}

type reader struct {
	lines     *bufio.Reader
	separator byte
	ahead     [][]byte // lines that were read, and have yet to be looked at
	ready     []byte   // what may be handed over
	err       error    // of lines
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		line, ok := r.line(0)
		if !ok {
			return 0, r.err
		}
		r.ahead = r.ahead[1:]
		r.ready = r.closed(line)
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// line returns the n-th of the lines that follow.
func (r *reader) line(n int) ([]byte, bool) {
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
func (r *reader) next() (line []byte, err error) {
	for {
		part, err := r.lines.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			return nil, ErrLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// closed returns a line and those that its last value goes on in, or it alone, spoiled.
func (r *reader) closed(line []byte) []byte {
	at := opened(line, r.separator, false)
	if at < 0 {
		return line
	}
	joined := bytes.Clone(line)
	for n := 0; n < maxLines && len(joined) < maxBytes; n++ {
		next, ok := r.line(n)
		if !ok {
			break
		}
		if joined = append(joined, next...); opened(joined, r.separator, true) < 0 {
			r.ahead = r.ahead[n+1:]
			return joined
		}
	}
	for ; at >= 0; at = opened(line, r.separator, false) { // what was within it may open others
		line[at] = Spoiled
	}
	return line
}

// opened returns where a quote stands that begins a value of text and is not closed in
// it; -1 where each is. Strictly, a quote closes only before a separator or an end.
func opened(text []byte, separator byte, strictly bool) int {
	for i := 0; i < len(text); {
		if text[i] != '"' {
			next := bytes.IndexByte(text[i:], separator)
			if next < 0 {
				return -1
			}
			i += next + 1
			continue
		}
		end := closing(text, i+1, separator, strictly)
		if end < 0 {
			return i
		}
		i = end + 1
	}
	return -1
}

// closing returns where the separator or the end of the line stands that follows a
// quoted value, whose text begins at i; -1 where there is none.
func closing(text []byte, i int, separator byte, strictly bool) int {
	for ; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		rest := bytes.TrimPrefix(text[i+1:], []byte("\r"))
		switch {
		case len(rest) == 0 || rest[0] == '\n' || rest[0] == separator:
			return len(text) - len(rest)
		case rest[0] == '"':
			i = len(text) - len(rest) // a quote within the value
		case strictly:
			return -1
		}
	}
	return -1
}
