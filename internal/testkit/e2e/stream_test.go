package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const twoTopics = "?topic=default/likes/a&topic=default/likes/b"

// A viewer receives the snapshot, live, then changes.
func TestViewer_SnapshotLiveChanges(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*service) *viewer{
		"GET": func(s *service) *viewer { return s.watch(twoTopics) },
		"POST": func(s *service) *viewer {
			return s.stream("POST", "/v1/stream", `{"topics":["default/likes/a","default/likes/b"]}`, "Content-Type: text/plain")
		},
		"socket with query": func(s *service) *viewer { return s.dial(twoTopics) },
		"bare socket":       func(s *service) *viewer { return subscribed(s.dial(""), "default/likes/a", "default/likes/b") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.like("default/likes/a", "visitor-1", "1")
			v := open(s)
			v.awaitEvents("live", 1)
			if frames := v.received(); len(frames) != 3 || frames[2].raw != `{"event":"live"}` {
				t.Errorf("begins with %s", v.transcript())
			}
			if v.last("default/likes/a").Count != 1 || v.last("default/likes/b").raw != `{"topic":"default/likes/b","count":0,"version":0}` {
				t.Errorf("begins with %s", v.transcript())
			}
			c := s.like("default/likes/b", "visitor-1", "1")
			if f := v.awaitCount("default/likes/b", 1); f.Version != c.Version {
				t.Errorf("%s, acknowledged as %+v", f.raw, c)
			}
			s.like("default/likes/b", "visitor-1", "0")
			processtest.Eventually(t, "the count goes back", func() bool { return v.last("default/likes/b").Count == 0 })
			// An assertion without a change sends no frame.
			s.like("default/likes/b", "visitor-1", "0")
			s.like("default/likes/a", "visitor-2", "1")
			v.awaitCount("default/likes/a", 2)
			if n := len(v.received()); n != 6 {
				t.Errorf("%d frames, want 6: %s", n, v.transcript())
			}
			v.checkVersions()
		})
	}
}

func subscribed(v *viewer, topics ...string) *viewer {
	v.send(`{"subscribe":["` + strings.Join(topics, `","`) + `"]}`)
	return v
}

// A stream begins with a random retry time and forbids buffering.
func TestStream_RetryAndHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t)
	waits := map[int]bool{}
	for range 8 {
		v := s.watch("?topic=default/likes/x")
		v.awaitEvents("live", 1)
		if !strings.HasPrefix(v.first, "retry: ") || len(v.retries) != 1 || v.retries[0] < 1000 || v.retries[0] > 5000 {
			t.Errorf("begins with %q, retries %v", v.first, v.retries)
		}
		waits[v.retries[0]] = true
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"} {
			if got := v.header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if !strings.Contains(v.header.Get("Cache-Control"), "no-") {
			t.Errorf("Cache-Control: %q", v.header.Get("Cache-Control"))
		}
	}
	if len(waits) < 2 {
		t.Errorf("all retry times are equal: %v", waits)
	}
}

// Refused topics get errors. The others work.
func TestViewer_RefusedTopics(t *testing.T) {
	t.Parallel()
	s := serve(t)
	bad := map[string]string{"nonsense": "bad_topic", "nowhere/likes/x": "unknown_site", "default/cheers/x": "unknown_metric", "default/likes/a//b": "bad_topic"}
	query, list := "?topic=default/likes/good", `"default/likes/good"`
	for topic := range bad {
		query += "&topic=" + topic
		list += `,"` + topic + `"`
	}
	for name, v := range map[string]*viewer{
		"GET": s.watch(query), "POST": s.stream("POST", "/v1/stream", `{"topics":[`+list+`]}`), "socket": s.dial(query),
		"bare socket": func() *viewer { v := s.dial(""); v.send(`{"subscribe":[` + list + `]}`); return v }(),
	} {
		v.awaitEvents("live", 1)
		v.awaitCount("default/likes/good", 0)
		for topic, code := range bad {
			f := v.awaitFrame("the refusal of "+topic, func(f frame) bool { return f.Topic == topic })
			if f.Error == nil || f.Error.Code != code || f.Error.Message == "" {
				t.Errorf("%s: %s, want %s", name, f.raw, code)
			}
		}
	}
	s.like("default/likes/good", "visitor-1", "1")
	// A stream with only refused topics stays open.
	v := s.watch("?topic=nonsense")
	v.awaitFrame("the refusal", func(f frame) bool { return f.Error != nil && f.Error.Code == "bad_topic" })
}

// A full instance answers an EventSource with 200 and full, since an EventSource gives up
// after other statuses. Other clients get 503 or 1013.
func TestViewer_FullInstance(t *testing.T) {
	t.Parallel()
	s := serve(t, "--max-viewers", "1")
	held := s.watch("?topic=default/likes/x")
	held.awaitEvents("live", 1)
	v := s.watch("?topic=default/likes/x")
	processtest.Eventually(t, "the end", v.hasEnded)
	if got := v.transcript(); got != `{"event":"full"}`+"\n" || len(v.retries) != 1 || v.retries[0] < 5000 {
		t.Errorf("%s with retry %v", got, v.retries)
	}
	s.do("POST", "/v1/stream", `{"topics":["default/likes/x"]}`).wantProblem(503, "too_many_viewers")
	s.get("/v1/stream?topic=default/likes/x").wantProblem(503, "too_many_viewers")
	// Refused clients do not keep a descriptor.
	for _, accept := range []string{"text/event-stream", "*/*"} {
		w := s.wire().send(request("GET", "/v1/stream?topic=default/likes/x", "", "Accept: "+accept))
		w.awaitClose(waitTimeout)
	}
	w := s.dial("?topic=default/likes/x")
	processtest.Eventually(t, "the end", w.hasEnded)
	if w.code != 1013 {
		t.Errorf("closed with %d, want 1013", w.code)
	}
	held.close()
	processtest.Eventually(t, "a place again", func() bool { return s.Metric(`tallycast_connections{transport="sse"}`) == 0 })
	again := s.watch("?topic=default/likes/x")
	again.awaitEvents("live", 1)
}

// A viewer without changes receives a beat after 25 s.
func TestViewer_Beat(t *testing.T) {
	t.Parallel()
	s := serve(t)
	viewers := []*viewer{s.watch("?topic=default/likes/x"), s.dial("?topic=default/likes/x"), s.dial("")}
	for _, v := range viewers {
		opened := time.Now()
		processtest.Within(t, 40*time.Second, "a beat", func() bool { return strings.Contains(v.transcript(), `{"event":"beat"}`) })
		for _, f := range v.received() {
			if after := f.at.Sub(opened); f.Event == "beat" && (after > 30*time.Second) {
				t.Errorf("a beat after %s", after)
			}
		}
		if n := strings.Count(v.transcript(), "beat"); n > 1 {
			t.Errorf("%d beats: %s", n, v.transcript())
		}
	}
}

// A burst of likes reaches a viewer in few frames, the last with the exact count.
func TestViewer_Burst(t *testing.T) {
	t.Parallel()
	s := serve(t)
	viewers := []*viewer{s.watch("?topic=default/likes/burst"), s.dial("?topic=default/likes/burst")}
	for _, v := range viewers {
		v.awaitEvents("live", 1)
	}
	const likes = 3000
	s.likeAll("default/likes/burst", likes, 64)
	for _, v := range viewers {
		v.awaitCount("default/likes/burst", likes)
		v.checkVersions()
		if n := len(v.received()); n > 600 || n < 4 {
			t.Errorf("%d frames for %d likes", n, likes)
		}
	}
	if c := s.read("default/likes/burst"); c.Count != likes {
		t.Errorf("%+v", c)
	}
}

// The frames of a topic keep the flush interval.
func TestViewer_FlushInterval(t *testing.T) {
	t.Parallel()
	const interval = 400 * time.Millisecond
	s := serve(t, "--flush-interval", interval.String())
	v := s.watch("?topic=default/likes/slow")
	v.awaitEvents("live", 1)
	began := time.Now()
	s.likeAll("default/likes/slow", 200, 8)
	v.awaitCount("default/likes/slow", 200)
	changes := len(v.received()) - 2
	if most := 2 + int(time.Since(began)/interval); changes > most {
		t.Errorf("%d frames in %s, want at most %d", changes, time.Since(began), most)
	}
}
