package sitemap

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	// usualBytes bounds a file, unpacked, and maxPages the pages in it: what
	// sitemaps.org allows.
	usualBytes = 50 << 20
	maxPages   = 50_000
	// maxFiles bounds the files of a site: a million pages at about 100 bytes are
	// more than a site has whose numbers are worth guarding like this.
	maxFiles = 200
)

var errTooManyFiles = fmt.Errorf("there are more than %d files", maxFiles)

// file is what is known of one that was read.
type file struct {
	etag, modified string // of the answer, to ask by
	keys           map[string]bool
	further        []string // the files that it names
}

// fetcher fetches files, and keeps what it read of them.
type fetcher struct {
	client   *http.Client
	agent    string
	maxBytes int64
	files    map[string]*file // by URL
}

// fetch reads the file at a URL; changed is false where it is as it was.
func (f *fetcher) fetch(ctx context.Context, at string) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false, err
	}
	if f.agent != "" {
		request.Header.Set("User-Agent", f.agent)
	}
	if known := f.files[at]; known != nil {
		if known.etag != "" {
			request.Header.Set("If-None-Match", known.etag)
		}
		if known.modified != "" {
			request.Header.Set("If-Modified-Since", known.modified)
		}
	}
	response, err := f.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && f.files[at] != nil:
		return false, nil
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", at, response.Status)
	}
	read, err := readFile(response.Body, response.Request.URL, f.maxBytes)
	if err != nil {
		return false, fmt.Errorf("%s: %w", at, err)
	}
	read.etag, read.modified = response.Header.Get("ETag"), response.Header.Get("Last-Modified")
	f.files[at] = read
	return true, nil
}

// readFile reads a site map or an index of site maps, packed by gzip or not, that was
// found at a URL, of at most so many bytes when unpacked.
func readFile(packed io.Reader, at *url.URL, maxBytes int64) (*file, error) {
	body := bufio.NewReader(packed)
	if magic, _ := body.Peek(2); string(magic) == "\x1f\x8b" { // RFC 1952, section 2.3.1
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = bufio.NewReader(unpacked)
	}
	bounded := &io.LimitedReader{R: body, N: maxBytes + 1}
	read, err := readXML(bounded, at)
	if bounded.N == 0 {
		return nil, fmt.Errorf("it has more than %d bytes", maxBytes)
	}
	return read, err
}

func readXML(body io.Reader, at *url.URL) (*file, error) {
	read := &file{keys: map[string]bool{}}
	decoder := xml.NewDecoder(body)
	var inside []string // names of the elements that are open
	var text strings.Builder
	pages, begun := 0, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			begun = true
			if inside = append(inside, token.Name.Local); len(inside) == 1 && inside[0] != "urlset" && inside[0] != "sitemapindex" {
				return nil, fmt.Errorf("it begins with <%s>; a site map begins with <urlset> or <sitemapindex>", inside[0])
			}
			text.Reset()
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			place := strings.Join(inside, "/")
			inside = inside[:len(inside)-1]
			location := strings.TrimSpace(text.String())
			text.Reset()
			switch place {
			case "urlset/url/loc":
				if pages++; pages > maxPages {
					return nil, fmt.Errorf("it has more than %d pages", maxPages)
				}
				if key, ok := KeyOf(location); ok {
					read.keys[key] = true
				}
			case "sitemapindex/sitemap/loc":
				if further, ok := within(at, location); ok && len(read.further) < maxFiles {
					read.further = append(read.further, further)
				}
			}
		}
	}
	if len(inside) > 0 || !begun {
		return nil, io.ErrUnexpectedEOF
	}
	return read, nil
}

// within returns the address of a file that an index names, which is to be of the
// same site: whoever may write into the index does not choose what is fetched inside
// of our network.
func within(index *url.URL, location string) (string, bool) {
	at, err := index.Parse(location)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host != index.Host {
		return "", false
	}
	return at.String(), true
}
