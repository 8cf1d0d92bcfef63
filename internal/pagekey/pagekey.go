// Package pagekey defines how the address of a page becomes the key of its topics. Seeds, site
// maps and importers use it. web/src/page.js implements the same rule for the elements; the
// tests of both read testdata/golden.json.
//
// An address is the URL of a page, its path with a leading slash, or its path without
// one. It is percent-decoded once. Slashes at both ends and a final index.html are
// dropped; the home page is "index". A URL and a path with a leading slash lose their
// fragment and keep their query, sorted; without a leading slash ? and # are ordinary
// characters. The result is a key in the form that [tally.NewTopic] accepts.
package pagekey

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

// Home is the key of the page at the root of a site.
const Home = "index"

// origin matches the beginning of a URL. A colon alone begins no URL: keys may have one.
// A backslash is a slash to browsers.
var origin = regexp.MustCompile(`^(?:(?i:https?:)?//|/\\)[^/\\?#]*`)

// Of returns the key of the page at address. It does not check whether the host of a URL is the
// site's.
func Of(address string) (string, error) {
	address = strings.TrimFunc(address, isSpace)
	if address == "" {
		return "", errors.New("the address of the page is empty")
	}
	if prefix := origin.FindString(address); prefix != "" {
		if u, err := url.Parse(prefix); err != nil || u.Hostname() == "" {
			return "", fmt.Errorf("%.300q is not the URL of a page", address)
		}
		return OfPath(address[len(prefix):])
	}
	if strings.HasPrefix(address, "/") {
		return OfPath(address)
	}
	return key(address, "")
}

// isSpace reports whether JavaScript's String.trim removes r.
func isSpace(r rune) bool { return r == '\uFEFF' || r != '\u0085' && unicode.IsSpace(r) }

// OfPath returns the key of the page at a path, which may have a query, a fragment and any
// number of leading slashes. An empty path is that of the home page.
func OfPath(path string) (string, error) {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return "", fmt.Errorf("%.300q has control characters or is not UTF-8", path)
	}
	path, _, _ = strings.Cut(path, "#")
	path, query, _ := strings.Cut(path, "?")
	return key(resolveDots(path), sortQuery(query))
}

// key returns the key for an escaped path and a sorted query.
func key(escaped, query string) (string, error) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", fmt.Errorf("%.300q has a malformed escape (a percent sign is written %%25)", escaped)
	}
	if path == "index.html" || strings.HasSuffix(path, "/index.html") {
		path = strings.TrimSuffix(path, "index.html")
	}
	if path = strings.Trim(path, "/"); path == "" {
		path = Home
	}
	if query != "" {
		path += "?" + query
	}
	// Keys have the same form in all topics.
	topic, err := tally.NewTopic(tally.DefaultSite, "likes", path)
	if err != nil {
		return "", fmt.Errorf("%.300q: %s", path, tally.AsError(err).Message)
	}
	return topic.Key(), nil
}

// resolveDots resolves . and .. segments of an escaped path as browsers do
// (WHATWG URL, section 4.4): a backslash is a slash, and %2e is a dot.
func resolveDots(path string) string {
	segments := strings.Split(strings.TrimPrefix(strings.ReplaceAll(path, `\`, "/"), "/"), "/")
	resolved := make([]string, 0, len(segments))
	for i, segment := range segments {
		plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		if plain == ".." && len(resolved) > 0 {
			resolved = resolved[:len(resolved)-1]
		}
		switch {
		case plain != "." && plain != "..":
			resolved = append(resolved, segment)
		case i == len(segments)-1:
			resolved = append(resolved, "") // it names a directory
		}
	}
	return strings.Join(resolved, "/")
}
