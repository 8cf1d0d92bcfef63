package e2e_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// An address may send a burst of three times the rate. Other addresses are not affected.
func TestRateLimit_Burst(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--rate-limit", "5/h", "--new-topic-limit", "off")
	for i := range 20 {
		a := s.do("POST", "/v1/default/likes/x", "", fmt.Sprintf("Tally-Visitor: visitor-%d", i))
		if i < 15 {
			a.wantStatus(200)
		} else {
			a.wantProblem(429, "rate_limited")
		}
	}
	s.do("DELETE", "/v1/default/likes/x", "", "Tally-Visitor: visitor-1").wantProblem(429, "rate_limited")
	s.post("default/likes/x", map[string][]string{"return": {"/"}}, "Origin: "+s.url).wantStatus(429).wantBody("rate_limited")
	s.get("/v1/default/likes/x").wantStatus(200)
	s.do("POST", "/v1/counts", `{"topics":["default/likes/x"],"visitor":"visitor-1"}`).wantStatus(200) // not a write
	if c := s.from("127.0.0.2").like("default/likes/x", "visitor-99", "1"); c.Count != 16 {
		t.Errorf("another address: %+v", c)
	}
	s.do("POST", "/v1/default/likes/x", "", "Tally-Visitor: visitor-0", "Origin: https://page.example").wantStatus(403)
	if got := s.Metric(`tallycast_rate_limited_total{limit="write"}`); got < 7 {
		t.Errorf("%v requests were limited, by the metric", got)
	}
}

// The default limits accept a person and refuse a flood.
func TestRateLimit_Defaults(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil)
	each(300, 4, func(i int) {
		a, err := s.try("POST", "/v1/default/likes/x", "", fmt.Sprintf("Tally-Visitor: visitor-%d", i))
		switch {
		case err != nil:
			t.Error(err)
		case i < 50 && a.status != 200:
			t.Errorf("like %d: %d", i, a.status)
		}
	})
	// A busy machine may need a while to exceed the limit.
	refused := atomic.Int64{}
	processtest.Within(t, waitTimeout, "a like that is too many", func() bool {
		each(200, 8, func(i int) {
			if a, err := s.try("POST", "/v1/default/likes/x", "", fmt.Sprintf("Tally-Visitor: visitor-%d", 1000+i)); err == nil && a.status == 429 {
				refused.Add(1)
			}
		})
		return refused.Load() > 0
	})
}

// The read limit counts topics.
func TestReadLimit_Topics(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--read-limit", "10/h") // 30 at once
	list := func(n int) string {
		topics := make([]string, n)
		for i := range topics {
			topics[i] = fmt.Sprintf("default/likes/%d", i)
		}
		body, _ := json.Marshal(map[string]any{"topics": topics})
		return string(body)
	}
	s.do("POST", "/v1/counts", list(20)).wantStatus(200)
	v := s.stream("POST", "/v1/stream", list(12))
	v.awaitEvents("live", 1)
	refused := 0
	for _, f := range v.received() {
		if f.Error != nil && f.Error.Code == "rate_limited" {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("of 12 topics after 20 of 30, %d were refused: %s", refused, v.transcript())
	}
	s.get("/v1/default/likes/0").wantProblem(429, "rate_limited")
	s.get("/v1/counts?topic=default/likes/0").wantProblem(429, "rate_limited")
	s.get("/badge/default/likes/0.svg").wantProblem(429, "rate_limited")
	s.like("default/likes/0", "visitor-1", "1") // writes have another limit
	v.awaitCount("default/likes/0", 1)
	s.from("127.0.0.2").get("/v1/default/likes/0").wantStatus(200)
}

// An address may create a limited number of topics.
func TestNewTopicLimit_Address(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--new-topic-limit", "3/h", "--rate-limit", "off")
	for i := range 5 {
		a := s.do("POST", fmt.Sprintf("/v1/default/likes/new-%d", i), `{"visitor":"visitor-1"}`)
		if i < 3 {
			a.wantStatus(200)
		} else {
			a.wantProblem(429, "rate_limited")
			if c := s.read(fmt.Sprintf("default/likes/new-%d", i)); c.Version != 0 {
				t.Errorf("a refused request created the topic: %+v", c)
			}
		}
	}
	// Existing topics are not limited.
	for i := range 10 {
		s.like("default/likes/new-0", fmt.Sprintf("visitor-%d", i), "1")
	}
	if c := s.from("127.0.0.2").like("default/likes/new-9", "visitor-1", "1"); c.Count != 1 {
		t.Errorf("another address: %+v", c)
	}
}

// The viewers of one address are limited.
func TestMaxViewers_Address(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--max-viewers-per-address", "2")
	first, second := s.watch("?topic=default/likes/x"), s.dial("?topic=default/likes/x")
	first.awaitEvents("live", 1)
	second.awaitEvents("live", 1)
	s.get("/v1/stream?topic=default/likes/x").wantProblem(503, "too_many_viewers")
	third := s.dial("")
	processtest.Eventually(t, "the end", third.hasEnded)
	if third.code != 1013 {
		t.Errorf("closed with %d", third.code)
	}
	s.from("127.0.0.2").watch("?topic=default/likes/x").awaitEvents("live", 1)
	second.close()
	processtest.Eventually(t, "a place again", func() bool { return s.Metric(`tallycast_connections{transport="websocket"}`) == 0 })
	s.dial("?topic=default/likes/x").awaitEvents("live", 1)
}

// The watched topics of an instance are limited.
func TestWatchedTopics_Instance(t *testing.T) {
	t.Parallel()
	s := serve(t, "--max-watched-topics", "2")
	v := s.watch("?topic=default/likes/a&topic=default/likes/b&topic=default/likes/c")
	v.awaitEvents("live", 1)
	f := v.awaitFrame("the refusal", func(f frame) bool { return f.Error != nil })
	if f.Error.Code != "too_many_viewers" {
		t.Errorf("%s", f.raw)
	}
	// Topics that are watched already can be watched by others.
	other := s.dial("?topic=default/likes/a")
	other.awaitCount("default/likes/a", 0)
}

// Limits count an IPv6 /64 as one client.
func TestRateLimit_IPv6(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--rate-limit", "1/h", "--trusted-proxy", "127.0.0.0/8")
	like := func(client string) response {
		return s.do("POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`, "X-Forwarded-For: "+client)
	}
	for i := range 3 {
		like(fmt.Sprintf("2001:db8:0:1::%d", i+1)).wantStatus(200)
	}
	like("2001:db8:0:1:ffff::9").wantProblem(429, "rate_limited")
	like("2001:db8:0:2::1").wantStatus(200)
	like("::ffff:192.0.2.1").wantStatus(200)
	for range 2 {
		like("192.0.2.1").wantStatus(200)
	}
	like("192.0.2.1").wantProblem(429, "rate_limited")
	like("192.0.2.2").wantStatus(200)
}

// One address cannot use up the limit of watched topics.
func TestWatchedTopics_OneAddress(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--max-watched-topics", "3000", "--read-limit", "off", "--server-token", "0123456789abcdef")
	watch := func(c *client, from, n int, header ...string) (v *viewer, refused int) {
		topics := make([]string, n)
		for i := range topics {
			topics[i] = fmt.Sprintf("default/likes/%d", from+i)
		}
		body, _ := json.Marshal(map[string]any{"topics": topics})
		v = c.stream("POST", "/v1/stream", string(body), header...)
		v.awaitEvents("live", 1)
		for _, f := range v.received() {
			if f.Error != nil && f.Error.Code == "too_many_viewers" {
				refused++
			}
		}
		return v, refused
	}
	var held []*viewer
	refused := 0
	for i := range 5 {
		v, n := watch(s.client, 1000*i, 1000)
		held, refused = append(held, v), refused+n
	}
	if refused != 4000 {
		t.Errorf("of 5,000 topics %d were refused, want 4,000", refused)
	}
	v := s.dial("")
	v.send(`{"subscribe":["default/likes/other"]}`)
	v.awaitFrame("the refusal", func(f frame) bool { return f.Error != nil && f.Error.Code == "too_many_viewers" })
	v.send(`{"present":["default/readers/other"]}`)
	v.awaitFrame("the refusal of presence", func(f frame) bool {
		return f.Topic == "default/readers/other" && f.Error != nil && f.Error.Code == "too_many_viewers"
	})
	if _, n := watch(s.from("127.0.0.2"), 10_000, 500); n != 0 {
		t.Errorf("another address is refused %d topics", n)
	}
	if _, n := watch(s.client, 20_000, 1000, "Authorization: Bearer 0123456789abcdef"); n != 0 {
		t.Errorf("the server token is refused %d topics", n)
	}
	held[0].close()
	processtest.Eventually(t, "room again", func() bool {
		v, n := watch(s.client, 30_000, 200)
		v.close()
		return n == 0
	})
}

// The limit counts an IPv6 /64 as one client.
func TestWatchedTopics_IPv6(t *testing.T) {
	t.Parallel()
	s := serveIn(t, nil, "--max-watched-topics", "4", "--trusted-proxy", "127.0.0.1")
	watch := func(address, key string) *viewer {
		v := s.watch("?topic=default/likes/"+key, "X-Forwarded-For: "+address)
		v.awaitEvents("live", 1)
		return v
	}
	for i, key := range []string{"a", "b"} {
		watch(fmt.Sprintf("2001:db8:0:1::%d", i+1), key).awaitCount("default/likes/"+key, 0)
	}
	watch("2001:db8:0:1:ffff::1", "c").awaitFrame("the refusal", func(f frame) bool { return f.Error != nil })
	watch("2001:db8:0:2::1", "c").awaitCount("default/likes/c", 0)
}
