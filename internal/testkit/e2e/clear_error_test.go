package e2e_test

import (
	"strings"
	"testing"
)

const browserAccepts = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// A browser gets a page, whatever part of the service refuses.
func TestErrors_AdminPagesForBrowsers(t *testing.T) {
	t.Parallel()
	without, with := serve(t), serve(t, "--admin-token", adminToken)
	for _, c := range []struct {
		s      *service
		path   string
		status int
		says   string
	}{
		{without, "/admin", 404, "--admin-token"}, {without, "/admin/", 404, "--admin-token"}, {without, "/admin/admin.js", 404, "--admin-token"},
		{without, "/admin/v1/topics", 404, "--admin-token"}, {with, "/admin/nothing", 404, "nothing"}, {with, "/admin/v1/topics", 401, "admin token"},
	} {
		a := c.s.get(c.path, browserAccepts).is(c.status).says("<h1>").says(c.says).has("Content-Type", "text/html; charset=utf-8").names("Vary", "Accept")
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", c.path, policy)
		}
		problem := c.s.get(c.path).is(c.status)
		problem.has("Content-Type", "application/problem+json")
	}
	with.get("/admin/", browserAccepts).is(200)
}

// What curl -d sends is called a form, and the error says how JSON is sent.
func TestErrors_JSONSentAsForm(t *testing.T) {
	t.Parallel()
	s := serve(t, "--admin-token", adminToken)
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, body := range []string{`{"visitor":"visitor-1"}`, " \n{\"amount\":1}", `{}`, `[1]`, `{"a":"b&c=d;e%"}`} {
		s.do("POST", "/v1/default/likes/x", body, form).refused(400, "bad_body").says("Content-Type: application/json").says("curl --json")
	}
	s.do("POST", "/v1/counts", `{"topics":["default/likes/x"]}`, form).refused(415, "unsupported_media_type").says("application/json").says("curl --json")
	s.do("POST", "/v1/stream", `{"topics":["default/likes/x"]}`, form).refused(415, "unsupported_media_type").says("application/json").says("curl --json")
	s.do("POST", "/admin/v1/reset", `{"topic":"default/likes/x"}`, form, "Authorization: Bearer "+adminToken).refused(415, "unsupported_media_type").says("application/json").says("curl --json")
	if c := s.read("default/likes/x"); c.Version != 0 {
		t.Errorf("something was counted: %+v", c)
	}
}
