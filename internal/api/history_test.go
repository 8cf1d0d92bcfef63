package api

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// newHistoryRig returns a rig with a history, and a function that moves its clock, which is
// at 10:10 on 28 November 2026.
func newHistoryRig(t *testing.T) (r *rig, advance func(time.Duration)) {
	var ahead atomic.Int64
	now := func() time.Time {
		return time.Date(2026, 11, 28, 10, 10, 0, 0, time.UTC).Add(time.Duration(ahead.Load()))
	}
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{Now: now, History: tally.MaxHistory, TopInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, store, nil), func(d time.Duration) { ahead.Add(int64(d)) }
}

func TestHistory_Points(t *testing.T) {
	r, advance := newHistoryRig(t)
	r.do("GET", "/v1/history/blog/likes/hello", "").hasStatus(200).contains(`{"topic":"blog/likes/hello","by":"day","points":[],"count":0,"version":0}`)
	r.do("POST", "/v1/blog/likes/hello", `{"visitor":"`+ann+`"}`).hasStatus(200)
	advance(25 * time.Hour)
	r.do("POST", "/v1/blog/likes/hello", `{"visitor":"`+bob+`"}`).hasStatus(200)
	a := r.do("GET", "/v1/history/blog/likes/hello", "").hasStatus(200).hasHeader("Cache-Control", "no-cache").
		contains(`"by":"day","points":[{"at":"2026-11-27T00:00:00Z","count":0},{"at":"2026-11-28T00:00:00Z","count":1},{"at":"2026-11-29T00:00:00Z","count":2}],"count":2,"version":17`)
	etag := a.header.Get("Etag")
	r.do("GET", "/v1/history/blog/likes/hello?by=day&last=400", "", "If-None-Match", etag).hasStatus(304)
	r.do("HEAD", "/v1/history/blog/likes/hello", "").hasStatus(200).hasHeader("Etag", etag)
	r.do("GET", "/v1/history/blog/likes/hello?by=hour&last=2", "").hasStatus(200).
		contains(`"by":"hour","points":[{"at":"2026-11-29T10:00:00Z","count":1},{"at":"2026-11-29T11:00:00Z","count":2}]`)
	advance(time.Hour)
	r.do("GET", "/v1/history/blog/likes/hello?by=hour&last=1", "").hasStatus(200).contains(`"points":[{"at":"2026-11-29T12:00:00Z","count":2}]`)
	advance(24 * time.Hour)
	r.do("GET", "/v1/history/blog/likes/hello", "", "If-None-Match", etag).hasStatus(200)
	r.do("POST", "/v1/blog/rating/hello", `{"visitor":"`+bob+`","option":3}`).hasStatus(200)
	r.do("GET", "/v1/history/blog/rating/hello", "").hasStatus(200).contains(`"count":1}],"count":1,`)
}

// Keys are in a history as in other responses.
func TestHistory_KeyWithoutEscapes(t *testing.T) {
	r, _ := newHistoryRig(t)
	r.do("GET", "/v1/history/blog/likes/a&b", "").hasStatus(200).contains(`{"topic":"blog/likes/a&b",`)
}

func TestHistory_Errors(t *testing.T) {
	r := newRig(t, nil)
	for path, code := range map[string]string{
		"blog/likes/hello?by=week":          "bad_body",
		"blog/likes/hello?last=0":           "bad_body",
		"blog/likes/hello?last=401":         "bad_body",
		"blog/likes/hello?by=hour&last=193": "bad_body",
		"blog/likes/hello?by=day&by=day":    "bad_body",
		"blog/likes/hello?last=ten":         "bad_body",
		"blog/likes/hello?visitor=" + ann:   "bad_visitor",
		"blog/likes/":                       "bad_topic",
		"blog/likes":                        "not_found",
		"other/likes/hello":                 "unknown_site",
		"blog/other/hello":                  "unknown_metric",
	} {
		if got := r.do("GET", "/v1/history/"+path, "").field("code"); got != code {
			t.Errorf("%s is refused as %v, want %s", path, got, code)
		}
	}
	r.do("POST", "/v1/history/blog/likes/hello", "{}").hasStatus(405)
	r.do("OPTIONS", "/v1/history/blog/likes/hello", "", "Origin", "https://blog.example").hasStatus(204)
	r.do("GET", "/v1/history/blog/likes/hello", "", "Origin", "https://evil.example").hasStatus(403)
}

// With ?since= the list has the topics that gained most, each with its gain.
func TestTop_Since(t *testing.T) {
	r, advance := newHistoryRig(t)
	like := func(key string, visitors ...string) {
		for _, visitor := range visitors {
			r.do("POST", "/v1/blog/likes/"+key, `{"visitor":"`+visitor+`"}`).hasStatus(200)
		}
	}
	r.do("GET", "/v1/top/blog/likes?since=7d", "").hasStatus(200).contains(`{"top":[]}`)
	like("old", ann, bob)
	advance(3 * 24 * time.Hour)
	like("old", "visitor-3")
	like("new", ann, bob)
	gains := func(since string) string {
		var body struct {
			Top []struct {
				Topic       string
				Count, Gain int64
			}
		}
		answer := r.do("GET", "/v1/top/blog/likes?since="+since, "").hasStatus(200)
		if err := json.Unmarshal(answer.body, &body); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(body.Top)
	}
	processtest.Eventually(t, "the gains of a day", func() bool { return gains("24h") == "[{blog/likes/new 2 2} {blog/likes/old 3 1}]" })
	if got := gains("30d"); got != "[{blog/likes/old 3 3} {blog/likes/new 2 2}]" {
		t.Errorf("the gains of 30 days are %s", got)
	}
	r.do("GET", "/v1/top/blog/likes?since=30d&limit=1", "").hasStatus(200).contains(`"gain":3}]}`)
	etag := r.do("GET", "/v1/top/blog/likes?since=30d", "").header.Get("ETag")
	r.do("GET", "/v1/top/blog/likes?since=30d", "", "If-None-Match", etag).hasStatus(304)
}
