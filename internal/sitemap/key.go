package sitemap

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/tallycast/tallycast/internal/tally"
)

// KeyOf returns the key that the widgets make of a page whose address this is: its
// path without slashes at the ends and without index.html, the home page being
// index, and its query, sorted. It is false where that is no key.
func KeyOf(address string) (key string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	path := (&url.URL{Path: "/"}).ResolveReference(&url.URL{Path: u.Path, RawPath: u.RawPath}).Path // no . and .. in it
	if path == "index.html" || strings.HasSuffix(path, "/index.html") {
		path = strings.TrimSuffix(path, "index.html")
	}
	key = strings.Trim(path, "/")
	if key == "" {
		key = "index"
	}
	if query := sortedQuery(u.RawQuery); query != "" {
		key += "?" + query
	}
	// Any site and metric do: what makes a key one is the same for all.
	topic, err := tally.NewTopic(tally.DefaultSite, "likes", key)
	if err != nil {
		return "", false
	}
	return topic.Key(), true
}

// sortedQuery returns a query as a browser's URLSearchParams writes it when they were
// sorted (WHATWG URL, sections 5.1, 5.2 and 6.2).
func sortedQuery(raw string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{unescape(name), unescape(value)})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return slices.Compare(utf16.Encode([]rune(a.name)), utf16.Encode([]rune(b.name)))
	})
	var text []byte
	for i, p := range pairs {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(appendEscaped(text, p.name), '=')
		text = appendEscaped(text, p.value)
	}
	return string(text)
}

// unescape reads + and %20 as spaces; an escape that is none stands for itself, and
// bytes that are no UTF-8 for U+FFFD.
func unescape(text string) string {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '+':
			plain = append(plain, ' ')
		case text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			plain = append(plain, fromHex(text[i+1])<<4|fromHex(text[i+2]))
			i += 2
		default:
			plain = append(plain, text[i])
		}
	}
	return strings.ToValidUTF8(string(plain), "\uFFFD")
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func fromHex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// appendEscaped appends text in the form application/x-www-form-urlencoded.
func appendEscaped(dst []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("*-._", c) >= 0:
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
