package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

const (
	// maxLineBytes bounds a line that is read. A full portion has less than 32 KiB; the
	// rest is for what later versions may add.
	maxLineBytes = 1 << 20
	// readBytes is the size of what is read at once.
	readBytes = 64 << 10
)

// errTooLong says that a line was left out because of its length.
var errTooLong = fmt.Errorf("the line is longer than %d bytes", maxLineBytes)

// lines reads a text line by line, and knows where it is.
type lines struct {
	reader *bufio.Reader
	buffer []byte // of a line that does not fit into the reader's
	number int64  // of the line read last, from 1
	offset int64  // of what follows it, in bytes
	ended  bool   // the line read last ended as lines do
}

func newLines(r io.Reader) *lines {
	return &lines{reader: bufio.NewReaderSize(r, readBytes)}
}

// next returns the next line without its end; it is good until the next call. A
// line that is too long is skipped with errTooLong. Other errors are the reader's, or
// [io.EOF] at the end.
func (l *lines) next() ([]byte, error) {
	l.buffer = l.buffer[:0]
	long := false
	for {
		part, err := l.reader.ReadSlice('\n')
		l.offset += int64(len(part))
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
		}
		switch long = long || len(l.buffer)+len(part) > maxLineBytes; {
		case long:
			l.buffer = l.buffer[:0]
		case len(l.buffer) > 0 || !whole:
			l.buffer = append(l.buffer, part...)
			part = l.buffer
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(l.buffer) > 0 || long):
		case err != nil:
			return nil, err
		}
		l.number++
		l.ended = whole
		if long {
			return nil, errTooLong
		}
		if n := len(part); n > 0 && part[n-1] == '\r' {
			part = part[:n-1]
		}
		return part, nil
	}
}
