package api

import (
	"testing"
)

func TestOrigin_Sites(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = private[1:] })
	behind := newRig(t, func(o *Options) { o.TrustedProxies = private })
	for _, row := range []struct {
		rig    *rig
		site   string
		header []string
		want   int
	}{
		{r, "blog", nil, 200}, // no browser
		{r, "blog", []string{"Origin", "https://blog.example"}, 200},
		{r, "blog", []string{"Origin", "http://blog.example"}, 403},
		{r, "blog", []string{"Origin", "https://blog.example:8443"}, 403},
		{r, "blog", []string{"Origin", "https://blog.example.evil"}, 403},
		{r, "blog", []string{"Origin", "https://app.example"}, 403},
		{r, "blog", []string{"Origin", "https://a.pages.example"}, 200},
		{r, "blog", []string{"Origin", "https://a.b.pages.example"}, 200},
		{r, "blog", []string{"Origin", "https://pages.example"}, 403},
		{r, "blog", []string{"Origin", "https://evilpages.example"}, 403},
		{r, "blog", []string{"Origin", "https://.pages.example"}, 403},
		{r, "blog", []string{"Origin", "https://evil/x.pages.example"}, 403},
		{r, "default", []string{"Origin", "https://app.example"}, 200},
		{r, "wiki", []string{"Origin", "https://anything.example"}, 200},
		{r, "wiki", []string{"Origin", "null"}, 403},

		// The service's own pages, by all its names.
		{r, "blog", []string{"Origin", "https://tally.example", "Host", "tally.example"}, 200},
		{r, "blog", []string{"Origin", "http://tally.example", "Host", "tally.example:80"}, 200},
		{r, "blog", []string{"Origin", "https://tally.example:8443", "Host", "tally.example"}, 403},
		{r, "blog", []string{"Origin", "null", "Sec-Fetch-Site", "same-origin"}, 200},
		{r, "blog", []string{"Origin", "null", "Sec-Fetch-Site", "same-site"}, 403},
		{r, "blog", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, 403},

		// Only a trusted proxy may name the host.
		{r, "blog", []string{"Origin", "https://tally.example", "X-Forwarded-Host", "tally.example", "Tally-Visitor", ann}, 403},
		{behind, "blog", []string{"Origin", "https://tally.example", "X-Forwarded-Host", "tally.example", "X-Forwarded-Proto", "https"}, 200},
		{behind, "blog", []string{"Origin", "http://tally.example", "X-Forwarded-Host", "tally.example", "X-Forwarded-Proto", "https"}, 403},
	} {
		row.rig.t = t
		for _, method := range []string{"GET", "POST"} {
			a := row.rig.do(method, "/v1/"+row.site+"/likes/x", "", row.header...)
			if a.status != row.want {
				t.Errorf("%s of %s with %q: %d, want %d: %s", method, row.site, row.header, a.status, row.want, a.body)
			}
			if len(row.header) > 1 && row.header[0] == "Origin" {
				a.hasHeader("Access-Control-Allow-Origin", row.header[1]).hasHeader("Access-Control-Expose-Headers", "Retry-After, ETag")
			}
			a.hasHeader("Vary", "Origin")
		}
	}
}

func TestOrigin_NoSite(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Sites = map[string][]string{"blog": {"https://blog.example"}} })
	for _, path := range []string{"/v1/counts?topic=blog/likes/x", "/v1/stream?topic=blog/likes/x", "/v1/ws"} {
		r.do("GET", path, "", "Origin", "https://evil.example").hasError(403, "origin_not_allowed").
			hasHeader("Access-Control-Allow-Origin", "https://evil.example")
	}
	r.do("POST", "/v1/stream", `{"topics":["blog/likes/x"]}`, "Origin", "https://evil.example").hasError(403, "origin_not_allowed")
	r.do("GET", "/v1/counts?topic=blog/likes/x", "", "Origin", "https://blog.example").hasStatus(200)
}

func TestPreflight(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/v1/blog/likes/a/b", "/v1/counts", "/v1/stream", "/v1/top/blog/likes"} {
		r.do("OPTIONS", path, "", "Origin", "https://blog.example", "Access-Control-Request-Method", "DELETE",
			"Access-Control-Request-Headers", "content-type,tally-visitor").hasStatus(204).
			hasHeader("Access-Control-Allow-Origin", "https://blog.example").
			hasHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS").
			hasHeader("Access-Control-Max-Age", "7200").hasHeader("Vary", "Origin")
	}
	a := r.do("OPTIONS", "/v1/counts", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST").hasStatus(204)
	if a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("credentials are allowed")
	}
}

func TestServerToken(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.ServerToken = "0123456789abcdef"
		o.Limits = limits(1, 1, 1)
	})
	token := []string{"Authorization", "Bearer 0123456789abcdef", "Origin", "https://evil.example"}
	for range 10 {
		r.do("POST", "/v1/blog/likes/x", `{"visitor":"`+ann+`"}`, token...).hasStatus(200)
		r.do("GET", "/v1/blog/likes/x", "", token...).hasStatus(200)
	}
	r.do("POST", "/v1/blog/likes/x", "", token...).hasError(400, "bad_visitor")
	r.do("POST", "/v1/blog/likes/x", "", "Authorization", "Bearer 0123456789abcdeg").hasError(403, "origin_not_allowed").contains("--server-token")
	r.do("GET", "/v1/blog/likes/x", "", "Authorization", "Basic abc").hasStatus(200)
}
