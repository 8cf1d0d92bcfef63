package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const ann, bob = "ann-visitor", "bob-visitor"

func TestLike_AssertReadWithdraw(t *testing.T) {
	r := newRig(t, nil)
	r.do("GET", "/v1/blog/likes/hello", "").hasStatus(200).contains(`{"topic":"blog/likes/hello","count":0,"version":0}`).
		hasHeader("Cache-Control", "no-cache").hasHeader("Etag", `"0"`)

	a := r.do("POST", "/v1/blog/likes/hello", `{"visitor":"`+ann+`","amount":1}`).hasStatus(200).hasHeader("Cache-Control", "private, no-store")
	if a.field("count") != 1.0 || a.field("mine") != 1.0 || a.field("changed") != true || a.field("topic") != "blog/likes/hello" {
		t.Fatalf("first like: %s", a.body)
	}
	version := a.field("version")
	a = r.do("POST", "/v1/blog/likes/hello", `{"visitor":"`+ann+`"}`).hasStatus(200)
	if a.field("count") != 1.0 || a.field("changed") != false || a.field("version") != version {
		t.Fatalf("the same again: %s", a.body)
	}
	r.do("POST", "/v1/blog/likes/hello", "", "Tally-Visitor", bob).hasStatus(200).contains(`"count":2`)

	a = r.do("GET", "/v1/blog/likes/hello", "").hasStatus(200).contains(`"count":2`)
	r.do("GET", "/v1/blog/likes/hello", "", "If-None-Match", `"x", W/`+a.header.Get("Etag")).hasStatus(304).hasHeader("Etag", a.header.Get("Etag"))
	r.do("HEAD", "/v1/blog/likes/hello", "").hasStatus(200).hasHeader("Etag", a.header.Get("Etag"))
	mine := r.do("GET", "/v1/blog/likes/hello", "", "Tally-Visitor", ann).hasStatus(200).contains(`"mine":1`).hasHeader("Cache-Control", "private, no-store")
	if mine.header.Get("Etag") != "" {
		t.Error("an answer with a visitor has an ETag")
	}

	r.do("DELETE", "/v1/blog/likes/hello", `{"visitor":"`+ann+`"}`).hasStatus(200).contains(`"count":1`).contains(`"mine":0`).contains(`"changed":true`)
	r.do("DELETE", "/v1/blog/likes/hello", "", "Tally-Visitor", ann).hasStatus(200).contains(`"changed":false`)
	r.do("POST", "/v1/blog/claps/hello", `{"visitor":"`+ann+`","amount":50}`, "Content-Type", "text/plain").hasStatus(200).contains(`"mine":50`)
}

func TestLike_DerivedVisitor(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/x", "", "User-Agent", "one").hasStatus(200).contains(`"count":1`)
	r.do("POST", "/v1/blog/likes/x", "", "User-Agent", "one").hasStatus(200).contains(`"count":1`).contains(`"changed":false`)
	r.do("POST", "/v1/blog/likes/x", "", "User-Agent", "two").hasStatus(200).contains(`"count":2`)
	r.do("POST", "/v1/blog/visitors/x", "{}").hasStatus(200).contains(`"count":1`)
	r.do("POST", "/v1/blog/likes/y", `{"visitor":null,"amount":null}`).hasStatus(200).contains(`"mine":1`)
}

func TestTopic_Keys(t *testing.T) {
	r := newRig(t, nil)
	for path, topic := range map[string]string{
		"/v1/blog/likes/2026/11/hello":       "blog/likes/2026/11/hello",
		"/v1/blog/likes/a%2Fb":               "blog/likes/a/b",
		"/v1/blog/likes/a%252Fb":             "blog/likes/a%2Fb",
		"/v1/blog/likes/slash/":              "blog/likes/slash",
		"/v1/blog/likes/Cafe%CC%81":          "blog/likes/Café",
		"/v1/blog/likes/with%20space+plus":   "blog/likes/with space+plus",
		`/v1/blog/likes/quote%22back%5Cslsh`: `blog/likes/quote"back\slsh`,
		"/v1/blog/likes/counts":              "blog/likes/counts",
	} {
		if got := r.do("GET", path, "").hasStatus(200).field("topic"); got != topic {
			t.Errorf("%s is %v, want %s", path, got, topic)
		}
	}
}

func TestTopic_SitesLikePaths(t *testing.T) {
	r := newRig(t, nil)
	for _, site := range []string{"topper", "to", "streams", "wsx", "c", "counts2"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if got := r.do(method, "/v1/"+site+"/likes/a/b", "").hasStatus(200).field("topic"); got != site+"/likes/a/b" {
				t.Errorf("%s on %s is of %v", method, site, got)
			}
		}
		r.do("GET", "/v1/top/"+site+"/likes", "").hasStatus(200)
		r.do("OPTIONS", "/v1/"+site+"/likes/a/b", "").hasStatus(204)
	}
}

func TestErrors_Codes(t *testing.T) {
	r := newRig(t, nil)
	long := strings.Repeat("k", 257)
	const likes = "/v1/blog/likes/x"
	for _, row := range []struct {
		method, path, body string
		header             []string
		status             int
		code               tally.Code
	}{
		{"GET", "/v1/blog/likes/" + long, "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/a//b", "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/a/../b", "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/%7Ba%7D", "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/%00", "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/%ff", "", nil, 400, "bad_topic"},
		{"GET", "/v1/blog/likes/", "", nil, 400, "bad_topic"},
		{"GET", "/v1/Blog/likes/x", "", nil, 400, "bad_topic"},
		{"GET", "/v1/admin/likes/x", "", nil, 400, "bad_topic"},
		{"GET", "/v1/counts", "", nil, 400, "bad_topic"},
		{"GET", "/v1/stream", "", nil, 400, "bad_topic"},
		{"POST", "/v1/stream", "{}", nil, 400, "bad_topic"},

		{"POST", likes, `{"visitor":"short"}`, nil, 400, "bad_visitor"},
		{"POST", likes, `{"visitor":7}`, nil, 400, "bad_visitor"},
		{"POST", likes, `{"visitor":""}`, nil, 400, "bad_visitor"},
		{"POST", likes, "", []string{"Tally-Visitor", "né"}, 400, "bad_visitor"},
		{"POST", likes, `{"visitor":"` + ann + `"}`, []string{"Tally-Visitor", bob}, 400, "bad_visitor"},
		{"POST", likes + "?visitor=" + ann, "", nil, 400, "bad_visitor"},
		{"GET", likes, "", []string{"Tally-Visitor", "x"}, 400, "bad_visitor"},
		{"POST", likes, "", []string{"X-Forwarded-For", "1.2.3.4"}, 400, "bad_visitor"},
		{"POST", "/v1/counts", `{"topics":["blog/likes/x"],"visitor":"x"}`, nil, 400, "bad_visitor"},

		{"POST", likes, `{"amount":2}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":-1}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":1.5}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":1e0}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":"1"}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":true}`, nil, 400, "bad_amount"},
		{"POST", likes, `{"amount":99999999999999999999}`, nil, 400, "bad_amount"},
		{"POST", "/v1/blog/claps/x", `{"amount":51}`, nil, 400, "bad_amount"},
		{"POST", "/v1/blog/visitors/x", `{"amount":0}`, nil, 400, "bad_amount"},
		{"DELETE", "/v1/blog/views/x", "", nil, 400, "bad_amount"},
		{"DELETE", likes, `{"amount":1}`, nil, 400, "bad_amount"},
		{"GET", "/v1/top/blog/likes?limit=0", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?limit=101", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?limit=1&limit=2", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?since=1d", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?since=", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?since=24h&since=7d", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/readers?since=24h", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?since=24h", "", nil, 404, "not_found"}, // there is no history
		{"GET", "/v1/top/blog/none?since=24h", "", nil, 404, "unknown_metric"},
		{"GET", "/v1/top/blog/likes?limit=", "", nil, 400, "bad_body"},
		{"GET", "/v1/top/blog/likes?limit=%zz", "", nil, 400, "bad_body"},
		{"GET", "/v1/blog/likes/x?visitor=visitor-1&b=%zz", "", nil, 400, "bad_visitor"},
		{"GET", "/v1/blog/likes/x?a;b&visitor=visitor-1", "", nil, 400, "bad_visitor"},
		{"GET", "/v1/top/blog/likes?limit=x", "", nil, 400, "bad_body"},

		{"POST", likes, `{`, nil, 400, "bad_body"},
		{"POST", likes, `{"amount":1}x`, nil, 400, "bad_body"},
		{"POST", likes, `{"amount":1}{"amount":1}`, nil, 400, "bad_body"},
		{"POST", likes, `null`, nil, 400, "bad_body"},
		{"POST", likes, `[1]`, nil, 400, "bad_body"},
		{"POST", likes, `{"ammount":1}`, nil, 400, "bad_body"},
		{"POST", likes, `{"Amount":1}`, nil, 400, "bad_body"},
		{"POST", likes, "{\"visitor\":\"\xff\"}", nil, 400, "bad_body"},
		{"POST", likes, strings.Repeat("[", 60000), nil, 400, "bad_body"},
		{"POST", "/v1/counts", `{"topics":"x"}`, nil, 400, "bad_body"},
		{"POST", "/v1/counts", `{"topics":[1]}`, nil, 400, "bad_body"},
		{"POST", "/v1/counts", `{"present":[]}`, nil, 400, "bad_body"},
		{"POST", "/v1/counts", "", nil, 400, "bad_body"},
		{"POST", "/v1/stream", `{"topics":[],"visitor":"` + ann + `"}`, nil, 400, "bad_body"},
		{"GET", "/v1/ws", "", nil, 400, "bad_body"},

		{"GET", "/v1/counts?topic=x" + strings.Repeat("&topic=x", 1000), "", nil, 400, "too_many_topics"},
		{"GET", "/v1/stream?topic=x" + strings.Repeat("&topic=x", 1000), "", nil, 400, "too_many_topics"},

		{"GET", likes, "", []string{"Origin", "https://evil.example"}, 403, "origin_not_allowed"},
		{"POST", likes, "", []string{"Origin", "null"}, 403, "origin_not_allowed"},
		{"GET", "/v1/stream?topic=blog/likes/x", "", []string{"Origin", "null"}, 403, "origin_not_allowed"},
		{"POST", likes, "", []string{"Authorization", "Bearer wrong"}, 403, "origin_not_allowed"},

		{"GET", "/v1/nosuch/likes/x", "", nil, 404, "unknown_site"},
		{"GET", "/v1/top/nosuch/likes", "", nil, 404, "unknown_site"},
		{"POST", "/v1/blog/nosuch/x", "", nil, 404, "unknown_metric"},
		{"GET", "/badge/blog/nosuch/x.svg", "", nil, 404, "unknown_metric"},
		{"GET", "/nosuch", "", nil, 404, "not_found"},
		{"GET", "/v1/blog", "", nil, 404, "not_found"},
		{"GET", "/v1/counts/", "", nil, 404, "not_found"},
		{"GET", "/badge/blog/likes/x", "", nil, 404, "not_found"},
		{"GET", "/v1/top/blog/likes/x", "", nil, 404, "not_found"},
		{"POST", "/v1/top/blog/likes/x/y", "", nil, 404, "not_found"},
		{"GET", "/v1/top/blog", "", nil, 404, "not_found"},
		{"GET", "/demo/nosuch.css", "", nil, 404, "not_found"},

		{"PUT", likes, "", nil, 405, "method_not_allowed"},
		{"BREW", likes, "", nil, 405, "method_not_allowed"},
		{"DELETE", "/v1/counts", "", nil, 405, "method_not_allowed"},
		{"POST", "/v1/top/blog/likes", "", nil, 405, "method_not_allowed"},
		{"DELETE", "/v1/top/blog/likes", "", nil, 405, "method_not_allowed"},
		{"POST", "/tally.js", "", nil, 405, "method_not_allowed"},
		{"POST", "/v1/blog/readers/x", "", nil, 405, "read_only_metric"},

		{"POST", likes, `{"visitor":"` + strings.Repeat("v", maxBody) + `"}`, nil, 413, "body_too_large"},
		{"POST", likes, "<a/>", []string{"Content-Type", "application/xml"}, 415, "unsupported_media_type"},
		{"POST", likes, "x", []string{"Content-Type", ";"}, 415, "unsupported_media_type"},
		{"POST", "/v1/counts", "topics=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
	} {
		name := fmt.Sprintf("%s %.60s %.40s %v", row.method, row.path, row.body, row.header)
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			a := r.do(row.method, row.path, row.body, row.header...).hasError(row.status, row.code)
			if row.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestErrors_Messages(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/x", `{"ammount":1}`).contains("ammount")
	r.do("GET", "/v1/blog/likes/x", "", "Origin", "https://new.example").contains("--site blog=https://new.example")
	r.do("GET", "/v1/default/likes/x", "", "Origin", "https://new.example").contains("--allow-origin https://new.example")
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "1.2.3.4").contains("--trusted-proxy")
	a := r.do("GET", "/nosuch", "", "X-Request-Id", "abc-1.2").hasHeader("X-Request-Id", "abc-1.2").contains(`"request_id":"abc-1.2"`)
	a = r.do("GET", "/nosuch", "", "X-Request-Id", "a b").hasStatus(404)
	if id := a.header.Get("X-Request-Id"); id == "a b" || a.field("request_id") != id {
		t.Errorf("request id %q, body %s", id, a.body)
	}
}

func TestBody_ChunkedTooLarge(t *testing.T) {
	r := newRig(t, nil)
	for size, want := range map[int]int{maxBody + 1: 413, maxBody: 400} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", r.public.URL+"/v1/blog/likes/x", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", size))})
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, response.StatusCode, want)
		}
	}
}

func TestCounts_OrderAndErrors(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/a", `{"visitor":"`+ann+`"}`).hasStatus(200)
	const query = "/v1/counts?topic=blog/likes/b&topic=blog/likes/a&topic=bad&topic=nosuch/likes/x&topic=blog/likes/a"
	a := r.do("GET", query, "").hasStatus(200).hasHeader("Cache-Control", "no-cache")
	counts := a.field("counts").([]any)
	if len(counts) != 5 {
		t.Fatalf("%s", a.body)
	}
	for i, want := range []string{"count", "count", "error", "error", "count"} {
		if _, ok := counts[i].(map[string]any)[want]; !ok {
			t.Errorf("place %d has no %s: %v", i, want, counts[i])
		}
	}
	r.do("GET", query, "", "If-None-Match", a.header.Get("Etag")).hasStatus(304)
	r.do("HEAD", query, "").hasStatus(200).hasHeader("Etag", a.header.Get("Etag"))
	r.do("POST", "/v1/counts", `{"topics":["blog/likes/a","blog/likes/b"],"visitor":"`+ann+`"}`).hasStatus(200).
		contains(`"mine":1`).contains(`"mine":0`).hasHeader("Cache-Control", "private, no-store")
	r.do("GET", "/v1/counts?topic=blog/likes/a", "", "Tally-Visitor", ann).hasStatus(200).contains(`"mine":1`)
	r.do("POST", "/v1/counts", `{"topics":[]}`).hasStatus(200).contains(`{"counts":[]}`)
	r.do("GET", "/v1/counts?topic=blog/likes/a&topic=default/likes/x&topic=%ff", "", "Origin", "https://blog.example").hasStatus(200).
		contains(`{"topic":"default/likes/x","error":{"code":"origin_not_allowed"`)
	r.do("GET", "/v1/counts?topic=", "").hasStatus(200).contains(`{"topic":"","error":{"code":"bad_topic"`)
}

func TestTop_OrderAndLimit(t *testing.T) {
	r := newRig(t, nil)
	r.do("GET", "/v1/top/blog/likes", "").hasStatus(200).contains(`{"top":[]}`)
	for i := range 12 {
		for v := range i + 1 {
			r.do("POST", fmt.Sprintf("/v1/blog/likes/p%02d", i), fmt.Sprintf(`{"visitor":"visitor-%d"}`, v)).hasStatus(200)
		}
	}
	processtest.Eventually(t, "the top shows", func() bool {
		return strings.HasPrefix(string(r.do("GET", "/v1/top/blog/likes?limit=1", "").hasStatus(200).body), `{"top":[{"topic":"blog/likes/p11","count":12`)
	})
	a := r.do("GET", "/v1/top/blog/likes", "").hasStatus(200)
	if top := a.field("top").([]any); len(top) != 10 {
		t.Errorf("%d without a limit", len(top))
	}
	r.do("GET", "/v1/top/blog/likes", "", "If-None-Match", a.header.Get("Etag")).hasStatus(304)
}
