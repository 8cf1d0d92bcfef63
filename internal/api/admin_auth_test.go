package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// clean fails the test if other origins may read the response or a cache may keep it.
func (a answer) clean() answer {
	a.t.Helper()
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			a.t.Errorf("%s on an answer of /admin", name)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
		a.t.Errorf("policy %q", policy)
	}
	return a.hasHeader("Cache-Control", "no-store").hasHeader("Cross-Origin-Resource-Policy", "same-origin").hasHeader("X-Content-Type-Options", "nosniff").
		hasHeader("Referrer-Policy", "no-referrer").hasHeader("X-Frame-Options", "DENY")
}

func TestAdmin_TokenRequired(t *testing.T) {
	o := newOwnerRig(t, nil)
	for _, header := range [][]string{
		nil, {"Authorization", "Bearer"}, {"Authorization", "Bearer "}, {"Authorization", "Bearer wrong"}, {"Authorization", "Basic " + adminToken},
		{"Authorization", "Bearer " + serverToken}, {"Authorization", "Bearer " + adminToken + "x"}, {"Authorization", "Bearer " + adminToken[1:]},
		{"Cookie", "tally_admin=" + adminToken}, {"Cookie", "tally_admin="}, {"Tally-Csrf", "x"}, {"X-Admin-Token", adminToken},
	} {
		for _, path := range []string{"/admin/v1/topics", "/admin/v1/session"} {
			o.do("GET", path, "", append(header, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", len(fmt.Sprint(header))))...).clean().hasError(401, tally.CodeNotAuthorized)
		}
	}
	for _, query := range []string{"token=", "admin_token=", "admin-token=", "access_token="} {
		o.do("GET", "/admin/v1/topics?"+query+adminToken, "").hasError(401, tally.CodeNotAuthorized).contains("never send a token in a URL")
		o.own("GET", "topics?"+query+adminToken, "").hasError(401, tally.CodeNotAuthorized)
	}
	o.own("GET", "topics", "").clean().hasStatus(200)
	o.do("GET", "/admin/v1/topics", "", "Authorization", "bearer "+adminToken).hasStatus(200)
	if log := o.log.String(); strings.Contains(log, adminToken) || !strings.Contains(log, "a client sent a wrong admin token") {
		t.Errorf("the log: %s", log)
	}
}

func TestAdmin_Off(t *testing.T) {
	o := newOwnerRig(t, func(_ *Options, own *admin.Options) { own.Token = "" })
	for _, path := range []string{"/admin", "/admin/", "/admin/app.js", "/admin/v1/topics", "/admin/v1/session"} {
		o.do("GET", path, "", "Authorization", "Bearer ").clean().hasError(404, tally.CodeNotFound)
	}
	if n := strings.Count(o.log.String(), "set --admin-token to enable it"); n != 1 {
		t.Errorf("the flag was named %d times", n)
	}
	newRig(t, nil).do("GET", "/admin/v1/topics", "").hasError(404, tally.CodeNotFound)
}

// A panic below /admin is an internal error, as in other calls.
func TestAdmin_Panic(t *testing.T) {
	o := newOwnerRig(t, func(_ *Options, own *admin.Options) { own.Owner = nil })
	o.own("GET", "topics", "").clean().hasError(500, tally.CodeInternal)
	if log := o.log.String(); !strings.Contains(log, "panic: ") {
		t.Errorf("the log: %s", log)
	}
}

// panickingDump is a store that panics after it passed on many topics.
type panickingDump struct{ owner.Store }

func (panickingDump) Dump(_ context.Context, _ tally.Scope, each func(tally.Portion) error) error {
	topic, err := tally.ParseTopic("blog/likes/x")
	if err != nil {
		return err
	}
	for range 10_000 { // more than the buffer of an export holds
		if err := each(tally.Portion{State: tally.State{Change: tally.Change{Topic: topic}}, First: true, Last: true}); err != nil {
			return err
		}
	}
	panic("a fault")
}

// After a panic a response that has begun ends without its last chunk, so that it does not look complete.
func TestAdmin_PanicInResponse(t *testing.T) {
	o := newOwnerRig(t, func(options *Options, own *admin.Options) {
		own.Owner = owner.New(panickingDump{own.Owner.Store()}, options.Service, owner.Options{})
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.public.URL+"/admin/v1/export?format=csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(string(body), string(tally.CodeInternal)) {
		t.Errorf("status %d, %v, %.300q", response.StatusCode, err, body[max(0, len(body)-300):])
	}
	if log := o.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "panic: a fault") {
		t.Errorf("the log: %s", log)
	}
}

func TestAdminToken_WrongTokensLimitedByAddress(t *testing.T) {
	o := newOwnerRig(t, nil)
	try := func(address, token string) answer {
		return o.do("GET", "/admin/v1/topics", "", "Authorization", "Bearer "+token, "X-Forwarded-For", address)
	}
	for range 10 {
		try("203.0.113.7", "wrong").hasError(401, tally.CodeNotAuthorized)
	}
	limited := try("203.0.113.7", "wrong").clean().hasError(429, tally.CodeRateLimited)
	if limited.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Another client behind the owner's proxy cannot lock the owner out.
	try("203.0.113.7", adminToken).hasStatus(200)
	o.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`, "X-Forwarded-For", "203.0.113.7").hasStatus(204)
	try("203.0.113.7", "wrong").hasError(429, tally.CodeRateLimited)
	try("203.0.113.8", adminToken).hasStatus(200)
	for i := range 10 { // one holder has all of a /64
		o.do("POST", "/admin/v1/session", `{"token":"wrong"}`, "X-Forwarded-For", fmt.Sprintf("2001:db8::%d", i+1)).hasError(401, tally.CodeNotAuthorized)
	}
	try("2001:db8::ffff", "wrong").hasError(429, tally.CodeRateLimited)
	try("2001:db8::ffff", adminToken).hasStatus(200)
}

// signIn returns the cookie as a browser sends it, and the Tally-Csrf of changes.
func (o *ownerRig) signIn(header ...string) (cookie, csrf string) {
	o.t.Helper()
	a := o.do("POST", o.api.options.BasePath+"/admin/v1/session", `{"token":"`+adminToken+`"}`, header...).clean().hasStatus(204)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	csrf, _ = o.do("GET", o.api.options.BasePath+"/admin/v1/session", "", "Cookie", cookie).hasStatus(200).field("csrf").(string)
	return cookie, csrf
}

func TestAdminSession_Cookie(t *testing.T) {
	o := newOwnerRig(t, nil)
	a := o.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`).hasStatus(204)
	set := a.header.Get("Set-Cookie")
	for _, want := range []string{"; HttpOnly", "; SameSite=Strict", "; Path=/admin", "; Max-Age=43200"} {
		if !strings.Contains(set+";", want+";") {
			t.Errorf("%q lacks %q", set, want)
		}
	}
	if strings.Contains(set, "Secure") || strings.Contains(set, adminToken) {
		t.Errorf("%q", set)
	}
	for _, by := range [][]string{{"X-Forwarded-Proto", "https"}, {"Origin", "https://tally.example", "Host", "tally.example"}} {
		if set := o.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`, append(by, "X-Forwarded-For", "203.0.113.7")...).hasStatus(204).header.Get("Set-Cookie"); !strings.Contains(set, "; Secure") {
			t.Errorf("%v: %q", by, set)
		}
	}
	cookie, csrf := o.signIn()
	host := strings.TrimPrefix(o.public.URL, "http://")
	own := "http://" + host
	change := func(header ...string) answer {
		return o.do("PATCH", "/admin/v1/topics/blog/likes/a", `{"count":1}`, append(header, "Cookie", cookie)...).clean()
	}
	change("Tally-Csrf", csrf, "Origin", own).hasStatus(200)
	change("Tally-Csrf", csrf, "Sec-Fetch-Site", "same-origin").hasStatus(200)
	for _, header := range [][]string{
		nil, {"Origin", own}, {"Tally-Csrf", csrf}, {"Tally-Csrf", csrf + "x", "Origin", own}, {"Tally-Csrf", "", "Origin", own},
		{"Tally-Csrf", csrf, "Origin", "https://evil.example"}, {"Tally-Csrf", csrf, "Origin", "null"}, {"Tally-Csrf", csrf, "Origin", "https://blog.example"},
		{"Tally-Csrf", csrf, "Sec-Fetch-Site", "cross-site"}, {"Tally-Csrf", csrf, "Sec-Fetch-Site", "same-site"}, {"Tally-Csrf", csrf, "Sec-Fetch-Site", "none"},
		{"Tally-Csrf", csrf, "Origin", own, "Sec-Fetch-Site", "cross-site"},
	} {
		change(header...).hasError(403, tally.CodeOriginNotAllowed)
	}
	_, other := o.signIn()
	change("Tally-Csrf", other, "Origin", own).hasError(403, tally.CodeOriginNotAllowed)
	o.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasStatus(200)

	// A forged cookie is invalid.
	for _, bad := range []string{cookie + "A", cookie[:len(cookie)-3] + "AAA", "tally_admin=AAAA", strings.Replace(cookie, "=A", "=B", 1)} {
		if bad != cookie {
			o.do("GET", "/admin/v1/topics", "", "Cookie", bad).hasError(401, tally.CodeNotAuthorized)
		}
	}
	out := o.do("DELETE", "/admin/v1/session", "", "Cookie", cookie, "Tally-Csrf", csrf, "Origin", own).hasStatus(204)
	if set := out.header.Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") {
		t.Errorf("%q", set)
	}
	o.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasError(401, tally.CodeNotAuthorized)
	o.own("GET", "session", "").hasError(401, tally.CodeNotAuthorized)
}

func TestAdminSession_End(t *testing.T) {
	var later time.Duration
	o := newOwnerRig(t, func(_ *Options, own *admin.Options) { own.Now = func() time.Time { return time.Now().Add(later) } })
	cookie, _ := o.signIn()
	other := newOwnerRig(t, func(_ *Options, own *admin.Options) { own.Token = "another-token-entirely" })
	other.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasError(401, tally.CodeNotAuthorized)
	same := newOwnerRig(t, nil) // another instance
	same.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasStatus(200)
	later = 12*time.Hour - time.Minute
	o.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasStatus(200)
	later = 12*time.Hour + time.Minute
	o.do("GET", "/admin/v1/topics", "", "Cookie", cookie).hasError(401, tally.CodeNotAuthorized)
}

func TestAdmin_OtherOrigins(t *testing.T) {
	o := newOwnerRig(t, nil)
	for _, origin := range []string{"https://evil.example", "https://blog.example", "null"} { // the second may use a site
		o.own("GET", "topics", "", "Origin", origin).clean().hasError(403, tally.CodeOriginNotAllowed)
		o.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`, "Origin", origin).clean().hasError(403, tally.CodeOriginNotAllowed)
	}
	o.send(o.public.URL, ask{http.MethodOptions, "/admin/v1/topics", "", []string{"Origin", "https://evil.example",
		"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"}}).clean().hasError(403, tally.CodeOriginNotAllowed)
	o.do("GET", "/admin/", "", "Origin", "https://evil.example").clean()
}

func TestDashboard_Headers(t *testing.T) {
	o := newOwnerRig(t, func(options *Options, _ *admin.Options) { options.BasePath = "/tally" })
	page := o.do("GET", "/tally/admin/", "").clean().hasStatus(200).hasHeader("Content-Type", "text/html; charset=utf-8")
	for _, want := range []string{"script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'"} {
		if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, want) {
			t.Errorf("%q lacks %s", policy, want)
		}
	}
	o.do("GET", "/tally/admin/app.js", "").clean().hasStatus(200).hasHeader("Content-Type", "text/javascript; charset=utf-8")
	o.do("GET", "/tally/admin", "").hasStatus(308).hasHeader("Location", "/tally/admin/")
	for _, path := range []string{"nothing", "nothing.js", "../go.mod", "%2e%2e/app.js", "a//app.js", "."} {
		o.do("GET", "/tally/admin/"+path, "").clean().hasError(404, tally.CodeNotFound)
	}
	o.do("POST", "/tally/admin/", "").clean().hasError(405, tally.CodeMethodNotAllowed)
	o.do("GET", "/admin/", "").hasError(404, tally.CodeNotFound)
	// So are the calls, and the path of the cookie.
	a := o.do("POST", "/tally/admin/v1/session", `{"token":"`+adminToken+`"}`).hasStatus(204)
	if set := a.header.Get("Set-Cookie"); !strings.Contains(set, "; Path=/tally/admin;") {
		t.Errorf("%q", set)
	}
	o.own("PATCH", "topics/blog/likes/a%2Fb%20c", `{"count":3}`).hasStatus(200).contains(`"topic":"blog/likes/a/b c"`)
	o.do("GET", "/admin/v1/topics", "").hasError(404, tally.CodeNotFound)
	o.do("GET", "/%74ally/admin/app.js", "").clean().hasStatus(200)
}

func TestAdmin_NoLimits(t *testing.T) {
	o := newOwnerRig(t, func(options *Options, _ *admin.Options) {
		options.Limits = limits(1, 1, 1)
	})
	for i := range 10 {
		o.own("PATCH", fmt.Sprintf("topics/blog/likes/a%d", i), `{"count":1}`).hasStatus(200)
		o.own("GET", fmt.Sprintf("topics/blog/likes/a%d", i), "").hasStatus(200)
	}
}
