package api

import (
	"io"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tallycast/tallycast/internal/tally"
)

// healthz tells that the process answers.
func (a *API) healthz(q *call) error {
	q.w.Header()["Cache-Control"] = noStore
	q.respondJSON(append(q.buffer[:0], `{"status":"ok"}`...))
	return nil
}

// notReadyReason says why the instance should get no requests; empty where it should.
// A store that is away is no reason: to take every instance out of the balancer
// would help nobody.
func (a *API) notReadyReason(health tally.Health) string {
	switch {
	case a.draining.Load():
		return "draining"
	case health.Conflict != nil:
		return "conflict"
	case !health.Reached:
		return "starting"
	}
	return ""
}

// readyz tells whether the instance should get requests:
//
//	{"status":"ready","version":"1.2.3","store":{"status":"up"},"warnings":[]}
//
// Status is ready, starting, draining or conflict; the store's is up, away (with
// error) or conflict (with error).
func (a *API) readyz(q *call) error {
	health := a.health()
	reason := a.notReadyReason(health)
	status := http.StatusOK
	shown := "ready"
	if reason != "" {
		status, shown = http.StatusServiceUnavailable, reason
		q.w.Header().Set("Retry-After", "1")
	}
	store, cause := "up", error(nil)
	switch {
	case health.Conflict != nil:
		store, cause = "conflict", health.Conflict
	case health.Err != nil || !health.Reached:
		store, cause = "away", health.Err
	}
	body := append(q.buffer[:0], `{"status":"`...)
	body = append(body, shown...)
	body = append(body, `","version":`...)
	body = tally.AppendJSONString(body, a.version)
	body = append(body, `,"store":{"status":"`...)
	body = append(body, store...)
	body = append(body, '"')
	if cause != nil {
		body = append(body, `,"error":`...)
		body = tally.AppendJSONString(body, cause.Error())
	}
	body = append(body, `},"warnings":[`...)
	warnings := health.Warnings
	if a.silentProxies.isFound.Load() {
		warnings = append(slices.Clone(warnings), silentProxyWarning)
	}
	for i, warning := range warnings {
		if i > 0 {
			body = append(body, ',')
		}
		body = tally.AppendJSONString(body, warning)
	}
	body = append(body, "]}"...)
	h := q.w.Header()
	h["Cache-Control"] = noStore
	h["Content-Type"] = jsonType
	q.respond(status, body)
	return nil
}

// newInternal returns the handler of the operator's listener.
func (a *API) newInternal(commandLine []string) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{newCollector(a), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	engine := a.newEngine()
	at := mount{a, &engine.RouterGroup, "internal "}
	at.health()
	at.handler("/metrics", metrics)
	at.handler("/debug/pprof/*profile", profiles(commandLine))
	return engine, nil
}

// profiles serves net/http/pprof, with commandLine instead of the process's arguments.
func profiles(commandLine []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/debug/pprof/cmdline":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header()["X-Content-Type-Options"] = noSniff
			_, _ = io.WriteString(w, strings.Join(commandLine, "\x00")) // the client may be gone
		case "/debug/pprof/profile":
			pprof.Profile(w, r)
		case "/debug/pprof/symbol":
			pprof.Symbol(w, r)
		case "/debug/pprof/trace":
			pprof.Trace(w, r)
		default:
			pprof.Index(w, r)
		}
	})
}
