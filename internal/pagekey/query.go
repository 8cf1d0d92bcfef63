package pagekey

import (
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

// unescape decodes text. A malformed escape stays as it is, invalid UTF-8 becomes
// U+FFFD.
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
	text, _ = textunicode.UTF8.NewDecoder().String(string(plain)) // never fails
	return text
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
