package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tallycast/tallycast/internal/admin"
)

// admin answers what stands below /admin. Nothing of what pages and
// visitors are given applies: no headers for other origins, no limits, no server
// token; whoever answers decides.
func (m mount) admin() {
	handler := m.api.adminHandler(m.api.requests.route("/admin"))
	m.group.Any("/admin", handler)
	m.group.Any("/admin/*path", handler)
}

func (a *API) adminHandler(stats *routeStats) gin.HandlerFunc {
	return func(c *gin.Context) {
		q := calls.Get().(*call)
		q.api, q.c, q.w, q.r, q.stats = a, c, c.Writer, c.Request, stats
		q.start = a.now()
		defer q.finish()
		q.client = a.clientOf(q.r)
		q.origin = a.originOf(q.r, q.client.viaProxy)
		h := q.w.Header()
		h["X-Content-Type-Options"] = noSniff
		h["X-Request-Id"] = []string{q.requestID()}
		_, secure := requestHost(q.r, q.client.viaProxy)
		a.admin.ServeAdmin(q.w, stripBase(q.r, a.basePath), admin.Caller{
			Address:    q.client.address,
			Client:     q.client.limitAddress,
			Origin:     q.origin.text,
			SameOrigin: q.origin.isOwn,
			// A page of our own that says https came by it, whatever ends TLS before us.
			Secure:    secure || q.origin.isOwn && strings.HasPrefix(q.origin.text, "https://"),
			RequestID: q.requestID(),
		})
	}
}

// stripBase returns r as it would be without a base path.
func stripBase(r *http.Request, base string) *http.Request {
	if base == "" {
		return r
	}
	shorter := new(http.Request)
	*shorter = *r
	shorter.URL = new(url.URL)
	*shorter.URL = *r.URL
	shorter.URL.Path = strings.TrimPrefix(r.URL.Path, base)
	raw, ok := strings.CutPrefix(r.URL.RawPath, base)
	if !ok {
		raw = "" // what is then made of Path is the same place
	}
	shorter.URL.RawPath = raw
	return shorter
}
