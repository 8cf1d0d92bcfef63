package api

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallycast/tallycast/internal/tally"
)

// countedStatuses are the statuses of this service. All others count as the last one, so
// that counting is one addition.
var countedStatuses = [...]int{
	http.StatusOK, http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusSeeOther, http.StatusNotModified,
	http.StatusPermanentRedirect, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusServiceUnavailable,
	http.StatusInternalServerError,
}

// routeStats counts the responses of one route.
type routeStats struct {
	route  string
	counts [len(countedStatuses)]atomic.Int64
}

func (s *routeStats) count(status int) {
	for i, counted := range &countedStatuses {
		if status == counted {
			s.counts[i].Add(1)
			return
		}
	}
	s.counts[len(countedStatuses)-1].Add(1)
}

// requestStats counts responses by route and status. New adds all routes.
type requestStats struct {
	routes []*routeStats
}

func (s *requestStats) route(name string) *routeStats {
	for _, route := range s.routes {
		if route.route == name {
			return route
		}
	}
	route := &routeStats{route: name}
	s.routes = append(s.routes, route)
	return route
}

const metricPrefix = "tallycast_"

// collector collects the metrics of all parts for Prometheus. It describes none
// beforehand, since they depend on the configuration.
type collector struct {
	api      *API
	requests *prometheus.Desc
}

func newCollector(a *API) collector {
	return collector{api: a, requests: prometheus.NewDesc(metricPrefix+"http_requests_total",
		"Requests answered, by route and status.", []string{"route", "code"}, nil)}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, route := range c.api.requests.routes {
		for i := range route.counts {
			if n := route.counts[i].Load(); n > 0 {
				out <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(n), route.route, strconv.Itoa(countedStatuses[i]))
			}
		}
	}
	for _, part := range append([]tally.Instrumented{c.api.options.Limits, instanceSamples{c.api}}, c.api.options.Instrumented...) {
		for _, m := range part.Metrics() {
			out <- constMetric(m)
		}
	}
}

func constMetric(m tally.Sample) prometheus.Metric {
	kind := prometheus.GaugeValue
	if m.Counter {
		kind = prometheus.CounterValue
	}
	if m.Label == "" {
		return prometheus.MustNewConstMetric(prometheus.NewDesc(metricPrefix+m.Name, m.Help, nil, nil), kind, m.Value)
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(metricPrefix+m.Name, m.Help, []string{m.Label}, nil), kind, m.Value, m.LabelValue)
}

// instanceSamples are the metrics of the store's health and of the instance.
type instanceSamples struct{ api *API }

// Metrics implements [tally.Instrumented].
func (s instanceSamples) Metrics() []tally.Sample {
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	health := s.api.options.Health()
	return []tally.Sample{
		{Name: "store_up", Help: "1 while the store can be used.", Value: flag(health.Reached && health.Err == nil && health.Conflict == nil)},
		{Name: "store_conflict", Help: "1 while the configuration forbids to use the store.", Value: flag(health.Conflict != nil)},
		{Name: "ready", Help: "1 while /readyz says so.", Value: flag(s.api.notReadyReason(health) == "")},
		{Name: "unknown_keys_total", Counter: true, Help: "Writes refused with unknown_key.", Value: float64(s.api.unknownKeys.Load())},
		{Name: "info", Help: "The running version.", Label: "version", LabelValue: s.api.options.Version, Value: 1},
	}
}
