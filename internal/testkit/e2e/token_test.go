package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// A token made through one instance works on the other, as does its session. When it is
// revoked, both end on both at once.
func TestOwner_TokenOfSite(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		admin := m.first.owner()
		admin.call("PATCH", "topics/blog/likes/a", `{"count":3}`).wantStatus(200)
		admin.call("PATCH", "topics/default/likes/b", `{"count":4}`).wantStatus(200)
		var created struct{ Token string }
		if err := json.Unmarshal([]byte(admin.call("POST", "tokens", `{"name":"editorial","role":"editor","sites":["blog"]}`).wantStatus(200).body), &created); err != nil {
			t.Fatal(err)
		}
		as := func(s *service, method, path, body string, lines ...string) response {
			t.Helper()
			return s.do(method, "/admin/v1/"+path, body, append(lines, "Content-Type: application/json")...)
		}
		bearer := "Authorization: Bearer " + created.Token
		at := time.Now()
		processtest.Eventually(t, "the token is valid on the other instance", func() bool { return as(m.last, "GET", "topics", "", bearer).status == 200 })
		t.Logf("valid on the other instance after %v", time.Since(at))
		as(m.last, "PATCH", "topics/blog/likes/a", `{"count":5}`, bearer).wantStatus(200)
		as(m.last, "PATCH", "topics/default/likes/b", `{"count":5}`, bearer).wantProblem(404, "unknown_site")
		as(m.last, "GET", "audit", "", bearer).wantStatus(200).wantBody(`"actor":"token editorial"`)
		signedIn := as(m.last, "POST", "session", `{"token":"`+created.Token+`"}`).wantStatus(204)
		cookies, err := http.ParseSetCookie(signedIn.header.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		cookie := "Cookie: " + cookies.Name + "=" + cookies.Value
		for _, s := range []*service{m.first, m.last} {
			as(s, "GET", "topics", "", cookie).wantStatus(200)
		}
		admin.call("DELETE", "tokens/editorial", "").wantStatus(204)
		for _, s := range []*service{m.last, m.first} {
			as(s, "GET", "topics", "", bearer).wantProblem(401, "not_authorized")
			as(s, "GET", "topics", "", cookie).wantProblem(401, "not_authorized")
			as(s, "POST", "session", `{"token":"`+created.Token+`"}`).wantProblem(401, "not_authorized")
		}
	}, "--site", "blog")
}
