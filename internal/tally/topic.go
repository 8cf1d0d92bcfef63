package tally

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MaxKeyBytes is the greatest length of a key, in bytes of UTF-8 after normalisation.
	MaxKeyBytes = 256
	// maxNameBytes is the greatest length of a site's or a metric's name.
	maxNameBytes = 32
)

// reservedSites are path segments of the HTTP interface, which a site's name would hide.
var reservedSites = map[string]bool{
	"counts": true, "stream": true, "ws": true, "top": true, "admin": true, "history": true,
}

// Topic names one count: site, metric and key. Topics are comparable, and two
// that name the same count are equal. The zero Topic names none.
type Topic struct {
	text string // site/metric/key; nothing else, since each watched topic is stored several times
}

// ParseTopic parses "site/metric/key". It normalises the key to NFC and drops one trailing
// slash. It does not check whether site and metric exist, see [Catalog.Resolve].
// Errors: [CodeBadTopic].
func ParseTopic(text string) (Topic, error) {
	site, rest, ok := strings.Cut(text, "/")
	metric, key, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return Topic{}, Errorf(CodeBadTopic, "a topic is site/metric/key, such as default/likes/hello")
	}
	return NewTopic(site, metric, key)
}

// NewTopic is [ParseTopic] for separate parts.
func NewTopic(site, metric, key string) (Topic, error) {
	if !ValidSite(site) {
		return Topic{}, Errorf(CodeBadTopic, "a site's name is 1 to 32 of a-z, 0-9 and -, does not begin with -, and is none of counts, stream, ws, top, admin, history")
	}
	if !ValidMetric(metric) {
		return Topic{}, Errorf(CodeBadTopic, "a metric's name is 1 to 32 of a-z, 0-9 and _, and begins with a letter")
	}
	key, err := normalKey(key)
	if err != nil {
		return Topic{}, err
	}
	return Topic{text: site + "/" + metric + "/" + key}, nil
}

// ValidSite reports whether name may be the name of a site.
func ValidSite(name string) bool {
	if name == "" || len(name) > maxNameBytes || name[0] == '-' || reservedSites[name] {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ValidMetric reports whether name may be the name of a metric.
func ValidMetric(name string) bool {
	if name == "" || len(name) > maxNameBytes || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// normalKey returns the form of key that is stored and compared.
func normalKey(key string) (string, error) {
	// NFC shrinks a text to a third at most, by Unicode's stability policy, so that longer
	// input cannot become a valid key.
	if len(key) > 4*MaxKeyBytes {
		return "", Errorf(CodeBadTopic, "a key is at most %d bytes long", MaxKeyBytes)
	}
	if !utf8.ValidString(key) {
		return "", Errorf(CodeBadTopic, "a key is UTF-8")
	}
	key = norm.NFC.String(strings.TrimSuffix(key, "/"))
	if key == "" {
		return "", Errorf(CodeBadTopic, "a key is at least one byte long")
	}
	if len(key) > MaxKeyBytes {
		return "", Errorf(CodeBadTopic, "a key is at most %d bytes long; this one has %d", MaxKeyBytes, len(key))
	}
	for _, r := range key {
		if r == '{' || r == '}' || unicode.IsControl(r) {
			return "", Errorf(CodeBadTopic, "a key has no control character and neither { nor }")
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", Errorf(CodeBadTopic, "a key has no empty, . or .. segment")
		}
	}
	return key, nil
}

// Site returns the first part.
func (t Topic) Site() string {
	site, _, _ := t.parts()
	return site
}

// Metric returns the second part.
func (t Topic) Metric() string {
	_, metric, _ := t.parts()
	return metric
}

// Key returns the third part.
func (t Topic) Key() string {
	_, _, key := t.parts()
	return key
}

func (t Topic) parts() (site, metric, key string) {
	site, rest, _ := strings.Cut(t.text, "/")
	metric, key, _ = strings.Cut(rest, "/")
	return site, metric, key
}

// String returns "site/metric/key".
func (t Topic) String() string { return t.text }

// Compare orders topics by their text, see [strings.Compare].
func (t Topic) Compare(other Topic) int { return strings.Compare(t.text, other.text) }

// MarshalText implements [encoding.TextMarshaler].
func (t Topic) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// UnmarshalText is [ParseTopic].
func (t *Topic) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTopic(string(text))
	return err
}
