package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tallycast/tallycast/internal/tally"
)

// healthz reports that the process runs.
func (a *API) healthz(q *call) error {
	q.w.Header()["Cache-Control"] = noStore
	q.respondJSON(append(q.buffer[:0], `{"status":"ok"}`...))
	return nil
}

// notReadyReason returns the reason why the instance should get no requests, or "". A store that is
// away is no reason, since then a balancer would stop sending requests to all instances.
func (a *API) notReadyReason(health tally.Health) string {
	switch {
	case a.isDraining.Load():
		return "draining"
	case health.Conflict != nil:
		return "conflict"
	case !health.Reached:
		return "starting"
	}
	return ""
}

// readiness is the body of /readyz.
type readiness struct {
	Status  string `json:"status"` // ready, starting, draining or conflict
	Version string `json:"version"`
	Store   struct {
		Status string `json:"status"` // up, away or conflict
		Error  string `json:"error,omitempty"`
	} `json:"store"`
	Replica  *replicaReadiness `json:"replica,omitempty"` // only with --store-replica
	Warnings []string          `json:"warnings"`
}

// replicaReadiness describes the replica in the body of /readyz.
type replicaReadiness struct {
	Status     string  `json:"status"` // used; or away, while the store is used instead
	LagSeconds float64 `json:"lag_seconds"`
	Error      string  `json:"error,omitempty"`
}

// newReplicaReadiness returns nil without a replica.
func newReplicaReadiness(h *tally.ReplicaHealth) *replicaReadiness {
	if h == nil {
		return nil
	}
	r := &replicaReadiness{Status: "away", LagSeconds: h.Lag.Seconds()}
	if h.IsUsed {
		r.Status = "used"
	}
	if h.Err != nil {
		r.Error = h.Err.Error()
	}
	return r
}

// readyz reports whether the instance should get requests.
func (a *API) readyz(q *call) error {
	health := a.options.Health()
	reason := a.notReadyReason(health)
	status := http.StatusOK
	shown := "ready"
	if reason != "" {
		status, shown = http.StatusServiceUnavailable, reason
		q.w.Header().Set("Retry-After", "1")
	}
	body := readiness{Status: shown, Version: a.options.Version, Replica: newReplicaReadiness(health.Replica), Warnings: []string{}}
	body.Store.Status = "up"
	cause := health.Err
	switch {
	case health.Conflict != nil:
		body.Store.Status, cause = "conflict", health.Conflict
	case health.Err != nil || !health.Reached:
		body.Store.Status = "away"
	}
	if cause != nil {
		body.Store.Error = cause.Error()
	}
	body.Warnings = append(body.Warnings, health.Warnings...)
	if a.silentProxies.isFound.Load() {
		body.Warnings = append(body.Warnings, silentProxyWarning)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h["Cache-Control"] = noStore
	h["Content-Type"] = jsonType
	q.respond(status, text)
	return nil
}

// newInternal returns the handler of the operator's listener.
func (a *API) newInternal() (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{newCollector(a), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	// Without OpenMetrics, in which delivery_lag_seconds_total and the histogram
	// delivery_lag_seconds would be one metric.
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	engine := a.newEngine()
	at := mount{a, &engine.RouterGroup, "internal "}
	at.health()
	at.handler("/metrics", metrics)
	at.handler("/debug/pprof/*profile", profiles(a.options.CommandLine))
	return engine, nil
}

// profiles serves net/http/pprof, with commandLine instead of the arguments of the process.
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
