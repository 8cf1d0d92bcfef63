package pagekey

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	textunicode "golang.org/x/text/encoding/unicode"
)

// sortQuery returns a query as the URLSearchParams of a browser do after sort() (WHATWG URL,
// sections 5.1, 5.2 and 6.2).
func sortQuery(raw string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			pairs = append(pairs, pair{unescape(name), unescape(value)})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return slices.Compare(utf16.Encode([]rune(a.name)), utf16.Encode([]rune(b.name)))
	})
	var sorted []string
	for _, p := range pairs {
		sorted = append(sorted, escape(p.name)+"="+escape(p.value))
	}
	return strings.Join(sorted, "&")
}

// percent matches an escape, or a percent sign that begins none.
var percent = regexp.MustCompile(`%([0-9a-fA-F]{2})?`)

// unescape decodes text. A malformed escape stays as it is, invalid UTF-8 becomes
// U+FFFD.
func unescape(text string) string {
	text = percent.ReplaceAllStringFunc(text, func(found string) string {
		if found == "%" {
			return "%25"
		}
		return found
	})
	text, _ = url.QueryUnescape(text)                    // no escape is malformed
	text, _ = textunicode.UTF8.NewDecoder().String(text) // never fails
	return text
}

// formSafe changes what [url.QueryEscape] escapes to what browsers escape in the form
// application/x-www-form-urlencoded.
var formSafe = strings.NewReplacer("%2A", "*", "~", "%7E")

func escape(text string) string { return formSafe.Replace(url.QueryEscape(text)) }
