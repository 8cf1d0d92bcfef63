package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

const blogOrigin = "https://blog.example.com"

// sites are flags for a site of each kind.
var sites = []string{
	"--site", "blog=" + blogOrigin + ",http://localhost:3000", "--site", "pages=https://*.pages.example", "--site", "wiki=*", "--site", "shut",
	"--allow-origin", "https://app.example",
}

// The ETag of a topic is its version.
func TestETag_Version(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const path = "/v1/default/likes/tagged"
	c := s.like("default/likes/tagged", "visitor-1", "1")
	tag := fmt.Sprintf(`"%d"`, c.Version)
	s.get(path).wantStatus(200).wantHeader("ETag", tag).wantHeader("Cache-Control", "no-cache").wantListed("Vary", "Origin")
	for _, match := range []string{tag, "W/" + tag, `"1", ` + tag, "*"} {
		if a := s.get(path, "If-None-Match: "+match).wantStatus(304).wantHeader("ETag", tag).wantHeader("Cache-Control", "no-cache").wantListed("Vary", "Origin"); a.body != "" {
			t.Errorf("304 with a body: %s", a.body)
		}
	}
	s.get(path, `If-None-Match: "1"`).wantStatus(200)
	s.like("default/likes/tagged", "visitor-2", "1")
	s.get(path, "If-None-Match: "+tag).wantStatus(200)
	// Responses with a visitor are private, and responses to writes are not stored.
	s.get(path, "If-None-Match: *", "Tally-Visitor: visitor-1").wantStatus(200).wantHeader("Cache-Control", "private, no-store").wantHeader("ETag", "")
	s.do("POST", path, "", "Tally-Visitor: visitor-1").wantStatus(200).wantHeader("Cache-Control", "private, no-store").wantHeader("ETag", "")
	s.do("DELETE", path, "", "Tally-Visitor: visitor-1").wantStatus(200).wantHeader("Cache-Control", "private, no-store")
}

// A site can be used from its origins only.
func TestOrigins_Sites(t *testing.T) {
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
		for _, a := range []response{
			s.get("/v1/"+topic, lines...), s.do("POST", "/v1/"+topic, `{"visitor":"visitor-1"}`, lines...), s.do("DELETE", "/v1/"+topic, `{"visitor":"visitor-1"}`, lines...),
			s.get("/v1/top/"+c.site+"/likes", lines...),
		} {
			if c.allowed {
				a.wantStatus(200)
			} else {
				a.wantProblem(403, "origin_not_allowed")
			}
			if c.origin != "" {
				a.wantHeader("Access-Control-Allow-Origin", c.origin)
			}
			a.wantListed("Vary", "Origin").wantHeader("Access-Control-Allow-Credentials", "")
		}
		// Lists check each topic. An origin without any site is refused before.
		if list := s.get("/v1/counts?topic="+topic, lines...); list.status == 200 {
			if got := list.counts(); (got[0].Error == nil) != c.allowed {
				t.Errorf("%+v: %s", c, list.body)
			}
		} else if c.allowed {
			t.Errorf("%+v: %d %s", c, list.status, list.body)
		}
	}
}

// Streams and sockets check the origin of each topic.
func TestOrigins_StreamsAndSockets(t *testing.T) {
	t.Parallel()
	s := serve(t, "--site", "blog="+blogOrigin)
	s.get("/v1/stream?topic=blog/likes/x", "Origin: "+stranger, "Accept: text/event-stream").wantProblem(403, "origin_not_allowed")
	s.do("POST", "/v1/stream", `{"topics":["blog/likes/x"]}`, "Origin: "+stranger).wantProblem(403, "origin_not_allowed")
	s.get("/v1/ws?topic=blog/likes/x", append(upgrade, "Origin: "+stranger)...).wantProblem(403, "origin_not_allowed")
	for _, v := range []*viewer{s.watch("?topic=blog/likes/x&topic=default/likes/x", "Origin: "+blogOrigin), s.dial("?topic=blog/likes/x&topic=default/likes/x", "Origin: "+blogOrigin)} {
		v.awaitEvents("live", 1)
		v.awaitCount("blog/likes/x", 0)
		v.awaitFrame("the refusal of the other site", func(f frame) bool {
			return f.Topic == "default/likes/x" && f.Error != nil && f.Error.Code == "origin_not_allowed"
		})
	}
	v := s.dial("", "Origin: "+blogOrigin)
	v.send(`{"subscribe":["default/likes/x"]}`)
	v.awaitFrame("the refusal of a later topic", func(f frame) bool { return f.Error != nil && f.Error.Code == "origin_not_allowed" })
}

// The demo can be turned off.
func TestDemo_Off(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.get("/").wantStatus(200).wantBody("tally.js").wantBody("<form")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.header.Get("Content-Security-Policy"), "unsafe-inline") {
		t.Errorf("%s, policy %q", a.header.Get("Content-Type"), a.header.Get("Content-Security-Policy"))
	}
	off := serve(t, "--demo=false")
	off.get("/").wantProblem(404, "not_found")
	off.get("/tally.js").wantStatus(200)
}

// Behind a trusted proxy the service's own origin is the proxy's.
func TestOrigins_TrustedProxy(t *testing.T) {
	t.Parallel()
	trusting, other := serve(t, "--trusted-proxy", "127.0.0.0/8"), serve(t)
	lines := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: tally.example", "X-Forwarded-Proto: https"}
	trusting.get("/v1/default/likes/x", append(lines, "Origin: https://tally.example")...).wantStatus(200)
	trusting.get("/v1/default/likes/x", append(lines, "Origin: http://tally.example")...).wantProblem(403, "origin_not_allowed")
	other.get("/v1/default/likes/x", append(lines, "Origin: https://tally.example")...).wantProblem(403, "origin_not_allowed")
	// A proxy that forwards the host needs no trust.
	other.get("/v1/default/likes/x", "Host: tally.example", "Origin: https://tally.example").wantStatus(200)
	other.get("/v1/default/likes/x", "Host: tally.example:8443", "Origin: https://tally.example").wantProblem(403, "origin_not_allowed")
}
