package e2e_test

import (
	"net/url"
	"testing"
)

// post sends a form like a browser without JavaScript.
func (c *client) post(topic string, fields url.Values, lines ...string) response {
	c.t.Helper()
	return c.do("POST", "/v1/"+topic, fields.Encode(), append(lines, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html")...)
}

// A form without JavaScript likes and returns to its page.
func TestForm_LikeAndReturn(t *testing.T) {
	t.Parallel()
	s := serve(t, sites...)
	const topic = "blog/likes/formed"
	from := []string{"Origin: " + blogOrigin, "User-Agent: one"}
	page := blogOrigin + "/post?x=1#likes"
	s.post(topic, url.Values{"return": {page}}, from...).wantStatus(303).wantHeader("Location", page).wantHeader("Cache-Control", "no-store")
	s.post(topic, url.Values{"return": {page}, "amount": {"1"}}, from...).wantStatus(303)
	if c := s.read(topic); c.Count != 1 {
		t.Errorf("sent twice by one browser: %+v", c)
	}
	s.post(topic, url.Values{"return": {page}}, "Origin: "+blogOrigin, "User-Agent: two").wantStatus(303)
	if c := s.read(topic); c.Count != 2 {
		t.Errorf("sent by another browser: %+v", c)
	}
	s.post(topic, url.Values{"return": {page}, "amount": {"0"}}, from...).wantStatus(303)
	if c := s.read(topic); c.Count != 1 {
		t.Errorf("taken back: %+v", c)
	}
	// Pages of the service itself name their path.
	s.post("default/likes/own", url.Values{"return": {"/demo/x"}}, "Origin: "+s.url).wantStatus(303).wantHeader("Location", "/demo/x")
	s.post("default/likes/own", url.Values{"return": {s.url + "/demo/x"}}, "Origin: "+s.url).wantStatus(303)
	s.post("default/likes/own", url.Values{"return": {"/"}}, "Origin: null", "Sec-Fetch-Site: same-origin").wantStatus(303)
	s.post("default/claps/own", url.Values{"return": {"/"}, "amount": {"9"}}, "Origin: "+s.url).wantStatus(303)
	if c := s.read("default/claps/own"); c.Count != 9 {
		t.Errorf("9 claps: %+v", c)
	}
}

// Forms cannot count visitors, views or readers, or name a visitor.
func TestForm_VisitorsAndViews(t *testing.T) {
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
	// A form may not name the visitor: it would be the same for everybody.
	s.post("default/likes/x", url.Values{"return": {"/"}, "visitor": {"visitor-1"}}, "Origin: "+s.url).wantStatus(400).wantBody("bad_visitor")
	s.post("default/likes/x", url.Values{"return": {"/"}, "amount": {"7"}}, "Origin: "+s.url).wantStatus(400).wantBody("bad_amount").wantBody(`href="/"`)
}
