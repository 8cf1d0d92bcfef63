package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const urlencoded = "application/x-www-form-urlencoded"

func TestForm_Like(t *testing.T) {
	r := newRig(t, nil)
	own := []string{"Content-Type", urlencoded, "Host", "tally.example", "Origin", "https://tally.example"}
	r.do("POST", "/v1/blog/likes/x", "amount=1&return=/post%23like", own...).hasStatus(303).hasHeader("Location", "/post#like")
	r.do("GET", "/v1/blog/likes/x", "").contains(`"count":1`)
	r.do("POST", "/v1/blog/likes/x", "return=https://tally.example/post", own...).hasStatus(303).hasHeader("Location", "https://tally.example/post")
	r.do("GET", "/v1/blog/likes/x", "").contains(`"count":1`)
	r.do("POST", "/v1/blog/likes/x", "amount=0&return=/post", own...).hasStatus(303)
	r.do("GET", "/v1/blog/likes/x", "").contains(`"count":0`)

	r.do("POST", "/v1/blog/likes/x", "return=https://blog.example/post?a=b%26c=d", "Content-Type", urlencoded, "Origin", "https://blog.example").
		hasStatus(303).hasHeader("Location", "https://blog.example/post?a=b&c=d")
	r.do("POST", "/v1/blog/likes/x", "return=/post", "Content-Type", urlencoded+"; charset=utf-8").hasStatus(303)
	r.do("POST", "/v1/blog/likes/x", "return=/post", "Content-Type", urlencoded, "Origin", "null", "Sec-Fetch-Site", "same-origin").hasStatus(303)
}

func TestForm_ReturnOrigin(t *testing.T) {
	r := newRig(t, nil)
	for _, row := range []struct{ origin, back string }{
		{"", "https://evil.example/"},
		{"", "//evil.example/"},
		{"", `/\evil.example/`},
		{"", `\\evil.example/`},
		{"", "post"},
		{"", "javascript:alert(1)"},
		{"", "https:evil.example"},
		{"", "https://tally.example@evil.example/"},
		{"", "/a\nb"},
		{"", " /a"},
		{"", "\t//evil.example"},
		{"", "/" + strings.Repeat("x", maxReturn)},
		{"https://blog.example", "/post"}, // ours, not the page's
		{"https://blog.example", "https://tally.example/post"},
		{"https://blog.example", "https://a.pages.example/post"},
		{"https://blog.example", "http://blog.example/post"},
	} {
		header := []string{"Content-Type", urlencoded, "Host", "tally.example"}
		if row.origin != "" {
			header = append(header, "Origin", row.origin)
		}
		a := r.do("POST", "/v1/blog/likes/x", "return="+url.QueryEscape(row.back), header...)
		if a.status != 400 || a.field("code") != "bad_body" {
			t.Errorf("from %q back to %q: %d %s", row.origin, row.back, a.status, a.header.Get("Location"))
		}
	}
	r.do("GET", "/v1/blog/likes/x", "").contains(`"count":0`)
}

func TestForm_ErrorPage(t *testing.T) {
	r := newRig(t, nil)
	browser := []string{"Content-Type", urlencoded, "Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Host", "tally.example"}
	for body, status := range map[string]int{
		"return=/p&amount=x":                   400,
		"return=/p&amount=7":                   400,
		"return=/p&amount=1&amount=1":          400,
		"return=/p&other=1":                    400,
		"return=/p&visitor=" + ann:             400,
		"amount=1":                             400,
		"return=/p&return=/q":                  400,
		"return=%zz":                           400,
		"return=/p&%3Cscript%3Ealert(1)=<b>hi": 400,
	} {
		a := r.do("POST", "/v1/blog/likes/x", body, browser...).hasStatus(status).hasHeader("Content-Type", "text/html; charset=utf-8").hasHeader("Cache-Control", "no-store")
		if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") {
			t.Errorf("policy %q", policy)
		}
		if strings.Contains(string(a.body), "<script>") || strings.Contains(string(a.body), "<b>") {
			t.Errorf("not escaped: %s", a.body)
		}
	}
	r.do("POST", "/v1/blog/likes/x", "return=/p&amount=7", browser...).contains(`<a href="/p">`)
	r.do("POST", "/v1/blog/likes/x", "return=/p", append(browser, "Origin", "https://evil.example")...).hasStatus(403).contains("origin_not_allowed")
	for _, metric := range []string{"visitors", "views"} {
		r.do("POST", "/v1/blog/"+metric+"/x", "return=/p", "Content-Type", urlencoded).hasError(415, "unsupported_media_type")
	}
	r.do("POST", "/v1/blog/readers/x", "return=/p", "Content-Type", urlencoded).hasError(405, "read_only_metric")
	r.do("POST", "/v1/blog/likes/x", `{"amount":1}`, "Content-Type", urlencoded).hasError(400, "bad_body").contains("application/json")
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"/post", "//evil.example", "https://tally.example/x", "https://blog.example", `/\evil`, "https://tally.example:443/", "http://tally.example", "https://[::1", "/%2f/evil", "HTTPS://TALLY.EXAMPLE/x", "/a b"} {
		f.Add("amount=1&return="+url.QueryEscape(seed), "")
		f.Add("return="+url.QueryEscape(seed), "https://blog.example")
	}
	f.Fuzz(func(t *testing.T, body, origin string) {
		q := &call{caller: caller{api: &API{}, origin: requestOrigin{text: origin}}, r: &http.Request{Host: "tally.example", Header: http.Header{}}}
		if _, err := q.parseForm([]byte(body)); err != nil {
			return
		}
		// As a browser resolves it.
		target, err := (&url.URL{Scheme: "https", Host: "tally.example", Path: "/v1/x"}).Parse(q.returnURL)
		if err != nil {
			t.Fatalf("%q is no address: %v", q.returnURL, err)
		}
		allowed := origin
		if origin == "" {
			allowed = "https://tally.example"
		}
		got := withoutDefaultPort(target.Scheme + "://" + strings.ToLower(target.Host))
		if got != allowed && !(origin == "" && got == "http://tally.example") {
			t.Fatalf("a form of %q goes back to %q", origin, q.returnURL)
		}
		if strings.ContainsAny(q.returnURL, "\\\r\n\t ") {
			t.Fatalf("browsers read %q otherwise", q.returnURL)
		}
	})
}
