package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxValue bounds a JSON value, in bytes, since memory holds one at a time.
const maxValue = 64 << 20

// ErrSeveralValues is the cause of a [*RowError] for a text of several JSON values, such as
// JSON Lines.
var ErrSeveralValues = errors.New("another JSON value begins; put the objects into one array: [{…}, {…}]")

// JSONReader is a [json.Decoder] that knows the lines of what it reads. It is for one
// goroutine.
type JSONReader struct {
	*json.Decoder
	lines *lineCounter
}

// NewJSONReader returns a reader of JSON whose first line has this number.
func NewJSONReader(r io.Reader, line int) *JSONReader {
	lines := &lineCounter{Reader: r, line: line}
	return &JSONReader{json.NewDecoder(lines), lines}
}

// Line returns the line of the token or value that was read last.
func (r *JSONReader) Line() int { return r.lines.at(r.InputOffset()) }

// Each calls use for each element of an array, or for each member of an object, which has a name.
// line is the one on which the value begins. Memory holds one value at a time.
// Errors: [*RowError] for text that is not JSON, [ErrSeveralValues], those of use.
func (r *JSONReader) Each(use func(name string, value json.RawMessage, line int) error) error {
	opening, err := r.Token()
	if err != nil {
		return r.Malformed(err)
	}
	if err := r.EachOf(opening, use); err != nil {
		return err
	}
	_, err = r.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return r.Malformed(err)
	}
	return &RowError{r.Line(), ErrSeveralValues}
}

// EachOf is [JSONReader.Each] for a value whose first token was read.
func (r *JSONReader) EachOf(opening json.Token, use func(name string, value json.RawMessage, line int) error) error {
	if opening != json.Delim('[') && opening != json.Delim('{') {
		return &RowError{r.Line(), errors.New("it is neither a JSON array nor an object")}
	}
	for r.More() {
		name := ""
		if opening == json.Delim('{') {
			token, err := r.Token()
			if err != nil {
				return r.Malformed(err)
			}
			name, _ = token.(string) // names of members are strings
		}
		var value json.RawMessage
		if err := r.Decode(&value); err != nil {
			return r.Malformed(err)
		}
		if err := use(name, value, r.lines.at(r.InputOffset()-int64(len(value)))); err != nil {
			return err
		}
	}
	_, err := r.Token()
	return r.Malformed(err)
}

// Malformed returns the [*RowError] for an error of the decoder; nil for nil.
func (r *JSONReader) Malformed(err error) error {
	if err == nil {
		return nil
	}
	at := r.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = max(at, syntax.Offset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, err = r.lines.read, errors.New("it ends too early")
	}
	return &RowError{r.lines.at(at), fmt.Errorf("it is not JSON: %w", err)}
}

// lineCounter returns the lines of offsets in a text. It keeps the line feeds between the
// last offset and the end of what was read, and bounds what is read.
type lineCounter struct {
	io.Reader
	read  int64
	asked int64   // the last offset
	feeds []int64 // offsets of line feeds behind it
	line  int     // of the last offset
}

func (l *lineCounter) Read(p []byte) (int, error) {
	if l.read-l.asked > maxValue {
		return 0, fmt.Errorf("a value has more than %d bytes", maxValue)
	}
	n, err := l.Reader.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.feeds = append(l.feeds, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at returns the line of an offset, which must not precede the last one.
func (l *lineCounter) at(offset int64) int {
	n := 0
	for n < len(l.feeds) && l.feeds[n] < offset {
		n++
	}
	l.feeds = append(l.feeds[:0], l.feeds[n:]...)
	l.line += n
	l.asked = offset
	return l.line
}
