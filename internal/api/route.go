package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/web"
)

// newEngine returns a router that answers what it does not know with problems.
func (a *API) newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // the only thing about Gin that is global
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.HandleMethodNotAllowed = true
	engine.ForwardedByClientIP = false // client.go finds out who the client is
	_ = engine.SetTrustedProxies(nil)  // fails on networks that cannot be read only
	engine.NoRoute(a.handle("none", notFound))
	engine.NoMethod(a.handle("none", func(q *call) error {
		return tally.Errorf(tally.CodeMethodNotAllowed, "%.40q is not understood here; Allow names what is", q.r.Method)
	}))
	return engine
}

func notFound(q *call) error {
	return tally.Errorf(tally.CodeNotFound, "there is nothing at this address; /openapi.yaml tells what is where")
}

func readOnly(*call) error {
	return tally.Errorf(tally.CodeMethodNotAllowed, "this can be read only")
}

// mount is where routes are added.
type mount struct {
	api    *API
	group  *gin.RouterGroup
	prefix string // stands before the routes' names in metrics
}

// get answers GET and HEAD.
func (m mount) get(path string, f func(*call) error) { m.getAs(path, path, f) }

// getAs is get for a path that goes by another name in metrics.
func (m mount) getAs(name, path string, f func(*call) error) {
	handler := m.api.handle(m.prefix+name, f)
	m.group.GET(path, handler)
	m.group.HEAD(path, handler)
}

// on answers one method.
func (m mount) on(method, path string, f func(*call) error) {
	m.group.Handle(method, path, m.api.handle(m.prefix+path, f))
}

// preflight answers OPTIONS.
func (m mount) preflight(paths ...string) {
	for _, path := range paths {
		m.on(http.MethodOptions, path, m.api.preflight)
	}
}

// handler answers with a handler that writes everything itself.
func (m mount) handler(path string, handler http.Handler) {
	m.group.Any(path, gin.WrapH(handler))
}

func (m mount) health() {
	m.get("/healthz", m.api.healthz)
	m.get("/readyz", m.api.readyz)
}

// newPublic returns the handler of the listener that everybody reaches.
func (a *API) newPublic(withoutDemo bool) http.Handler {
	engine := a.newEngine()
	at := mount{a, engine.Group(a.basePath), ""}

	const topic = "/v1/:site/:metric/*key"
	at.get(topic, a.readTopic)
	at.on(http.MethodPost, topic, a.like)
	at.on(http.MethodDelete, topic, a.like)
	at.get("/v1/counts", a.counts)
	at.on(http.MethodPost, "/v1/counts", a.countsOfBody)
	at.get("/v1/top/:site/:metric", a.top)
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		// Else the router would take it for a topic of a site named top.
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
			route = "/tally-{hash}.js" // one route in metrics, however many were released
		}
		at.getAs(route, "/"+name, a.script(name))
	}
	at.health()
	if a.admin != nil {
		at.admin()
	}
	if !withoutDemo {
		at.get("/", a.demo)
		at.get("/demo/*page", a.demo)
		at.get("/gallery", a.demo)
		if a.basePath != "" {
			at.get("", func(q *call) error {
				q.w.Header().Set("Location", a.basePath+"/")
				q.w.WriteHeader(http.StatusPermanentRedirect)
				return nil
			})
		}
	}
	return engine
}
