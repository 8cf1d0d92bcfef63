package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/web"
)

// newEngine returns a router without routes, which responds with problem documents.
func (a *API) newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // global in Gin
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.HandleMethodNotAllowed = true
	engine.ForwardedByClientIP = false // see clientOf
	_ = engine.SetTrustedProxies(nil)  // nil cannot fail
	engine.NoRoute(a.handle("none", notFound))
	engine.NoMethod(a.handle("none", func(q *call) error {
		return tally.Errorf(tally.CodeMethodNotAllowed, "the method %.40q is not allowed here; the header Allow lists those that are", q.r.Method)
	}))
	return engine
}

func notFound(q *call) error {
	return tally.Errorf(tally.CodeNotFound, "there is nothing at this address; /openapi.yaml describes all addresses")
}

func readOnly(*call) error {
	return tally.Errorf(tally.CodeMethodNotAllowed, "this can only be read")
}

// mount adds routes to a group.
type mount struct {
	api    *API
	group  *gin.RouterGroup
	prefix string // of the routes' names in metrics
}

// get adds GET and HEAD.
func (m mount) get(path string, f func(*call) error) { m.getAs(path, path, f) }

// getAs is get with another name of the route in metrics.
func (m mount) getAs(name, path string, f func(*call) error) {
	handler := m.api.handle(m.prefix+name, f)
	m.group.GET(path, handler)
	m.group.HEAD(path, handler)
}

// on adds one method.
func (m mount) on(method, path string, f func(*call) error) {
	m.group.Handle(method, path, m.api.handle(m.prefix+path, f))
}

// preflight adds OPTIONS.
func (m mount) preflight(paths ...string) {
	for _, path := range paths {
		m.on(http.MethodOptions, path, m.api.preflight)
	}
}

// handler adds a handler for all methods.
func (m mount) handler(path string, handler http.Handler) {
	m.group.Any(path, gin.WrapH(handler))
}

func (m mount) health() {
	m.get("/healthz", m.api.healthz)
	m.get("/readyz", m.api.readyz)
}

// newPublic returns the handler of the public listener.
func (a *API) newPublic() http.Handler {
	engine := a.newEngine()
	at := mount{a, engine.Group(a.options.BasePath), ""}

	const topic = "/v1/:site/:metric/*key"
	at.get(topic, a.readTopic)
	at.on(http.MethodPost, topic, a.like)
	at.on(http.MethodDelete, topic, a.like)
	at.get("/v1/counts", a.counts)
	at.on(http.MethodPost, "/v1/counts", a.countsOfBody)
	at.get("/v1/top/:site/:metric", a.top)
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		// Otherwise the router takes it for a topic of a site named top.
		at.on(method, "/v1/top/:site/:metric", readOnly)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		at.on(method, "/v1/top/:site/:metric/*key", notFound)
	}
	at.on(http.MethodGet, "/v1/stream", a.stream)
	at.on(http.MethodPost, "/v1/stream", a.streamOfBody)
	at.on(http.MethodGet, "/v1/ws", a.webSocket)
	at.preflight(topic, "/v1/counts", "/v1/top/:site/:metric", "/v1/stream", "/v1/ws")

	at.get("/badge/:site/:metric/*key", a.badge)
	at.get("/openapi.yaml", a.openAPI)
	for name, script := range web.Scripts() {
		route := "/" + name
		if script.Immutable {
			route = "/tally-{hash}.js" // one route in metrics for all releases
		}
		at.getAs(route, "/"+name, a.script(name))
	}
	at.health()
	if a.options.Admin != nil {
		at.admin()
	}
	if !a.options.WithoutDemo {
		at.get("/", a.demo)
		at.get("/demo/*page", a.demo)
		at.get("/gallery", a.demo)
		if a.options.BasePath != "" {
			at.get("", func(q *call) error {
				q.w.Header().Set("Location", a.options.BasePath+"/")
				q.w.WriteHeader(http.StatusPermanentRedirect)
				return nil
			})
		}
	}
	return engine
}

// admin serves everything below /admin. Package admin decides on tokens, limits and
// headers there.
func (m mount) admin() {
	handler := m.api.adminHandler(m.api.requests.route("/admin"))
	m.group.Any("/admin", handler)
	m.group.Any("/admin/*path", handler)
}

func (a *API) adminHandler(stats *routeStats) gin.HandlerFunc {
	return func(c *gin.Context) {
		q := a.newCall(c, stats)
		defer q.finish()
		q.identify()
		_, secure := requestHost(q.r, q.client.viaProxy)
		caller := admin.Caller{
			Address:    q.client.address,
			Client:     q.client.limitAddress(),
			Origin:     q.origin.text,
			SameOrigin: q.origin.isOwn,
			// The service's own page has an https origin if a proxy terminates TLS.
			Secure:    secure || q.origin.isOwn && strings.HasPrefix(q.origin.text, "https://"),
			RequestID: q.requestID(),
		}
		a.options.Admin.ServeAdmin(q.w, withoutBasePath(q.r, a.options.BasePath), caller)
	}
}

// withoutBasePath returns r with a path below base. Unlike [http.StripPrefix] it accepts a
// base path with escapes, as the router does.
func withoutBasePath(r *http.Request, base string) *http.Request {
	u := *r.URL
	u.Path = strings.TrimPrefix(u.Path, base)
	rawPath, ok := strings.CutPrefix(u.RawPath, base)
	if !ok {
		rawPath = "" // u.Path is enough
	}
	u.RawPath = rawPath
	stripped := *r
	stripped.URL = &u
	return &stripped
}
