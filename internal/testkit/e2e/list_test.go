package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// Many counts come in the requested order, with errors in their place.
func TestCounts_Order(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.like("default/likes/a", "visitor-1", "1")
	s.like("default/claps/b", "visitor-1", "9")
	topics := []string{"default/claps/b", "nowhere/likes/x", "default/likes/a", "default/cheers/x", "default/likes/a", "nonsense", "default/likes/u\u0308/"}
	check := func(name string, got []count, named bool) {
		t.Helper()
		if len(got) != len(topics) {
			t.Fatalf("%s: %+v", name, got)
		}
		for i, want := range []struct {
			topic, code string
			count, mine int64
		}{
			{"default/claps/b", "", 9, 9}, {"nowhere/likes/x", "unknown_site", 0, 0}, {"default/likes/a", "", 1, 1},
			{"default/cheers/x", "unknown_metric", 0, 0}, {"default/likes/a", "", 1, 1}, {"nonsense", "bad_topic", 0, 0}, {"default/likes/ü", "", 0, 0},
		} {
			switch c := got[i]; {
			case c.Topic != want.topic:
				t.Errorf("%s, place %d: %+v, want %s", name, i, c, want.topic)
			case want.code != "":
				if c.Error == nil || c.Error.Code != want.code || c.Error.Message == "" {
					t.Errorf("%s, place %d: %+v, want %s", name, i, c.Error, want.code)
				}
			case c.Error != nil || c.Count != want.count || (c.Mine != nil) != named || named && *c.Mine != want.mine:
				t.Errorf("%s, place %d: %+v", name, i, c)
			}
		}
	}
	query := url.Values{"topic": topics}.Encode()
	body, _ := json.Marshal(map[string]any{"topics": topics})
	personal, _ := json.Marshal(map[string]any{"topics": topics, "visitor": "visitor-1"})

	list := s.get("/v1/counts?"+query).wantHeader("Cache-Control", "no-cache")
	check("GET", list.counts(), false)
	if tag := list.header.Get("ETag"); tag == "" {
		t.Error("GET has no ETag")
	} else {
		s.get("/v1/counts?"+query, "If-None-Match: "+tag).wantStatus(304)
		s.like("default/likes/a", "visitor-2", "1")
		s.get("/v1/counts?"+query, "If-None-Match: "+tag).wantStatus(200)
		s.like("default/likes/a", "visitor-2", "0")
	}
	check("GET with a visitor", s.get("/v1/counts?"+query, "Tally-Visitor: visitor-1").wantHeader("Cache-Control", "private, no-store").counts(), true)
	check("POST", s.do("POST", "/v1/counts", string(body)).counts(), false)
	check("POST with a visitor", s.do("POST", "/v1/counts", string(personal), "Content-Type: text/plain").wantHeader("Cache-Control", "private, no-store").counts(), true)
	check("POST with a header", s.do("POST", "/v1/counts", string(body), "Tally-Visitor: visitor-1").counts(), true)
}

// A request may name 1,000 topics.
func TestCounts_ThousandTopics(t *testing.T) {
	t.Parallel()
	s := serve(t)
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = fmt.Sprintf("default/likes/%d", i)
	}
	body, _ := json.Marshal(map[string]any{"topics": topics})
	if got := s.do("POST", "/v1/counts", string(body)).counts(); len(got) != 1000 || got[999].Topic != topics[999] {
		t.Errorf("%d counts", len(got))
	}
	if got := s.get("/v1/counts?" + url.Values{"topic": topics}.Encode()).counts(); len(got) != 1000 {
		t.Errorf("in the address: %d counts", len(got))
	}
	more, _ := json.Marshal(map[string]any{"topics": append(topics, "default/likes/one-more")})
	s.do("POST", "/v1/counts", string(more)).wantProblem(400, "too_many_topics")
	s.do("POST", "/v1/stream", string(more)).wantProblem(400, "too_many_topics")
	s.get("/v1/counts?"+url.Values{"topic": append(topics, "x/y/z")}.Encode()).wantProblem(400, "too_many_topics")
	v := s.stream("POST", "/v1/stream", string(body))
	v.awaitEvents("live", 1)
	if n := len(v.received()); n != 1001 {
		t.Errorf("%d frames for 1,000 topics and live", n)
	}
	// 1,000 long keys are more than a body may have.
	for i := range topics {
		topics[i] = fmt.Sprintf("default/likes/%04d%s", i, strings.Repeat("k", 252))
	}
	body, _ = json.Marshal(map[string]any{"topics": topics})
	s.do("POST", "/v1/counts", string(body)).wantProblem(413, "body_too_large")
	if got := s.get("/v1/counts?" + url.Values{"topic": topics[:800]}.Encode()).counts(); len(got) != 800 {
		t.Errorf("800 long keys in the address: %d counts", len(got))
	}
}

// A topic that a request names often is watched once.
func TestCounts_RepeatedTopic(t *testing.T) {
	t.Parallel()
	s := serve(t)
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = []string{"default/likes/same", "default/likes/same/"}[i%2]
	}
	body, _ := json.Marshal(map[string]any{"topics": topics})
	if got := s.do("POST", "/v1/counts", string(body)).counts(); len(got) != 1000 {
		t.Errorf("%d counts", len(got))
	}
	v := s.stream("POST", "/v1/stream", string(body))
	v.awaitEvents("live", 1)
	s.like("default/likes/same", "visitor-1", "1")
	v.awaitCount("default/likes/same", 1)
	v.checkVersions()
}

// The top list has the highest counts first.
func TestTop_Order(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "blog")
	for i := range 15 {
		for n := range i + 1 {
			s.like(fmt.Sprintf("default/likes/page-%02d", i), fmt.Sprintf("visitor-%d", n), "1")
		}
	}
	s.like("default/likes/page-00", "visitor-0", "0") // nothing is left to list
	s.like("blog/likes/elsewhere", "visitor-0", "1")
	s.like("default/claps/other", "visitor-0", "50")
	var top response
	processtest.Within(t, waitTimeout, "the listing, which may be 2 s behind", func() bool {
		top = s.get("/v1/top/default/likes?limit=100").wantStatus(200)
		return len(top.counts()) == 14
	})
	for i, c := range top.counts() {
		if want := fmt.Sprintf("default/likes/page-%02d", 14-i); c.Topic != want || c.Count != int64(15-i) || c.Version == 0 {
			t.Errorf("place %d: %+v, want %s", i, c, want)
		}
	}
	top.wantHeader("Cache-Control", "no-cache")
	s.get("/v1/top/default/likes?limit=100", "If-None-Match: "+top.header.Get("ETag")).wantStatus(304)
	for query, want := range map[string]int{"": 10, "?limit=3": 3, "?limit=1": 1, "?limit=100": 14} {
		if got := s.get("/v1/top/default/likes" + query).counts(); len(got) != want {
			t.Errorf("%q: %d topics, want %d", query, len(got), want)
		}
	}
	for _, limit := range []string{"0", "101", "-1", "x", ""} {
		if a := s.get("/v1/top/default/likes?limit=" + limit); a.status != 400 {
			t.Errorf("limit=%s: %d %s", limit, a.status, a.body)
		}
	}
	s.get("/v1/top/nowhere/likes").wantProblem(404, "unknown_site")
	s.get("/v1/top/default/cheers").wantProblem(404, "unknown_metric")
}
