package e2e_test

import (
	"strings"
	"testing"
)

const browserAccepts = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// Browsers receive errors below /admin as a page.
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
		a := c.s.get(c.path, browserAccepts).wantStatus(c.status).wantBody("<h1>").wantBody(c.says).wantHeader("Content-Type", "text/html; charset=utf-8").wantListed("Vary", "Accept")
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", c.path, policy)
		}
		problem := c.s.get(c.path).wantStatus(c.status)
		problem.wantHeader("Content-Type", "application/problem+json")
	}
	with.get("/admin/", browserAccepts).wantStatus(200)
}

// JSON that curl -d labels as a form is refused with an explanation.
func TestErrors_JSONSentAsForm(t *testing.T) {
	t.Parallel()
	s := serve(t, "--admin-token", adminToken)
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, body := range []string{`{"visitor":"visitor-1"}`, " \n{\"amount\":1}", `{}`, `[1]`, `{"a":"b&c=d;e%"}`} {
		s.do("POST", "/v1/default/likes/x", body, form).wantProblem(400, "bad_body").wantBody("Content-Type: application/json").wantBody("curl --json")
	}
	s.do("POST", "/v1/counts", `{"topics":["default/likes/x"]}`, form).wantProblem(415, "unsupported_media_type").wantBody("application/json").wantBody("curl --json")
	s.do("POST", "/v1/stream", `{"topics":["default/likes/x"]}`, form).wantProblem(415, "unsupported_media_type").wantBody("application/json").wantBody("curl --json")
	s.do("POST", "/admin/v1/reset", `{"topic":"default/likes/x"}`, form, "Authorization: Bearer "+adminToken).wantProblem(415, "unsupported_media_type").wantBody("application/json").wantBody("curl --json")
	if c := s.read("default/likes/x"); c.Version != 0 {
		t.Errorf("a refused request changed the topic: %+v", c)
	}
}
