package tally_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestParseTopic(t *testing.T) {
	for text, want := range map[string]string{
		"blog/likes/hello":                             "blog/likes/hello",
		"blog/likes/a/b/c":                             "blog/likes/a/b/c",
		"blog/likes/a/b/":                              "blog/likes/a/b",
		"b/l/Case Kept":                                "b/l/Case Kept",
		"0-9/views_1/ü":                                "0-9/views_1/ü",
		"blog/likes/u\u0308":                           "blog/likes/ü",
		"blog/likes/100%":                              "blog/likes/100%",
		"blog/likes/...":                               "blog/likes/...",
		"blog/likes/\"quoted\"\\back":                  "blog/likes/\"quoted\"\\back",
		"blog/likes/" + strings.Repeat("x", 256):       "blog/likes/" + strings.Repeat("x", 256),
		"blog/likes/" + strings.Repeat("x", 256) + "/": "blog/likes/" + strings.Repeat("x", 256),
		"blog/likes/" + strings.Repeat("u\u0308", 128): "blog/likes/" + strings.Repeat("ü", 128),
		strings.Repeat("s", 32) + "/m/k":               strings.Repeat("s", 32) + "/m/k",
	} {
		topic, err := tally.ParseTopic(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if topic.String() != want || topic.Site()+"/"+topic.Metric()+"/"+topic.Key() != want {
			t.Errorf("%q became %q (%q, %q, %q), want %q", text, topic, topic.Site(), topic.Metric(), topic.Key(), want)
		}
	}
}

func TestParseTopic_Invalid(t *testing.T) {
	for _, text := range []string{
		"", "/", "//", "blog", "blog/likes", "blog/likes/", "blog/likes//", "blog/likes/a//b", "blog/likes//a",
		"blog/likes/.", "blog/likes/..", "blog/likes/a/../b", "blog/likes/a/./b",
		"blog/likes/a\x00", "blog/likes/a\nb", "blog/likes/a\x7f", "blog/likes/a\u0085",
		"blog/likes/{a}", "blog/likes/a}", "blog/likes/\xff",
		"Blog/likes/a", "-blog/likes/a", "blog_/likes/a", strings.Repeat("s", 33) + "/likes/a",
		"blog/Likes/a", "blog/1likes/a", "blog/li-kes/a", "blog/" + strings.Repeat("m", 33) + "/a",
		"counts/likes/a", "stream/likes/a", "ws/likes/a", "top/likes/a", "admin/likes/a",
		"blog/likes/" + strings.Repeat("x", 257), "blog/likes/" + strings.Repeat("x", 2000),
	} {
		if topic, err := tally.ParseTopic(text); err == nil {
			t.Errorf("%q became %q", text, topic)
		} else if tally.AsError(err).Code != tally.CodeBadTopic {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCatalog_Resolve(t *testing.T) {
	catalog := tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics())
	for text, want := range map[string]tally.Code{
		"blog/likes/a": "", "default/claps/a": "",
		"shop/likes/a": tally.CodeUnknownSite, "blog/cheers/a": tally.CodeUnknownMetric, "blog/likes": tally.CodeBadTopic,
	} {
		_, err := catalog.Resolve(text)
		var e *tally.Error
		if got := errors.As(err, &e); got != (want != "") || got && e.Code != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Every topic that is parsed is its own normal form, and survives a frame.
func FuzzParseTopic(f *testing.F) {
	for _, seed := range []string{"blog/likes/hello", "b/l/a/../b", "b/l/u\u0308/", "b/l/%2F", "b/l/\"\\", "b/l/\u2028", "a/b/\xff", "b/l/\u1100\u1161"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		topic, err := tally.ParseTopic(text)
		if err != nil {
			return
		}
		again, err := tally.ParseTopic(topic.String())
		if err != nil || again != topic {
			t.Fatalf("%q became %q, which became %q (%v)", text, topic, again, err)
		}
		if n := len(topic.Key()); n == 0 || n > tally.MaxKeyBytes || !utf8.ValidString(topic.Key()) {
			t.Fatalf("key %q has %d bytes", topic.Key(), n)
		}
		want := tally.Change{Topic: topic, Count: 43, Version: 1790000000000001}
		frame := tally.AppendFrame(nil, want)
		var decoded struct{ Topic string }
		if err := json.Unmarshal(frame, &decoded); err != nil || decoded.Topic != topic.String() {
			t.Fatalf("frame %s is parsed as %q (%v)", frame, decoded.Topic, err)
		}
		if got, err := tally.ParseFrame(topic, frame); err != nil || got != want {
			t.Fatalf("frame %s: %v, %v", frame, got, err)
		}
	})
}

func TestParseFrame_Invalid(t *testing.T) {
	topic, _ := tally.ParseTopic("blog/likes/a")
	other, _ := tally.ParseTopic("blog/likes/b")
	for _, frame := range []string{
		"", "{}", `{"event":"live"}`, `{"topic":"blog/likes/a","count":1,"version":}`, `{"topic":"blog/likes/a","count":x,"version":1}`,
		`{"topic":"blog/likes/a","version":1}`, `{"topic":"blog/likes/a","count":1,"version":1} `,
		string(tally.AppendFrame(nil, tally.Change{Topic: other, Count: 1, Version: 1})),
	} {
		if got, err := tally.ParseFrame(topic, []byte(frame)); err == nil {
			t.Errorf("%q became %v", frame, got)
		}
	}
}
