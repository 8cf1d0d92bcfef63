package api

import (
	"strings"
	"testing"
	"time"
)

// A badge has the line of a topic's days: of any metric, and of an untouched topic.
func TestBadge_Trend(t *testing.T) {
	r, advance := newHistoryRig(t)
	r.do("POST", "/v1/blog/likes/hello", `{"visitor":"ann-visitor"}`).hasStatus(200)
	r.do("POST", "/v1/blog/rating/hello", `{"visitor":"ann-visitor","option":4}`).hasStatus(200)
	advance(24 * time.Hour)
	r.do("POST", "/v1/blog/likes/hello", `{"visitor":"bob-visitor"}`).hasStatus(200)
	// On the day before its first like the topic had none.
	hostile := r.do("GET", "/badge/blog/likes/hello.svg?show=trend&label=%3Cb%3E%22%00", "").hasStatus(200).hasHeader("Cache-Control", "public, max-age=60").
		contains(`,15.0 `).contains(`,10.0 `).contains(`,5.0"`).contains(`<title>&lt;b&gt;&#34; : 2 (+2 since 20`).contains(">2</text>")
	wellFormed(t, hostile.body)
	r.do("GET", "/badge/blog/rating/hello.svg?show=trend", "").hasStatus(200).contains("rating: 1 (+1 since 20")
	wellFormed(t, r.do("GET", "/badge/blog/likes/none.svg?show=trend", "").hasStatus(200).contains("<title>likes: 0</title>").body)
	r.do("GET", "/badge/blog/readers/none.svg?show=trend", "").hasStatus(200).contains("<title>readers: 0</title>")
	r.do("GET", "/badge/blog/likes/hello.svg?show=line", "").hasError(400, "bad_body").contains("trend")
}

// Without a history the line has one point: the present.
func TestBadge_TrendWithoutHistory(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/hello", `{"visitor":"ann-visitor"}`).hasStatus(200)
	wellFormed(t, r.do("GET", "/badge/blog/likes/hello.svg?show=trend", "").hasStatus(200).contains("<title>likes: 1</title>").contains("<circle ").body)
}

func TestTrendLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts []int64
		want   string
	}{
		{"one", []int64{4}, `points="70.0,15.0"`},
		{"flat", []int64{4, 4}, `points="67.9,15.0 70.0,15.0"`},
		{"rises and falls", []int64{0, 10, 5}, `points="65.9,15.0 67.9,5.0 70.0,10.0"`},
		{"large", []int64{1<<53 - 1, 0}, `points="67.9,5.0 70.0,15.0"`},
	} {
		if got := trendLine(c.counts, 10); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	full := make([]int64, trendDays)
	if got := trendLine(full, 10); !strings.Contains(got, `points="10.0,`) {
		t.Errorf("a full line does not begin at its left: %s", got)
	}
}
