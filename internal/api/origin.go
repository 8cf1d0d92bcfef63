package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// originPattern matches origins that may use a site: one, all subdomains of one, or any.
type originPattern struct {
	text   string // scheme://host[:port], as browsers send it
	any    bool
	scheme string // of subdomains, such as https://
	suffix string // of subdomains, such as .example.com:8443
}

// newOriginPattern parses scheme://host[:port], scheme://*.host[:port] or *, in lower case
// and without the default port; package config checks that.
func newOriginPattern(text string) originPattern {
	if scheme, suffix, ok := strings.Cut(text, "://*."); ok {
		return originPattern{text: text, scheme: scheme + "://", suffix: "." + suffix}
	}
	return originPattern{text: text, any: text == "*"}
}

func newOriginPatterns(sites map[string][]string) map[string][]originPattern {
	all := make(map[string][]originPattern, len(sites))
	for site, origins := range sites {
		for _, origin := range origins {
			all[site] = append(all[site], newOriginPattern(origin))
		}
	}
	return all
}

// allows reports whether the pattern matches origin, as a browser sends it.
func (o originPattern) allows(origin string) bool {
	if o.any || o.text == origin {
		return true
	}
	if o.suffix == "" {
		return false
	}
	host, ok := strings.CutPrefix(origin, o.scheme)
	below, ok2 := strings.CutSuffix(host, o.suffix)
	return ok && ok2 && below != "" && !strings.ContainsAny(below, "/@:*")
}

// nullOrigin is the Origin of pages whose origin browsers hide.
const nullOrigin = "null"

// requestOrigin is the origin of the page that sends a request.
type requestOrigin struct {
	text  string // as sent; empty if no page sends it, or the browser omits it
	isOwn bool   // is the service's own origin
}

// originOf reads the Origin header. The service's own origin has the host of the request,
// since browsers let no page forge either. The scheme matters only if the request is
// known to be encrypted: a proxy may terminate TLS without telling.
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

// checkOrigin returns nil if the page may use site. Errors: origin_not_allowed, with the
// flag that would allow it.
func (a *API) checkOrigin(p requestOrigin, site string) error {
	if p.text == "" || p.isOwn {
		return nil
	}
	if p.text != nullOrigin {
		for _, allowed := range a.sites[site] {
			if allowed.allows(p.text) {
				return nil
			}
		}
	}
	return originError(p.text, site)
}

// checkOriginAnywhere returns an error if the page may use no site. The error names the
// site of the first topic given; without topics, as on a WebSocket, the flags for any
// site.
func (a *API) checkOriginAnywhere(p requestOrigin, topics ...[]string) error {
	if p.text == "" || p.isOwn {
		return nil
	}
	for site := range a.sites {
		if a.checkOrigin(p, site) == nil {
			return nil
		}
	}
	for _, names := range topics {
		for _, name := range names {
			if topic, err := a.catalog.Resolve(name); err == nil {
				return originError(p.text, topic.Site())
			}
		}
	}
	return originError(p.text, "")
}

// maxShownOrigin bounds an origin in a message, in bytes: longer than any name in the DNS
// with scheme and port.
const maxShownOrigin = 280

// originError returns the error of an origin that may not use site, or any site if empty.
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
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may use no site; --site NAME=%s allows them one, --allow-origin %s the site %q", origin, shown, shown, tally.DefaultSite)
	case tally.DefaultSite:
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --allow-origin %s allows them", origin, site, shown)
	}
	return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --site %s=%s allows them", origin, site, site, shown)
}

// Headers of cross-origin requests. Every origin may read its responses, since none
// depends on cookies. So a page that may not use a site can show why.
var (
	varyOrigin    = []string{"Origin"}
	exposeHeaders = []string{"Retry-After, ETag"}
	allowMethods  = []string{"GET, HEAD, POST, DELETE, OPTIONS"}
	allowHeaders  = []string{"Content-Type, Tally-Visitor, If-None-Match, Last-Event-ID, X-Request-Id"}
	maxAge        = []string{"7200"} // seconds; the most that Chromium honours
	anyOrigin     = []string{"*"}
)

// setOriginHeaders lets the page read the response.
func setOriginHeaders(h http.Header, p requestOrigin) {
	h["Vary"] = varyOrigin
	if p.text != "" {
		h["Access-Control-Allow-Origin"] = []string{p.text}
		h["Access-Control-Expose-Headers"] = exposeHeaders
	}
}

// preflight serves OPTIONS. It allows every origin: the request itself is refused if
// necessary, and the page can read why.
func (a *API) preflight(q *call) error {
	h := q.w.Header()
	h["Access-Control-Allow-Methods"] = allowMethods
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Max-Age"] = maxAge
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
