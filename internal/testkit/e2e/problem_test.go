package e2e_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// stranger is an origin that may use no site but wiki. A page of it can read the reason.
const stranger = "https://evil.example"

// Each error is a problem document that is not cached and that other origins can read.
func TestErrors_EveryCode(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "wiki=*", "--site", "blog=https://blog.example.com", "--max-viewers", "1")
	full := s.watch("?topic=wiki/likes/x")
	full.awaitEvents("live", 1)
	many, _ := json.Marshal(map[string]any{"topics": make([]string, 1001)})
	big := `{"visitor":"` + strings.Repeat("v", 64<<10) + `"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		lines              []string
	}{
		{"GET", "/v1/wiki/likes/a//b", "", 400, "bad_topic", nil},
		{"GET", "/v1/wiki/likes/", "", 400, "bad_topic", nil},
		{"GET", "/v1/UPPER/likes/x", "", 400, "bad_topic", nil},
		{"POST", "/v1/wiki/likes/%FF", "", 400, "bad_topic", nil},
		{"GET", "/v1/counts", "", 400, "bad_topic", nil},
		{"GET", "/v1/stream", "", 400, "bad_topic", nil},
		{"GET", "/v1/wiki/likes/x", "", 400, "bad_visitor", []string{"Tally-Visitor: short"}},
		{"GET", "/v1/wiki/likes/x?visitor=visitor-1", "", 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"visitor":"with space"}`, 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"visitor":""}`, 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"visitor":7}`, 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"visitor":"` + strings.Repeat("v", 65) + `"}`, 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"visitor":"visitor-1"}`, 400, "bad_visitor", []string{"Tally-Visitor: visitor-2"}},
		{"POST", "/v1/counts", `{"topics":["wiki/likes/x"],"visitor":"é"}`, 400, "bad_visitor", nil},
		{"POST", "/v1/wiki/likes/x", `{"amount":2}`, 400, "bad_amount", nil},
		{"POST", "/v1/wiki/likes/x", `{"amount":1.5}`, 400, "bad_amount", nil},
		{"POST", "/v1/wiki/likes/x", `{"amount":"1"}`, 400, "bad_amount", nil},
		{"POST", "/v1/wiki/likes/x", `{"amount":99999999999999999999}`, 400, "bad_amount", nil},
		{"DELETE", "/v1/wiki/likes/x", `{"amount":1}`, 400, "bad_amount", nil},
		{"POST", "/v1/wiki/likes/x", `{`, 400, "bad_body", nil},
		{"POST", "/v1/wiki/likes/x", `[]`, 400, "bad_body", nil},
		{"POST", "/v1/wiki/likes/x", `{"likes":1}`, 400, "bad_body", nil},
		{"POST", "/v1/wiki/likes/x", `{} {}`, 400, "bad_body", nil},
		{"POST", "/v1/wiki/likes/x", "{\"visitor\":\"\xff\"}", 400, "bad_body", nil},
		{"POST", "/v1/wiki/likes/x", strings.Repeat("[", 60000), 400, "bad_body", nil},
		{"POST", "/v1/counts", `{"topics":"wiki/likes/x"}`, 400, "bad_body", nil},
		{"POST", "/v1/counts", ``, 400, "bad_body", nil},
		{"POST", "/v1/stream", `{"topics":[1]}`, 400, "bad_body", nil},
		{"GET", "/v1/ws", "", 400, "bad_body", nil},
		{"POST", "/v1/counts", string(many), 400, "too_many_topics", nil},
		{"GET", "/v1/counts?" + strings.Repeat("topic=x&", 1001), "", 400, "too_many_topics", nil},
		{"GET", "/v1/stream?" + strings.Repeat("present=x&", 1001), "", 400, "too_many_topics", nil},
		{"GET", "/v1/blog/likes/x", "", 403, "origin_not_allowed", nil},
		{"POST", "/v1/blog/likes/x", "", 403, "origin_not_allowed", nil},
		{"GET", "/v1/nowhere/likes/x", "", 404, "unknown_site", nil},
		{"POST", "/v1/nowhere/likes/x", "", 404, "unknown_site", nil},
		{"GET", "/v1/wiki/cheers/x", "", 404, "unknown_metric", nil},
		{"GET", "/nothing", "", 404, "not_found", nil},
		{"GET", "/v1", "", 404, "not_found", nil},
		{"GET", "/v1/wiki/likes", "", 404, "not_found", nil},
		{"GET", "/v1/top/wiki/likes/x", "", 404, "not_found", nil},
		{"GET", "/metrics", "", 404, "not_found", nil},
		{"GET", "/debug/pprof/", "", 404, "not_found", nil},
		{"PUT", "/v1/wiki/likes/x", "", 405, "method_not_allowed", nil},
		{"PATCH", "/v1/counts", "", 405, "method_not_allowed", nil},
		{"DELETE", "/v1/stream", "", 405, "method_not_allowed", nil},
		{"POST", "/v1/ws", "", 405, "method_not_allowed", nil},
		{"POST", "/v1/top/wiki/likes", "", 405, "method_not_allowed", nil},
		{"POST", "/badge/wiki/likes/x.svg", "", 405, "method_not_allowed", nil},
		{"DELETE", "/tally.js", "", 405, "method_not_allowed", nil},
		{"POST", "/v1/wiki/readers/x", "", 405, "read_only_metric", nil},
		{"DELETE", "/v1/wiki/readers/x", "", 405, "read_only_metric", nil},
		{"POST", "/v1/wiki/likes/x", big, 413, "body_too_large", nil},
		{"POST", "/v1/counts", big, 413, "body_too_large", nil},
		{"POST", "/v1/stream", big, 413, "body_too_large", nil},
		{"POST", "/v1/wiki/likes/x", "<x/>", 415, "unsupported_media_type", []string{"Content-Type: application/xml"}},
		{"POST", "/v1/wiki/likes/x", "x", 415, "unsupported_media_type", []string{"Content-Type: multipart/form-data; boundary=x"}},
		{"POST", "/v1/counts", "topics=x", 415, "unsupported_media_type", []string{"Content-Type: application/x-www-form-urlencoded"}},
		{"GET", "/v1/stream?topic=wiki/likes/x", "", 503, "too_many_viewers", nil},
		{"POST", "/v1/stream", `{"topics":["wiki/likes/x"]}`, 503, "too_many_viewers", nil},
	} {
		a := s.do(c.method, c.path, c.body, append(c.lines, "Origin: "+stranger)...).wantProblem(c.status, c.code)
		a.wantHeader("Access-Control-Allow-Origin", stranger).wantListed("Access-Control-Expose-Headers", "Retry-After", "ETag").wantListed("Vary", "Origin").wantHeader("ETag", "")
		if c.status == 405 {
			a.wantListed("Allow", "GET")
		}
	}
	if c := s.read("wiki/likes/x"); c.Version != 0 {
		t.Errorf("a refused request changed the topic: %+v", c)
	}
}

// A body may have 64 KiB.
func TestBody_Limit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	body := `{"visitor":"visitor-1"}`
	if c := s.do("POST", "/v1/default/likes/x", body+strings.Repeat(" ", 64<<10-len(body))).count(); c.Count != 1 {
		t.Errorf("%+v", c)
	}
	s.do("POST", "/v1/default/likes/x", body+strings.Repeat(" ", 64<<10-len(body)+1)).wantProblem(413, "body_too_large")
}

// The refusal of an origin names the flag that allows it.
func TestErrors_OriginNamesFlag(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "blog=https://blog.example.com")
	s.get("/v1/default/likes/x", "Origin: "+stranger).wantProblem(403, "origin_not_allowed").wantBody("--allow-origin " + stranger)
	s.get("/v1/blog/likes/x", "Origin: "+stranger).wantProblem(403, "origin_not_allowed").wantBody("--site blog=" + stranger)
}

// Without a store the instance starts, answers 503, and sends stale to viewers.
func TestStore_NeverReached(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := closed.Addr().String()
	closed.Close()
	s := startWith(t, nil, "--store", "redis://:pass-word-in-url@"+away+"/0")
	for _, c := range [][3]string{
		{"POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`}, {"POST", "/v1/default/likes/x", ""}, {"GET", "/v1/default/likes/x", ""},
		{"POST", "/v1/counts", `{"topics":["default/likes/x"]}`}, {"GET", "/v1/top/default/likes", ""}, {"GET", "/badge/default/likes/x.svg", ""},
	} {
		s.do(c[0], c[1], c[2]).wantProblem(503, "store_unavailable")
	}
	for _, listener := range []*client{s.client, s.operator} {
		listener.get("/healthz").wantStatus(200)
		listener.get("/readyz").wantStatus(503).wantBody("starting")
	}
	v := s.watch("?topic=default/likes/x")
	v.awaitEvents("stale", 1)
	if seen := v.received(); len(seen) != 1 {
		t.Errorf("without a store a viewer received %v", v.transcript())
	}
	if strings.Contains(s.Log.String(), "pass-word-in-url") {
		t.Error("the password was logged")
	}
}

// Clients that accept HTML receive errors as a page.
func TestErrors_PagesForBrowsers(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for path, code := range map[string]string{"/nothing": "not_found", "/v1/nowhere/likes/x": "unknown_site", "/v1/default/likes/%3Cscript%3E//": "bad_topic"} {
		a := s.get(path, "Accept: text/html,application/xhtml+xml,*/*;q=0.8").wantBody(code).wantBody("<!doctype html>").wantHeader("Cache-Control", "no-store").wantListed("Vary", "Origin", "Accept")
		if a.status < 400 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d %s %s", path, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
}
