package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

const (
	// maxLineBytes bounds a line. A full portion has less than 32 KiB; the rest is for
	// fields of later versions.
	maxLineBytes = 1 << 20
	// readBytes is the size of one read.
	readBytes = 64 << 10
)

// errTooLong is the error of a line that was skipped because of its length.
var errTooLong = fmt.Errorf("the line is longer than %d bytes", maxLineBytes)

// lines reads a text line by line.
type lines struct {
	reader *bufio.Reader
	buffer []byte // the line read last
	number int64  // of that line, from 1
}

func newLines(r io.Reader) *lines {
	return &lines{reader: bufio.NewReaderSize(r, readBytes)}
}

// next returns the next line without its line end. The line is valid until the next call.
// Errors: errTooLong for a line that was skipped, [io.EOF] at the end, those of the reader.
func (l *lines) next() ([]byte, error) {
	l.buffer = l.buffer[:0]
	for tooLong := false; ; {
		part, isPrefix, err := l.reader.ReadLine()
		if err != nil && (len(l.buffer) == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		if tooLong = tooLong || len(l.buffer)+len(part) > maxLineBytes; !tooLong {
			l.buffer = append(l.buffer, part...)
		}
		if isPrefix {
			continue
		}
		l.number++
		if tooLong {
			return nil, errTooLong
		}
		return l.buffer, nil
	}
}
