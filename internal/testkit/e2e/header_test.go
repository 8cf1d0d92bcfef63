package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

const blogOrigin = "https://blog.example.com"

// sites are flags that declare a site of each kind.
var sites = []string{
	"--site", "blog=" + blogOrigin + ",http://localhost:3000", "--site", "pages=https://*.pages.example", "--site", "wiki=*", "--site", "shut",
	"--allow-origin", "https://app.example",
}

func TestTheETagOfATopicIsItsVersion(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const path = "/v1/default/likes/tagged"
	c := s.like("default/likes/tagged", "visitor-1", "1")
	tag := fmt.Sprintf(`"%d"`, c.Version)
	s.get(path).is(200).has("ETag", tag).has("Cache-Control", "no-cache").names("Vary", "Origin")
	for _, match := range []string{tag, "W/" + tag, `"1", ` + tag, "*"} {
		if a := s.get(path, "If-None-Match: "+match).is(304).has("ETag", tag).has("Cache-Control", "no-cache").names("Vary", "Origin"); a.body != "" {
			t.Errorf("304 with a body: %s", a.body)
		}
	}
	s.get(path, `If-None-Match: "1"`).is(200)
	s.like("default/likes/tagged", "visitor-2", "1")
	s.get(path, "If-None-Match: "+tag).is(200)
	// An answer with a visitor is that visitor's, and writes are nobody's to keep.
	s.get(path, "If-None-Match: *", "Tally-Visitor: visitor-1").is(200).has("Cache-Control", "private, no-store").has("ETag", "")
	s.do("POST", path, "", "Tally-Visitor: visitor-1").is(200).has("Cache-Control", "private, no-store").has("ETag", "")
	s.do("DELETE", path, "", "Tally-Visitor: visitor-1").is(200).has("Cache-Control", "private, no-store")
}

func TestOriginsMayUseTheSitesThatNameThem(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	own := s.url
	for _, c := range []struct {
		site, origin string
		fetchSite    string
		allowed      bool
	}{
		{"default", "", "", true}, {"default", own, "", true}, {"default", "https://app.example", "", true}, {"default", stranger, "", false},
		{"default", blogOrigin, "", false}, {"default", strings.Replace(own, "http:", "https:", 1), "", true}, // TLS may end in front
		{"blog", blogOrigin, "", true}, {"blog", "http://localhost:3000", "", true}, {"blog", "http://localhost:3001", "", false},
		{"blog", "http://blog.example.com", "", false}, {"blog", "https://blog.example.com.evil.example", "", false}, {"blog", "https://x.blog.example.com", "", false},
		{"blog", own, "", true}, {"blog", "https://app.example", "", false},
		{"pages", "https://a.pages.example", "", true}, {"pages", "https://a.b.pages.example", "", true}, {"pages", "https://pages.example", "", false},
		{"pages", "http://a.pages.example", "", false}, {"pages", "https://a.pages.example:8443", "", false}, {"pages", "https://evilpages.example", "", false},
		{"wiki", stranger, "", true}, {"wiki", "null", "", false}, {"wiki", "null", "same-origin", true}, {"wiki", "null", "cross-site", false},
		{"shut", stranger, "", false}, {"shut", "", "", true}, {"default", "null", "", false}, {"default", "null", "same-origin", true},
		{"default", "not an origin", "", false},
	} {
		lines := []string{}
		if c.origin != "" {
			lines = append(lines, "Origin: "+c.origin)
		}
		if c.fetchSite != "" {
			lines = append(lines, "Sec-Fetch-Site: "+c.fetchSite)
		}
		topic := c.site + "/likes/x"
		for _, a := range []answer{
			s.get("/v1/"+topic, lines...), s.do("POST", "/v1/"+topic, `{"visitor":"visitor-1"}`, lines...), s.do("DELETE", "/v1/"+topic, `{"visitor":"visitor-1"}`, lines...),
			s.get("/v1/top/"+c.site+"/likes", lines...),
		} {
			if c.allowed {
				a.is(200)
			} else {
				a.refused(403, "origin_not_allowed")
			}
			if c.origin != "" {
				a.has("Access-Control-Allow-Origin", c.origin)
			}
			a.names("Vary", "Origin").has("Access-Control-Allow-Credentials", "")
		}
		// In lists and streams each topic is judged in its place; an origin that may
		// use no site at all is refused before.
		if list := s.get("/v1/counts?topic="+topic, lines...); list.status == 200 {
			if got := list.counts(); (got[0].Error == nil) != c.allowed {
				t.Errorf("%+v: %s", c, list.body)
			}
		} else if c.allowed {
			t.Errorf("%+v: %d %s", c, list.status, list.body)
		}
	}
}

func TestStreamsAndSocketsAskForTheOriginToo(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "blog="+blogOrigin)
	s.get("/v1/stream?topic=blog/likes/x", "Origin: "+stranger, "Accept: text/event-stream").refused(403, "origin_not_allowed")
	s.do("POST", "/v1/stream", `{"topics":["blog/likes/x"]}`, "Origin: "+stranger).refused(403, "origin_not_allowed")
	s.get("/v1/ws?topic=blog/likes/x", "Origin: "+stranger, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==").refused(403, "origin_not_allowed")
	for _, v := range []*viewer{s.watch("?topic=blog/likes/x&topic=default/likes/x", "Origin: "+blogOrigin), s.dial("?topic=blog/likes/x&topic=default/likes/x", "Origin: "+blogOrigin)} {
		v.sawEvents("live", 1)
		v.sawCount("blog/likes/x", 0)
		v.saw("the refusal of the other site", func(f frame) bool {
			return f.Topic == "default/likes/x" && f.Error != nil && f.Error.Code == "origin_not_allowed"
		})
	}
	v := s.dial("", "Origin: "+blogOrigin)
	v.say(`{"subscribe":["default/likes/x"]}`)
	v.saw("the refusal of a later topic", func(f frame) bool { return f.Error != nil && f.Error.Code == "origin_not_allowed" })
}

func TestPreflightsAreGoodForTwoHours(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	for _, path := range []string{"/v1/blog/likes/x", "/v1/blog/likes/a/b", "/v1/counts", "/v1/stream", "/v1/top/blog/likes"} {
		for _, method := range []string{"DELETE", "POST", "GET"} {
			a := s.do("OPTIONS", path, "", "Origin: "+blogOrigin, "Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: content-type,tally-visitor").is(204)
			a.has("Access-Control-Allow-Origin", blogOrigin).has("Access-Control-Max-Age", "7200").names("Access-Control-Allow-Methods", "GET", "POST", "DELETE").
				names("Access-Control-Allow-Headers", "content-type", "tally-visitor").names("Vary", "Origin")
		}
	}
}

func TestTheScriptMayBeLoadedFromEverywhere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.get("/tally.js", "Origin: "+stranger).is(200).has("Access-Control-Allow-Origin", "*").has("Cross-Origin-Resource-Policy", "cross-origin").
		has("Content-Type", "text/javascript; charset=utf-8").says("tally-like")
	if !strings.Contains(a.header.Get("Cache-Control"), "max-age=3600") || !strings.Contains(a.header.Get("Cache-Control"), "must-revalidate") {
		t.Errorf("Cache-Control: %s", a.header.Get("Cache-Control"))
	}
	s.get("/tally.js", "If-None-Match: "+a.header.Get("ETag")).is(304)
	packed := s.get("/tally.js", "Accept-Encoding: gzip").is(200).has("Content-Encoding", "gzip").names("Vary", "Accept-Encoding")
	if len(packed.body) >= len(a.body) || packed.header.Get("ETag") == a.header.Get("ETag") {
		t.Errorf("packed %d of %d bytes, ETag %s and %s", len(packed.body), len(a.body), packed.header.Get("ETag"), a.header.Get("ETag"))
	}
	s.get("/tally.js", "Accept-Encoding: gzip", "If-None-Match: "+packed.header.Get("ETag")).is(304)
}

func TestTheDemoIsAPageThatCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.get("/").is(200).says("tally.js").says("<form")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.header.Get("Content-Security-Policy"), "unsafe-inline") {
		t.Errorf("%s, policy %q", a.header.Get("Content-Type"), a.header.Get("Content-Security-Policy"))
	}
	off := serve(t, "--demo=false")
	off.get("/").refused(404, "not_found")
	off.get("/tally.js").is(200)
}

func TestBehindATrustedProxyTheServicesOwnOriginIsThatOfTheProxy(t *testing.T) {
	t.Parallel()
	trusting, other := serve(t, "--trusted-proxy", "127.0.0.0/8"), serve(t)
	lines := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: tally.example", "X-Forwarded-Proto: https"}
	trusting.get("/v1/default/likes/x", append(lines, "Origin: https://tally.example")...).is(200)
	trusting.get("/v1/default/likes/x", append(lines, "Origin: http://tally.example")...).refused(403, "origin_not_allowed")
	other.get("/v1/default/likes/x", append(lines, "Origin: https://tally.example")...).refused(403, "origin_not_allowed")
	// A proxy that passes the host on needs no trust for that.
	other.get("/v1/default/likes/x", "Host: tally.example", "Origin: https://tally.example").is(200)
	other.get("/v1/default/likes/x", "Host: tally.example:8443", "Origin: https://tally.example").refused(403, "origin_not_allowed")
}
