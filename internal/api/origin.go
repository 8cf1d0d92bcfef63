package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// originPattern is an origin that may use a site: one, all below a domain, or any.
type originPattern struct {
	text   string // scheme://host[:port], as browsers send it
	any    bool
	scheme string // "https://", where all below a domain is meant
	suffix string // ".example.com:8443", where all below a domain is meant
}

// newOriginPattern reads scheme://host[:port], scheme://*.host[:port] or *, in lower
// case and without the scheme's own port; configuration checks that.
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

// allows tells whether origin, as a browser sends it, is meant.
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

// nullOrigin is what browsers send for pages whose origin they will not tell.
const nullOrigin = "null"

// requestOrigin is the page that a request comes from, as far as its origin matters.
type requestOrigin struct {
	text string // as sent; empty where it is no page's, or the browser kept it back
	// isOwn says that the page is of the service's own origin.
	isOwn bool
}

// originOf reads the Origin header. Own is the origin whose host is the one asked
// for: browsers let no page forge either. The scheme is compared where it is
// known that the request came encrypted; a proxy in front may end TLS without a
// word, so it cannot be asked always.
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

// requestHost returns the host that the client asked for, and whether it is
// known to have asked encrypted.
func requestHost(r *http.Request, viaProxy bool) (host string, secure bool) {
	host, secure = r.Host, r.TLS != nil
	if viaProxy {
		// A chain of proxies lists them; the client's own request comes first.
		if forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Host"), ","); forwarded != "" {
			host = strings.TrimSpace(forwarded)
		}
		secure = secure || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	}
	return host, secure
}

// sameHost tells whether origin is that of host, by http or https.
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

// checkOrigin tells why the page may not use site; nil where it may.
// Errors: origin_not_allowed, naming the flag that would allow it.
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

// checkOriginAnywhere refuses a page that may use no site, before any of the topics that it
// names are looked at. Its error concerns the site of the first of these topics; a page
// that names none yet, as on a WebSocket, hears how any site is opened.
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

// maxShownOrigin bounds, in bytes, an origin that a message repeats: longer than
// any name in the DNS with scheme and port.
const maxShownOrigin = 280

// originError names the flag that would allow origin to use site; any site if empty.
func originError(origin, site string) error {
	if origin == nullOrigin {
		return tally.Errorf(tally.CodeOriginNotAllowed,
			"the browser does not tell which page this is (Origin: null), so neither --allow-origin nor --site can allow it; a page in a sandbox or with the referrer policy no-referrer is such a page")
	}
	shown := "https://…"
	if u, err := url.Parse(origin); err == nil && len(origin) <= maxShownOrigin && u.Scheme != "" && origin == u.Scheme+"://"+u.Host {
		shown = origin
	}
	switch site {
	case "":
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may use no site here; --site NAME=%s allows them to use one, --allow-origin %s the site %q", origin, shown, shown, tally.DefaultSite)
	case tally.DefaultSite:
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --allow-origin %s allows them", origin, site, shown)
	}
	return tally.Errorf(tally.CodeOriginNotAllowed, "pages of %.280q may not use the site %q; --site %s=%s allows them", origin, site, site, shown)
}

// Headers of cross-origin requests. No answer depends on cookies, so that every
// origin may be allowed to read what it gets: those that may not use a site get
// a refusal, and can say why.
var (
	varyOrigin    = []string{"Origin"}
	exposeHeaders = []string{"Retry-After, ETag"}
	allowMethods  = []string{"GET, HEAD, POST, DELETE, OPTIONS"}
	allowHeaders  = []string{"Content-Type, Tally-Visitor, If-None-Match, Last-Event-ID, X-Request-Id"}
	maxAge        = []string{"7200"} // seconds; the most that Chromium honours
	anyOrigin     = []string{"*"}
)

// setOriginHeaders lets the asking page read the answer.
func setOriginHeaders(h http.Header, p requestOrigin) {
	h["Vary"] = varyOrigin
	if p.text != "" {
		h["Access-Control-Allow-Origin"] = []string{p.text}
		h["Access-Control-Expose-Headers"] = exposeHeaders
	}
}

// preflight answers OPTIONS. It approves of every origin: the request itself is
// refused where it must be, and then the page can read why.
func (a *API) preflight(q *call) error {
	h := q.w.Header()
	h["Access-Control-Allow-Methods"] = allowMethods
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Max-Age"] = maxAge
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
