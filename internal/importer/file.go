package importer

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// maxUnpacked bounds a file or a member of an archive after decompression, in bytes:
// hundreds of millions of rows.
const maxUnpacked = 32 << 30

const (
	// maxLineBytes bounds a line of an archive's member. Lines of GoatCounter have less
	// than 4 KiB.
	maxLineBytes = 1 << 20
	// readBytes is the size of the buffer that files are read through.
	readBytes = 64 << 10
)

// File is a file of another counter, which may be compressed. Importers read it twice, the first time to
// find its hosts.
type File struct {
	data io.ReaderAt
	size int64
}

// NewFile returns a file of the first size bytes of data.
func NewFile(data io.ReaderAt, size int64) File { return File{data, size} }

// Magic numbers of compressed files.
const (
	gzipMagic = "\x1f\x8b"   // RFC 1952
	zipMagic  = "PK\x03\x04" // APPNOTE.TXT, section 4.3.7
	emptyZip  = "PK\x05\x06"
)

// isArchive reports whether the file is a zip archive.
func (f File) isArchive() bool {
	head := make([]byte, len(zipMagic))
	n, _ := f.data.ReadAt(head, 0) // an error occurs again at the next read
	return string(head[:n]) == zipMagic || string(head[:n]) == emptyZip
}

// open returns the text of the file, decompressed.
func (f File) open() (*bufio.Reader, error) {
	if f.isArchive() {
		return nil, errors.New("it is a zip archive and should be a file of this format; unpack it first")
	}
	raw := bufio.NewReaderSize(io.NewSectionReader(f.data, 0, f.size), readBytes)
	if head, _ := raw.Peek(len(gzipMagic)); string(head) != gzipMagic {
		return plaintext.NewReader(raw)
	}
	unpacker, err := gzip.NewReader(raw)
	if err != nil {
		return nil, fmt.Errorf("it cannot be decompressed: %w", err)
	}
	return plaintext.NewReader(&bounded{unpacker, maxUnpacked})
}

// bounded is a reader that fails after left bytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("it has more than %d bytes after decompression", int64(maxUnpacked))
	}
	return n, err
}

// archive is a zip archive: its members by their names in lower case, without folders.
type archive map[string]*zip.File

// archive returns the members of the file, which must be an archive.
func (f File) archive() (archive, error) {
	reader, err := zip.NewReader(f.data, f.size)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read as a zip archive: %w", err)
	}
	members := archive{}
	for _, each := range reader.File {
		name := strings.ToLower(path.Base(each.Name))
		if each.FileInfo().IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(each.Name, "__MACOSX/") {
			continue
		}
		if members[name] != nil {
			return nil, fmt.Errorf("the archive has two files %s", name)
		}
		members[name] = each
	}
	return members, nil
}

// open returns the text of a member. It need not be closed, since it reads from memory or from the open
// file.
func (a archive) open(name string) (*bufio.Reader, error) {
	member := a[name]
	if member == nil {
		return nil, fmt.Errorf("the archive lacks %s", name)
	}
	if member.Flags&1 != 0 { // APPNOTE.TXT, section 4.4.4
		return nil, fmt.Errorf("%s is encrypted; unpack the archive and import the file itself", name)
	}
	unpacked, err := member.Open()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	text, err := plaintext.NewReader(&bounded{unpacked, maxUnpacked})
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return text, nil
}

// FormatOf returns the format of a zip archive: goatcounter, umami, or an empty string.
func FormatOf(f File) string {
	if !f.isArchive() {
		return ""
	}
	members, err := f.archive()
	switch {
	case err != nil:
	case members[goatPaths] != nil, members[goatHits] != nil:
		return "goatcounter"
	case members[umamiEvents] != nil, members[umamiPages] != nil:
		return "umami"
	}
	return ""
}

// eachLine passes the lines of a member that are not blank to use. A line for which use returns an error
// is refused.
func (a archive) eachLine(c *collector, name string, use func(text []byte) error) error {
	text, err := a.open(name)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLineBytes)
	number := int64(1)
	for ; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := c.record(name, number, use(lines.Bytes())); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s line %d: the line is longer than %d bytes", name, number, maxLineBytes)
	} else if err != nil {
		return fmt.Errorf("%s line %d: %w", name, number, err)
	}
	return nil
}
