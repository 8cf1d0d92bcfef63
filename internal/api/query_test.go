package api

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestQueryPairs_BrokenEncoding(t *testing.T) {
	for query, want := range map[string][][2]string{
		"":                      nil,
		"&&":                    nil,
		"topic=a&topic=b":       {{"topic", "a"}, {"topic", "b"}},
		"topic=a;b&x":           {{"topic", "a;b"}, {"x", ""}},
		"topic=a%20b+c&%74=1":   {{"topic", "a b c"}, {"t", "1"}},
		"topic=a=b&=c":          {{"topic", "a=b"}, {"", "c"}},
		"topic=100%&topic=b":    {{"topic", "!100%"}, {"topic", "b"}},
		"topic=%zz%20&%=%3B":    {{"topic", "!%zz%20"}, {"%", ";"}},
		"topic=%&topic=%2&x=%4": {{"topic", "!%"}, {"topic", "!%2"}, {"x", "!%4"}},
	} {
		var got [][2]string
		for name, value := range queryPairs(query) {
			if value.isBroken {
				value.text = "!" + value.text
			}
			got = append(got, [2]string{name, value.text})
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

// FuzzQueryPairs compares with the standard library for queries that it accepts.
func FuzzQueryPairs(f *testing.F) {
	for _, seed := range []string{"topic=a&topic=b%20c", "a=%&b=;", "&=&&a+b=+", "%61=1&a=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		want, err := url.ParseQuery(query)
		got := url.Values{}
		broken := strings.Contains(query, ";")
		for name, value := range queryPairs(query) {
			got.Add(name, value.text)
			broken = broken || value.isBroken || strings.Contains(name, "%")
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", query, got, want)
		}
		if err != nil && !broken {
			t.Fatalf("%q: %v, and nothing is broken", query, err)
		}
	})
}

// The error names the flag that allows the page to use the site of the topics.
func TestOrigin_ErrorNamesSite(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Sites = map[string][]string{"default": {"https://app.example"}, "blog": {"https://blog.example"}}
	})
	const origin = "https://new.example"
	for body, want := range map[string]string{
		`{"topics":["blog/likes/x"]}`:                          "--site blog=" + origin,
		`{"topics":["nonsense","nowhere/x/y","blog/likes/x"]}`: "--site blog=" + origin,
		`{"topics":["default/likes/x","blog/likes/x"]}`:        "--allow-origin " + origin,
		`{"topics":["nonsense"]}`:                              "--site NAME=" + origin,
	} {
		r.do("POST", "/v1/counts", body, "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains(want)
		r.do("POST", "/v1/stream", body, "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains(want)
	}
	r.do("POST", "/v1/stream", `{"present":["blog/readers/x"]}`, "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains("--site blog=" + origin)
	r.do("GET", "/v1/stream?topic=%zz&present=blog/readers/x", "", "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains("--site blog=" + origin)
	r.do("GET", "/v1/counts?topic=blog/likes/x", "", "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains("--site blog=" + origin)
	r.do("GET", "/v1/ws", "", "Origin", origin).hasError(403, tally.CodeOriginNotAllowed).contains("--site NAME=" + origin)
}
