// Package plaintext turns the text files that editors and spreadsheets write into UTF-8
// with lines that end in a line feed. What reads files of other programs imports it.
package plaintext

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/unicode"
)

// headBytes is how much of a text tells how its lines end: longer than a line of a table.
const headBytes = 4 << 10

// ErrUTF32 says that a text cannot be read.
var ErrUTF32 = errors.New("is encoded as UTF-32; save it as UTF-8")

// NewReader returns the text of r as UTF-8 without a byte order mark. It reads UTF-8 and,
// with or without a mark, UTF-16. Other encodings are passed through, since the caller
// can name the line that is not UTF-8. Lines that end in a carriage return alone end in
// a line feed instead.
// Errors: [ErrUTF32].
func NewReader(r io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(r, 16*headBytes)
	head, _ := text.Peek(4) // an error returns with the next read
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(head, []byte("\x00\x00\xfe\xff")):
		return nil, ErrUTF32
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = text.Discard(3) // it was peeked
	case bytes.HasPrefix(head, []byte("\xff\xfe")), len(head) > 1 && head[0] != 0 && head[1] == 0:
		text = decode(text, unicode.LittleEndian)
	case bytes.HasPrefix(head, []byte("\xfe\xff")), len(head) > 1 && head[0] == 0 && head[1] != 0:
		text = decode(text, unicode.BigEndian)
	}
	head, _ = text.Peek(headBytes)
	if end := bytes.IndexByte(head, '\r'); end >= 0 && end < len(head)-1 && !bytes.Contains(head, []byte("\n")) {
		text = bufio.NewReader(lineFeeds{text})
	}
	return text, nil
}

func decode(r io.Reader, order unicode.Endianness) *bufio.Reader {
	return bufio.NewReaderSize(unicode.UTF16(order, unicode.UseBOM).NewDecoder().Reader(r), 16*headBytes)
}

// lineFeeds replaces carriage returns.
type lineFeeds struct{ io.Reader }

func (l lineFeeds) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
