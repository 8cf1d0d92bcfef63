package e2e_test

import (
	"net/url"
	"strings"
	"testing"
)

// post sends a form as a browser without JavaScript does.
func (c *client) post(topic string, fields url.Values, lines ...string) answer {
	c.t.Helper()
	return c.do("POST", "/v1/"+topic, fields.Encode(), append(lines, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html")...)
}

func TestAFormLikesAndGoesBackToItsPage(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	const topic = "blog/likes/formed"
	from := []string{"Origin: " + blogOrigin, "User-Agent: one"}
	page := blogOrigin + "/post?x=1#likes"
	s.post(topic, url.Values{"return": {page}}, from...).is(303).has("Location", page).has("Cache-Control", "no-store")
	s.post(topic, url.Values{"return": {page}, "amount": {"1"}}, from...).is(303)
	if c := s.read(topic); c.Count != 1 {
		t.Errorf("sent twice by one browser: %+v", c)
	}
	s.post(topic, url.Values{"return": {page}}, "Origin: "+blogOrigin, "User-Agent: two").is(303)
	if c := s.read(topic); c.Count != 2 {
		t.Errorf("sent by another browser: %+v", c)
	}
	s.post(topic, url.Values{"return": {page}, "amount": {"0"}}, from...).is(303)
	if c := s.read(topic); c.Count != 1 {
		t.Errorf("taken back: %+v", c)
	}
	// Pages of the service itself name their path.
	s.post("default/likes/own", url.Values{"return": {"/demo/x"}}, "Origin: "+s.url).is(303).has("Location", "/demo/x")
	s.post("default/likes/own", url.Values{"return": {s.url + "/demo/x"}}, "Origin: "+s.url).is(303)
	s.post("default/likes/own", url.Values{"return": {"/"}}, "Origin: null", "Sec-Fetch-Site: same-origin").is(303)
	s.post("default/claps/own", url.Values{"return": {"/"}, "amount": {"9"}}, "Origin: "+s.url).is(303)
	if c := s.read("default/claps/own"); c.Count != 9 {
		t.Errorf("9 claps: %+v", c)
	}
}

func TestAFormGoesBackToItsOwnOriginAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	for _, back := range []string{
		"https://evil.example/", "https://blog.example.com.evil.example/", "https://blog.example.com@evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example",
		"javascript:alert(1)", "data:text/html,x", "/path", "https:evil.example", "https://blog.example.com:8443/", "http://blog.example.com/", "http://localhost:3000/",
		" https://blog.example.com/", "https://blog.example.com/\r\nSet-Cookie: x=1", "", "https://", strings.Repeat("x", 5000),
	} {
		a := s.post("blog/likes/back", url.Values{"return": {back}}, "Origin: "+blogOrigin).is(400).has("Location", "").says("bad_body")
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%q: %s", back, a.header.Get("Content-Type"))
		}
	}
	s.post("blog/likes/back", url.Values{}, "Origin: "+blogOrigin).is(400)
	if c := s.read("blog/likes/back"); c.Version != 0 {
		t.Errorf("refused, and yet: %+v", c)
	}
}

func TestAFormOfAStrangerIsRefusedWithAPage(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	for _, lines := range [][]string{{"Origin: " + stranger}, {"Origin: null"}, {"Origin: null", "Sec-Fetch-Site: cross-site"}} {
		s.post("blog/likes/stranger", url.Values{"return": {stranger + "/"}}, lines...).is(403).says("origin_not_allowed").says("<!doctype html>")
	}
	if c := s.read("blog/likes/stranger"); c.Version != 0 {
		t.Errorf("refused, and yet: %+v", c)
	}
}

func TestFormsNeverCountVisitorsOrViews(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, metric := range []string{"visitors", "views", "readers"} {
		if a := s.post("default/"+metric+"/x", url.Values{"return": {"/"}}, "Origin: "+s.url); a.status < 400 {
			t.Errorf("%s: %d", metric, a.status)
		}
		if c := s.read("default/" + metric + "/x"); c.Count != 0 {
			t.Errorf("%+v", c)
		}
	}
	// Nor may a form say who sends it: it would be the same for everybody.
	s.post("default/likes/x", url.Values{"return": {"/"}, "visitor": {"visitor-1"}}, "Origin: "+s.url).is(400).says("bad_visitor")
	s.post("default/likes/x", url.Values{"return": {"/"}, "amount": {"7"}}, "Origin: "+s.url).is(400).says("bad_amount").says(`href="/"`)
}
