package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

// A page of another origin that may not use the site can still read why.
const stranger = "https://evil.example"

func TestEachCodeIsAProblemThatIsNeverCachedAndReadableAcrossOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "wiki=*", "--site", "blog=https://blog.example.com", "--max-viewers", "1")
	full := s.watch("?topic=wiki/likes/x")
	full.sawEvents("live", 1)
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
		a := s.do(c.method, c.path, c.body, append(c.lines, "Origin: "+stranger)...).refused(c.status, c.code)
		a.has("Access-Control-Allow-Origin", stranger).names("Access-Control-Expose-Headers", "Retry-After", "ETag").names("Vary", "Origin").has("ETag", "")
		if c.status == 405 {
			a.names("Allow", "GET")
		}
	}
	// None of these counted anything.
	if c := s.read("wiki/likes/x"); c.Version != 0 {
		t.Errorf("refused, and yet: %+v", c)
	}
}

func TestABodyOfExactly64KiBIsRead(t *testing.T) {
	t.Parallel()
	s := serve(t)
	body := `{"visitor":"visitor-1"}`
	if c := s.do("POST", "/v1/default/likes/x", body+strings.Repeat(" ", 64<<10-len(body))).count(); c.Count != 1 {
		t.Errorf("%+v", c)
	}
	s.do("POST", "/v1/default/likes/x", body+strings.Repeat(" ", 64<<10-len(body)+1)).refused(413, "body_too_large")
}

func TestARefusedOriginIsToldWhichFlagWouldAllowIt(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "blog=https://blog.example.com")
	s.get("/v1/default/likes/x", "Origin: "+stranger).refused(403, "origin_not_allowed").says("--allow-origin " + stranger)
	s.get("/v1/blog/likes/x", "Origin: "+stranger).refused(403, "origin_not_allowed").says("--site blog=" + stranger)
}

func TestAStoreThatWasNeverReachedIsUnavailable(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := nobody.Addr().String()
	nobody.Close()
	s := begin(t, nil, "--store", "redis://:pass-word-in-url@"+away+"/0")
	for _, c := range [][3]string{
		{"POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`}, {"POST", "/v1/default/likes/x", ""}, {"GET", "/v1/default/likes/x", ""},
		{"POST", "/v1/counts", `{"topics":["default/likes/x"]}`}, {"GET", "/v1/top/default/likes", ""}, {"GET", "/badge/default/likes/x.svg", ""},
	} {
		s.do(c[0], c[1], c[2]).refused(503, "store_unavailable")
	}
	for _, listener := range []*client{s.client, s.operator} {
		listener.get("/healthz").is(200)
		listener.get("/readyz").is(503).says("starting")
	}
	// Who watches is told so and waits.
	v := s.watch("?topic=default/likes/x")
	v.sawEvents("stale", 1)
	if seen := v.seen(); len(seen) != 1 {
		t.Errorf("without a store a viewer was sent %v", v.transcript())
	}
	if strings.Contains(s.Log.String(), "pass-word-in-url") {
		t.Error("the password was logged")
	}
}

// Whoever reads HTML gets a page instead of a document.
func TestErrorsAreASmallPageForWhoeverAcceptsHTML(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for path, code := range map[string]string{"/nothing": "not_found", "/v1/nowhere/likes/x": "unknown_site", "/v1/default/likes/%3Cscript%3E//": "bad_topic"} {
		a := s.get(path, "Accept: text/html,application/xhtml+xml,*/*;q=0.8").says(code).says("<!doctype html>").has("Cache-Control", "no-store").names("Vary", "Origin", "Accept")
		if a.status < 400 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d %s %s", path, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
}

func TestTheOpenAPIDocumentNamesEveryCall(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.get("/openapi.yaml").is(200).has("Access-Control-Allow-Origin", "*")
	for _, call := range []string{"openapi: 3.1", "  /v1/{site}/{metric}/{key}:", "  /v1/counts:", "  /v1/stream:", "  /v1/ws:", "  /v1/top/{site}/{metric}:",
		"  /badge/{site}/{metric}/{key}.svg:", "  /tally.js:", "  /openapi.yaml:", "  /healthz:", "  /readyz:"} {
		a.says(call)
	}
	for _, code := range []string{"bad_topic", "bad_visitor", "bad_amount", "bad_body", "too_many_topics", "origin_not_allowed", "unknown_site", "unknown_metric", "not_found",
		"method_not_allowed", "read_only_metric", "body_too_large", "unsupported_media_type", "rate_limited", "store_unavailable", "too_many_viewers", "internal"} {
		a.says(code)
	}
	if a.header.Get("ETag") == "" {
		t.Error("no ETag")
	}
	s.get("/openapi.yaml", "If-None-Match: "+a.header.Get("ETag")).is(304)
	if !strings.Contains(fmt.Sprint(a.header["Content-Type"]), "yaml") {
		t.Error(a.header["Content-Type"])
	}
}
