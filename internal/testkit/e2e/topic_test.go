package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// An untouched topic has count and version 0. Reading does not create it.
func TestTopic_Untouched(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, topic := range []string{"default/likes/untouched", "default/readers/untouched", "default/views/a/b/c"} {
		if got := s.get("/v1/" + topic).wantStatus(200).body; got != `{"topic":"`+topic+`","count":0,"version":0}` {
			t.Errorf("%s: %s", topic, got)
		}
		s.get("/v1/"+topic).wantHeader("ETag", `"0"`)
		s.get("/v1/counts?topic=" + topic).wantStatus(200)
		s.get("/badge/" + topic + ".svg").wantStatus(200)
	}
	v := s.watch("?topic=default/likes/untouched")
	v.awaitEvents("live", 1)
	if top := s.get("/v1/top/default/likes").counts(); len(top) != 0 {
		t.Errorf("the top list has an untouched topic: %+v", top)
	}
	// The like creates the topic: its version is the time.
	before := time.Now().UnixMicro()
	if c := s.like("default/likes/untouched", "visitor-1", "1"); c.Count != 1 || c.Version < before || c.Version > time.Now().UnixMicro() {
		t.Errorf("the first like: %+v, want a version that is the time", c)
	}
}

// A repeated assertion counts once.
func TestTopic_RepeatedAssertions(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const topic = "default/likes/repeated"
	first := s.like(topic, "visitor-1", "1")
	if first.Topic != topic || first.Count != 1 || *first.Mine != 1 || !*first.Changed {
		t.Errorf("first: %+v", first)
	}
	again := s.like(topic, "visitor-1", "1")
	if again.Count != 1 || again.Version != first.Version || *again.Mine != 1 || *again.Changed {
		t.Errorf("again: %+v", again)
	}
	other := s.like(topic, "visitor-2", "1")
	if other.Count != 2 || other.Version <= first.Version {
		t.Errorf("another visitor: %+v", other)
	}
	gone := s.do("DELETE", "/v1/"+topic, "", "Tally-Visitor: visitor-1").count()
	if gone.Count != 1 || *gone.Mine != 0 || !*gone.Changed || gone.Version <= other.Version {
		t.Errorf("taken back: %+v", gone)
	}
	twice := s.do("DELETE", "/v1/"+topic, `{"visitor":"visitor-1"}`).count()
	if twice.Count != 1 || *twice.Changed || twice.Version != gone.Version {
		t.Errorf("taken back twice: %+v", twice)
	}
	if c := s.like(topic, "visitor-2", "0"); c.Count != 0 || *c.Mine != 0 {
		t.Errorf("amount 0: %+v", c)
	}
}

// The response has the contribution of the named visitor.
func TestTopic_Mine(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.like("default/claps/mine", "visitor-1", "7")
	s.like("default/claps/mine", "visitor-2", "5")
	for visitor, want := range map[string]int64{"visitor-1": 7, "visitor-2": 5, "visitor-3": 0} {
		a := s.get("/v1/default/claps/mine", "Tally-Visitor: "+visitor).wantHeader("Cache-Control", "private, no-store").wantHeader("ETag", "")
		if c := a.count(); c.Count != 12 || c.Mine == nil || *c.Mine != want {
			t.Errorf("%s: %s", visitor, a.body)
		}
	}
	if c := s.read("default/claps/mine"); c.Mine != nil {
		t.Errorf("no visitor was named: %+v", c)
	}
}

// Each metric follows its rule.
func TestTopic_Rules(t *testing.T) {
	t.Parallel()
	s := serve(t, "--metric", "stars=amount:5", "--metric", "seen=window:1h,party2=toggle", "--metric", "here=presence", "--metric", "claps=amount:3")
	type step struct {
		visitor, amount string
		count           int64
		refusal         string
	}
	toggle := []step{{"visitor-1", "1", 1, ""}, {"visitor-2", "1", 2, ""}, {"visitor-1", "1", 2, ""}, {"visitor-1", "0", 1, ""},
		{"visitor-1", "2", 0, "bad_amount"}, {"visitor-1", "-1", 0, "bad_amount"}}
	final := []step{{"visitor-1", "1", 1, ""}, {"visitor-1", "1", 1, ""}, {"visitor-2", "1", 2, ""}, {"visitor-1", "0", 0, "bad_amount"}, {"visitor-1", "2", 0, "bad_amount"}}
	presence := []step{{"visitor-1", "1", 0, "read_only_metric"}, {"visitor-1", "0", 0, "read_only_metric"}}
	for metric, steps := range map[string][]step{
		"likes": toggle, "heart": toggle, "party": toggle, "rocket": toggle, "laugh": toggle, "wow": toggle, "sad": toggle, "party2": toggle,
		"stars":    {{"visitor-1", "5", 5, ""}, {"visitor-1", "2", 2, ""}, {"visitor-2", "3", 5, ""}, {"visitor-1", "6", 0, "bad_amount"}, {"visitor-1", "0", 3, ""}},
		"claps":    {{"visitor-1", "3", 3, ""}, {"visitor-1", "4", 0, "bad_amount"}},
		"visitors": final, "views": final, "seen": final,
		"readers": presence, "here": presence,
	} {
		topic := "default/" + metric + "/rule"
		for i, step := range steps {
			a := s.do("POST", "/v1/"+topic, `{"visitor":"`+step.visitor+`","amount":`+step.amount+`}`)
			switch {
			case step.refusal == "read_only_metric":
				a.wantProblem(405, step.refusal).wantListed("Allow", "GET", "HEAD")
			case step.refusal != "":
				a.wantProblem(400, step.refusal)
			default:
				if c := a.count(); c.Count != step.count {
					t.Errorf("%s, step %d: %s, want count %d", metric, i, a.body, step.count)
				}
			}
		}
		before := s.read(topic)
		deleted := s.do("DELETE", "/v1/"+topic, `{"visitor":"visitor-2"}`)
		switch steps[len(steps)-1].refusal {
		case "read_only_metric":
			deleted.wantProblem(405, "read_only_metric")
		case "bad_amount":
			if before.Count == 2 { // a metric whose contributions are final
				deleted.wantProblem(400, "bad_amount")
			}
		}
	}
	// The default maximum of claps is 50.
	d := serve(t)
	if c := d.like("default/claps/most", "visitor-1", "50"); c.Count != 50 {
		t.Errorf("50 claps: %+v", c)
	}
	d.do("POST", "/v1/default/claps/most", `{"visitor":"visitor-1","amount":51}`).wantProblem(400, "bad_amount")
}

// A visitor counts once in each window.
func TestTopic_Window(t *testing.T) {
	t.Parallel()
	s := serve(t, "--metric", "glances=window:2s")
	const topic = "default/glances/again"
	first := s.like(topic, "visitor-1", "1")
	processtest.Eventually(t, "the next window", func() bool {
		c := s.like(topic, "visitor-1", "1")
		return c.Count == 2 && *c.Changed && *c.Mine == 1 && c.Version > first.Version
	})
	// Windows begin at multiples of their length, and each counts once.
	processtest.Eventually(t, "a third window", func() bool { return s.like(topic, "visitor-1", "1").Count == 3 })
	if took := s.read(topic).Version - first.Version; took < 2_000_000 {
		t.Errorf("three windows of 2 s took %d µs from the first to the last count", took)
	}
}

// Keys are decoded once and normalised, and keep their case.
func TestTopic_Keys(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for path, want := range map[string]string{
		"hello":                        "hello",
		"Hello":                        "Hello",
		"a/b/c":                        "a/b/c",
		"a%2Fb%2Fc":                    "a/b/c",
		"a/b/c/":                       "a/b/c",
		"100%25":                       "100%",
		"a%252Fb":                      "a%2Fb",
		"%2e%2e%2e":                    "...",
		"u%CC%88":                      "ü",
		"%C3%BC":                       "ü",
		"%E4%BD%A0%E5%A5%BD":           "你好",
		"a%20b+c":                      "a b+c",
		"q%3Fx=1%23y":                  "q?x=1#y",
		"%22quoted%22%5C":              `"quoted"\`,
		strings.Repeat("x", 256):       strings.Repeat("x", 256),
		strings.Repeat("u%CC%88", 128): strings.Repeat("ü", 128),
		":colon*star":                  ":colon*star",
	} {
		before := s.get("/v1/default/likes/" + path).count()
		visitor := fmt.Sprintf("visitor-%d", len(path)*1000+int(before.Count))
		got := s.like("default/likes/"+path, visitor, "1")
		if got.Topic != "default/likes/"+want || got.Count != before.Count+1 {
			t.Errorf("%s: %+v, want key %q", clip(path), got, want)
		}
	}
	for _, path := range []string{
		"", "/", "a//b", "a/b//", "%2F", "a%2F%2Fb", ".", "..", "a/../b", "a/./b", "%2e", "a/%2E%2e/b", "%00", "a%0Ab", "%7F", "%C2%85",
		"%7Ba%7D", "a%7D", "%FF", "%C3", strings.Repeat("x", 257), strings.Repeat("%C3%BC", 129), strings.Repeat("x", 5000),
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if a := s.do(method, "/v1/default/likes/"+path, ""); a.status != 404 || path != "" {
				a.wantProblem(400, "bad_topic")
			}
		}
	}
}

// The body is optional and may be text/plain.
func TestBody_Optional(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for i, c := range []struct{ body, kind string }{
		{"", ""}, {"{}", "application/json"}, {"{}", "text/plain"}, {`{"visitor":"visitor-1"}`, "text/plain;charset=UTF-8"},
		{`{"amount":1}`, "application/json; charset=utf-8"}, {` { "amount" : 1 , "visitor" : "visitor-1" } `, "TEXT/PLAIN"},
		{`{"visitor":null,"amount":null}`, "application/json"}, {`{"visitor":"visitor\u002d1"}`, "application/json"},
	} {
		topic := fmt.Sprintf("/v1/default/likes/body-%d", i)
		lines := []string{}
		if c.kind != "" {
			lines = append(lines, "Content-Type: "+c.kind)
		}
		if got := s.do("POST", topic, c.body, lines...).count(); got.Count != 1 || *got.Mine != 1 {
			t.Errorf("%q as %q: %+v", c.body, c.kind, got)
		}
	}
}

// HEAD has the header of GET and no body.
func TestHead_SameHeader(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.like("default/likes/head", "visitor-1", "1")
	for _, path := range []string{"/v1/default/likes/head", "/v1/counts?topic=default/likes/head", "/v1/top/default/likes", "/badge/default/likes/head.svg",
		"/tally.js", "/openapi.yaml", "/", "/healthz", "/readyz"} {
		get, head := s.get(path).wantStatus(200), s.do("HEAD", path, "").wantStatus(200)
		if head.body != "" {
			t.Errorf("HEAD %s has a body", path)
		}
		for _, name := range []string{"Content-Type", "Etag", "Cache-Control"} {
			head.wantHeader(name, get.header.Get(name))
		}
		if n := head.header.Get("Content-Length"); n != "" && n != fmt.Sprint(len(get.body)) {
			t.Errorf("HEAD %s: Content-Length %s, GET has %d", path, n, len(get.body))
		}
	}
	s.do("HEAD", "/v1/default/likes/a//b", "").wantStatus(http.StatusBadRequest)
}
