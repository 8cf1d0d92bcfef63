// Package eventstream reads Server-Sent Events (WHATWG HTML, section 9.2) as this
// service sends them: one line of data for each event. The commands watch and doctor
// import it, and tests. Package push writes the streams.
package eventstream

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"
)

// maxLineBytes bounds one line of a stream. Frames are far shorter.
const maxLineBytes = 64 << 10

// Reader reads the events of a stream.
type Reader struct {
	// Retry is the last reconnection time in the stream; 0 without one.
	Retry   time.Duration
	scanner *bufio.Scanner
}

// NewReader returns a reader of a stream's body.
func NewReader(body io.Reader) *Reader {
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, maxLineBytes)
	return &Reader{scanner: scanner}
}

// Next returns the data of the next event, which is valid until the next call. At the
// end of the stream the error is [io.EOF].
func (r *Reader) Next() ([]byte, error) {
	for r.scanner.Scan() {
		field, value, _ := bytes.Cut(r.scanner.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			return value, nil
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				r.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if err := r.scanner.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}
