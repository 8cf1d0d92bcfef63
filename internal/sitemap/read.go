package sitemap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/pagekey"
)

const (
	// defaultMaxBytes bounds a file after decompression, maxPages the pages in it, as
	// sitemaps.org does.
	defaultMaxBytes = 50 << 20
	maxPages        = 50_000
	// maxDepth bounds the depth of elements. Sitemaps with all known extensions (images,
	// videos, news) have 5.
	maxDepth = 32
	// maxToken bounds a tag, text or comment, in bytes. The decoder keeps it in memory, and ten
	// times as much for attributes. Addresses have at most 2,048 bytes.
	maxToken = 1 << 20
	// maxExamples bounds the skipped addresses in a log record.
	maxExamples = 3
)

// file is the content of a file that was read.
type file struct {
	etag, modified string // of the response, for conditional requests
	pages          int    // with and without a valid key
	keys           map[string]bool
	further        []string // files that it names
	skipped        skipped
}

// Reasons why an address in a sitemap is skipped.
const (
	otherHost = "its host is neither the host of a configured sitemap nor an origin of the site; if it is yours, add it with --site"
	noPage    = "it is not the address of a page with a valid key"
)

// skipped holds the skipped addresses by reason.
type skipped map[string]*skippedAddresses

type skippedAddresses struct {
	count    int
	examples []string // the first of them
}

func (s skipped) add(reason string, count int, examples ...string) {
	if s[reason] == nil {
		s[reason] = &skippedAddresses{}
	}
	s[reason].count += count
	for _, each := range examples {
		if len(s[reason].examples) < maxExamples {
			s[reason].examples = append(s[reason].examples, shortened(each))
		}
	}
}

// shortened returns the beginning of an address for a log record.
func shortened(address string) string {
	const most = 200 // bytes
	if len(address) > most {
		return strings.ToValidUTF8(address[:most], "") + "…"
	}
	return address
}

// readFile reads a file from a URL, compressed with gzip or not: a sitemap or an index of sitemaps
// in XML, or a list of addresses.
func (f *fetcher) readFile(in io.Reader, at *url.URL) (*file, error) {
	body := bufio.NewReader(in)
	if magic, _ := body.Peek(2); string(magic) == "\x1f\x8b" { // RFC 1952, section 2.3.1
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = bufio.NewReader(unpacked)
	}
	bounded := &io.LimitedReader{R: body, N: f.MaxBytes + 1}
	read, err := f.readText(bufio.NewReader(bounded), at)
	if bounded.N == 0 {
		return nil, fmt.Errorf("it has more than %d bytes", f.MaxBytes)
	}
	return read, err
}

// readText reads a decompressed file.
func (f *fetcher) readText(body *bufio.Reader, at *url.URL) (*file, error) {
	begin, _ := body.Peek(64)
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "<\x00", "\x00<"} { // with and without a byte order mark
		if bytes.HasPrefix(begin, []byte(mark)) {
			return nil, unsupportedEncoding("UTF-16")
		}
	}
	if rest, ok := bytes.CutPrefix(begin, []byte("\ufeff")); ok {
		_, _ = body.Discard(len(begin) - len(rest)) // it was peeked
		begin = rest
	}
	read := &file{keys: map[string]bool{}, skipped: skipped{}}
	var err error
	if begin = bytes.TrimLeft(begin, " \t\r\n"); len(begin) == 0 || begin[0] == '<' {
		err = f.readXML(read, body, at)
	} else {
		err = readLines(read, body)
	}
	if err != nil {
		return nil, err
	}
	return read, nil
}

// unsupportedEncoding is the error of a file in another encoding than UTF-8.
type unsupportedEncoding string

func (e unsupportedEncoding) Error() string {
	return fmt.Sprintf("it is encoded as %.40s; a sitemap should be UTF-8, as sitemaps.org requires", string(e))
}

// tokenReader bounds the bytes of one token. It counts in ReadByte, which the decoder calls for each
// byte.
type tokenReader struct {
	*bufio.Reader
	left int
}

var errLongToken = fmt.Errorf("it has a tag, a text or a comment of more than %d bytes", maxToken)

func (r *tokenReader) ReadByte() (byte, error) {
	if r.left--; r.left < 0 {
		return 0, errLongToken
	}
	return r.Reader.ReadByte()
}

// readXML reads a sitemap or an index of sitemaps.
func (f *fetcher) readXML(read *file, body *bufio.Reader, at *url.URL) error {
	bounded := &tokenReader{Reader: body}
	decoder := xml.NewDecoder(bounded)
	decoder.CharsetReader = func(name string, in io.Reader) (io.Reader, error) {
		if slices.Contains([]string{"utf8", "us-ascii", "ascii"}, strings.ToLower(name)) {
			return in, nil
		}
		return nil, unsupportedEncoding(name)
	}
	var inside []string // names of the open elements
	var text strings.Builder
	begun := false
	for {
		bounded.left = maxToken
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return plainError(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			begun = true
			if inside = append(inside, token.Name.Local); len(inside) == 1 && inside[0] != "urlset" && inside[0] != "sitemapindex" {
				return fmt.Errorf("it begins with <%.40s>; a sitemap begins with <urlset> or <sitemapindex>", inside[0])
			}
			if len(inside) > maxDepth {
				return fmt.Errorf("its elements are nested more than %d deep", maxDepth)
			}
			text.Reset()
		case xml.CharData:
			if len(inside) == 3 { // only the text of loc matters
				text.Write(token)
			}
		case xml.EndElement:
			isLocation := len(inside) == 3 && inside[2] == "loc"
			location := strings.TrimSpace(text.String())
			text.Reset()
			switch {
			case isLocation && inside[0] == "urlset" && inside[1] == "url":
				if err := read.addPage(at, location); err != nil {
					return err
				}
			case isLocation && inside[0] == "sitemapindex" && inside[1] == "sitemap":
				f.addFile(read, at, location)
			}
			inside = inside[:len(inside)-1]
		}
	}
	if len(inside) > 0 || !begun {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// plainError returns an error of the decoder as a message for people.
func plainError(err error) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		if syntax.Msg == "invalid UTF-8" {
			return fmt.Errorf("line %d is not UTF-8, which sitemaps.org requires", syntax.Line)
		}
		return fmt.Errorf("line %d: it is not XML: %s", syntax.Line, syntax.Msg)
	}
	if encoding, ok := errors.AsType[unsupportedEncoding](err); ok {
		return encoding
	}
	return err
}

// addPage adds the key of a page. In XML some generators write addresses without a host, which are
// relative to the address of the file, at; in a list at is nil.
func (read *file) addPage(at *url.URL, location string) error {
	if read.pages++; read.pages > maxPages {
		return fmt.Errorf("it has more than %d pages", maxPages)
	}
	key, ok := keyOf(location)
	if !ok && location != "" && at != nil {
		if address, err := at.Parse(location); err == nil {
			key, ok = keyOf(address.String())
		}
	}
	if ok {
		read.keys[key] = true
	} else {
		read.skipped.add(noPage, 1, location)
	}
	return nil
}

// addFile adds a file that an index names.
func (f *fetcher) addFile(read *file, at *url.URL, location string) {
	further, err := at.Parse(location)
	switch {
	case err != nil || location == "" || !f.hosts.allows(further):
		read.skipped.add(otherHost, 1, location)
	case len(read.further) >= maxFiles:
		read.skipped.add(errTooManyFiles.Error(), 1, location)
	default:
		further.Fragment = ""
		read.further = append(read.further, further.String())
	}
}

// readLines reads a list of addresses, one on each line.
func readLines(read *file, body *bufio.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxToken)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		if !utf8.ValidString(line) {
			return fmt.Errorf("line %d is not UTF-8, which sitemaps.org requires", n)
		}
		if err := read.addPage(nil, line); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return errLongToken
	}
	if lines.Err() == nil && len(read.keys) == 0 {
		return errors.New("it is neither XML nor a list of addresses, one on each line")
	}
	return lines.Err()
}

// keyOf returns the key of the page at an absolute URL; see [pagekey.Of]. ok is false if it
// has none.
func keyOf(address string) (key string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	key, err = pagekey.Of(address)
	return key, err == nil
}
