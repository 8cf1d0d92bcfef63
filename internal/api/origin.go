package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// allowsOrigin reports whether pattern matches origin, as a browser sends it. A pattern is
// scheme://host[:port], scheme://*.host[:port] or *, in lower case and without the default
// port; package config checks that.
func allowsOrigin(pattern, origin string) bool {
	if pattern == "*" || pattern == origin {
		return true
	}
	scheme, suffix, ok := strings.Cut(pattern, "*")
	if !ok || !strings.HasPrefix(origin, scheme) || !strings.HasSuffix(origin, suffix) || len(origin) <= len(scheme)+len(suffix) {
		return false
	}
	return !strings.ContainsAny(origin[len(scheme):len(origin)-len(suffix)], "/@:*")
}

// nullOrigin is the Origin of pages whose origin browsers hide.
const nullOrigin = "null"

// requestOrigin is the origin of the page that sends a request.
type requestOrigin struct {
	text  string // as sent; empty without the header
	isOwn bool   // it is the origin of the service
}

// originOf reads the Origin header. An origin is the service's own if it has the host of the request:
// no page can make a browser send another origin or host. The scheme is compared only if the request
// is known to be encrypted, since a proxy may terminate TLS without a header that tells so.
func (a *API) originOf(r *http.Request, viaProxy bool) requestOrigin {
	headers := r.Header["Origin"]
	if len(headers) == 0 {
		return requestOrigin{}
	}
	p := requestOrigin{text: headers[0]}
	if p.text == "" {
		return p
	}
	if p.text == nullOrigin {
		p.isOwn = r.Header.Get("Sec-Fetch-Site") == "same-origin"
		return p
	}
	host, secure := requestHost(r, viaProxy)
	p.isOwn = sameHost(p.text, host, secure) || viaProxy && sameHost(p.text, r.Host, secure)
	return p
}

// requestHost returns the host of the request, and whether it is known to be encrypted.
func requestHost(r *http.Request, viaProxy bool) (host string, secure bool) {
	host, secure = r.Host, r.TLS != nil
	if viaProxy {
		// In a list of several proxies the client's host comes first.
		if forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Host"), ","); forwarded != "" {
			host = strings.TrimSpace(forwarded)
		}
		secure = secure || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	}
	return host, secure
}

// sameHost reports whether origin is http or https with that host.
func sameHost(origin, host string, secure bool) bool {
	port := ":443"
	at, ok := strings.CutPrefix(origin, "https://")
	if !ok {
		if at, ok = strings.CutPrefix(origin, "http://"); !ok || secure {
			return false
		}
		port = ":80"
	}
	return host != "" && (strings.EqualFold(at, host) || strings.EqualFold(at, strings.TrimSuffix(host, port)))
}

// mayUse reports whether the caller may use site. Only callers without restrictions may use "".
func (c *caller) mayUse(site string) bool {
	if c.isTrusted || c.origin.text == "" || c.origin.isOwn {
		return true
	}
	return c.origin.text != nullOrigin && slices.ContainsFunc(c.api.options.Sites[site], func(pattern string) bool {
		return allowsOrigin(pattern, c.origin.text)
	})
}

// checkSite returns an error unless the caller may use site. Errors: origin_not_allowed, with the flag
// that would allow the origin.
func (c *caller) checkSite(site string) error {
	if c.mayUse(site) {
		return nil
	}
	return originError(c.origin.text, site)
}

// checkAnySite returns an error if the caller may use no site. The error is about the site of the first
// topic; without topics, as on a WebSocket, about all sites.
func (c *caller) checkAnySite(topics ...[]name) error {
	if c.mayUse("") {
		return nil
	}
	for site := range c.api.options.Sites {
		if c.mayUse(site) {
			return nil
		}
	}
	for _, named := range slices.Concat(topics...) {
		if topic, err := c.api.catalog.Resolve(named.text); err == nil {
			return originError(c.origin.text, topic.Site())
		}
	}
	return originError(c.origin.text, "")
}

// maxShownOrigin bounds an origin in a message, in bytes: longer than any name in the DNS
// with scheme and port.
const maxShownOrigin = 280

// originError returns the error of an origin that may not use site; any site if site is empty.
func originError(origin, site string) error {
	if origin == nullOrigin {
		return tally.Errorf(tally.CodeOriginNotAllowed,
			"the browser hides the origin of this page (Origin: null), so neither --allow-origin nor --site can allow it; the page is in a sandbox or has the referrer policy no-referrer")
	}
	shown := "https://…"
	if u, err := url.Parse(origin); err == nil && len(origin) <= maxShownOrigin && u.Scheme != "" && origin == u.Scheme+"://"+u.Host {
		shown = origin
	}
	switch site {
	case "":
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use any site; allow them with --allow-origin %s for the site %q, or with --site NAME=%s for another one", origin, shown, tally.DefaultSite, shown)
	case tally.DefaultSite:
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --allow-origin %s allows them", origin, site, shown)
	}
	return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --site %s=%s allows them", origin, site, site, shown)
}

// Headers of cross-origin requests. Pages of every origin may read the responses, none of which
// depends on cookies. So a page that may not use a site can show the reason.
var (
	varyOrigin    = []string{"Origin"}
	exposeHeaders = []string{"Retry-After, ETag"}
	allowMethods  = []string{"GET, HEAD, POST, DELETE, OPTIONS"}
	allowHeaders  = []string{"Content-Type, Tally-Visitor, Tally-Visitor-Token, If-None-Match, Last-Event-ID, X-Request-Id"}
	maxAge        = []string{"7200"} // seconds; the most that Chromium honours
	anyOrigin     = []string{"*"}
	crossOrigin   = []string{"cross-origin"}
)

// allowEverywhere lets pages of every origin load and read the response.
func allowEverywhere(h http.Header) {
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Cross-Origin-Resource-Policy"] = crossOrigin
}

// setOriginHeaders lets the page read the response.
func setOriginHeaders(h http.Header, p requestOrigin) {
	h["Vary"] = varyOrigin
	if p.text != "" {
		h["Access-Control-Allow-Origin"] = []string{p.text}
		h["Access-Control-Expose-Headers"] = exposeHeaders
	}
}

// preflight serves OPTIONS. It allows every origin. If the origin is not allowed, the request after it
// is refused, with a reason that the page can read.
func (a *API) preflight(q *call) error {
	h := q.w.Header()
	h["Access-Control-Allow-Methods"] = allowMethods
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Max-Age"] = maxAge
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
