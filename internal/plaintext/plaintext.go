// Package plaintext decodes text files of editors and spreadsheets: UTF-8 and UTF-16, with
// any line ends. All readers of such files import it. Readers of secrets and keys import it for
// [FileError].
package plaintext

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/text/encoding/unicode"
)

// headBytes is the length of the beginning that shows how lines end: longer than the first
// line of a table.
const headBytes = 4 << 10

// ErrUTF32 is the error of a text in UTF-32.
var ErrUTF32 = errors.New("is encoded as UTF-32; save it as UTF-8")

// FileError returns the error of a file without its path, for messages that name the path themselves.
func FileError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// NewReader returns the text of r as UTF-8 without a byte order mark. It decodes UTF-16,
// with or without a mark, and replaces carriage returns that end lines alone. It leaves text
// in other encodings as it is, since only the caller can name the line that is not UTF-8.
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
