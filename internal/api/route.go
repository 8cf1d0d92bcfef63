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
		return tally.Errorf(tally.CodeMethodNotAllowed, "the method %.40q is not allowed here; the header Allow lists the allowed ones", q.r.Method)
	}))
	return engine
}

func notFound(q *call) error {
	return tally.Errorf(tally.CodeNotFound, "there is nothing at this address; /openapi.yaml describes all addresses")
}

func readOnly(*call) error {
	return tally.Errorf(tally.CodeMethodNotAllowed, "this address can only be read")
}

// mount adds routes to a group.
type mount struct {
	api    *API
	group  *gin.RouterGroup
	prefix string // of the routes' names in metrics
}

// on adds methods of a path.
func (m mount) on(path string, f func(*call) error, methods ...string) {
	m.onAs(path, path, f, methods...)
}

// onAs is on with another name of the route in metrics.
func (m mount) onAs(name, path string, f func(*call) error, methods ...string) {
	for _, method := range methods {
		m.group.Handle(method, path, m.api.handle(m.prefix+name, f))
	}
}

// get adds GET and HEAD.
func (m mount) get(path string, f func(*call) error) { m.on(path, f, http.MethodGet, http.MethodHead) }

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

	const topic, top, history = "/v1/:site/:metric/*key", "/v1/top/:site/:metric", "/v1/history/:site/:metric/*key"
	at.get(topic, a.readTopic)
	at.on(topic, a.like, http.MethodPost, http.MethodDelete)
	at.get("/v1/counts", a.counts)
	at.on("/v1/counts", a.countsOfBody, http.MethodPost)
	at.get(top, a.top)
	// Without these routes the router would take the paths for topics of a site named top.
	at.on(top, readOnly, http.MethodPost, http.MethodDelete)
	at.on(top+"/*key", notFound, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete)
	at.get(history, a.history)
	at.on(history, readOnly, http.MethodPost, http.MethodDelete)
	at.on("/v1/stream", a.stream, http.MethodGet)
	at.on("/v1/stream", a.streamOfBody, http.MethodPost)
	at.on("/v1/ws", a.webSocket, http.MethodGet)
	for _, path := range []string{topic, "/v1/counts", top, history, "/v1/stream", "/v1/ws"} {
		at.on(path, a.preflight, http.MethodOptions)
	}

	at.get("/badge/:site/:metric/*key", a.badge)
	at.get("/openapi.yaml", a.openAPI)
	for name, script := range web.Scripts() {
		route := "/" + name
		if script.Immutable {
			route = "/tally-{hash}.js" // one route in metrics for all releases
		}
		at.onAs(route, "/"+name, a.script(name), http.MethodGet, http.MethodHead)
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

// admin serves everything below /admin. Package admin checks tokens and limits, and sets headers.
func (m mount) admin() {
	handler := m.api.handleBare("/admin", m.api.serveAdmin)
	m.group.Any("/admin", handler)
	m.group.Any("/admin/*path", handler)
}

func (a *API) serveAdmin(q *call) error {
	_, secure := requestHost(q.r, q.client.viaProxy)
	a.options.Admin.ServeAdmin(q.w, withoutBasePath(q.r, a.options.BasePath), admin.Caller{
		Address:    q.client.address,
		Client:     q.client.limitAddress(),
		Origin:     q.origin.text,
		SameOrigin: q.origin.isOwn,
		// The service's own page has an https origin if a proxy terminates TLS.
		Secure:    secure || q.origin.isOwn && strings.HasPrefix(q.origin.text, "https://"),
		RequestID: q.requestID(),
	})
	return nil
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
