package api

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tallycast/tallycast/internal/tally"
)

// countedStatuses are the statuses of this service. All others count as the last one. So counting
// takes one addition, without a map.
var countedStatuses = [...]int{
	http.StatusOK, http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusSeeOther, http.StatusNotModified,
	http.StatusPermanentRedirect, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusServiceUnavailable,
	http.StatusInternalServerError,
}

// measuredMethods are the methods whose durations are counted: those that read or change
// something.
var measuredMethods = [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// routeStats counts the responses of one route.
type routeStats struct {
	route  string
	counts [len(countedStatuses)]atomic.Int64
	// durations are nil before the first call, since most routes have one or two methods.
	durations [len(measuredMethods)]atomic.Pointer[tally.Histogram]
}

// measure counts the duration of a call.
func (s *routeStats) measure(method string, took time.Duration) {
	for i, measured := range &measuredMethods {
		if method != measured {
			continue
		}
		h := s.durations[i].Load()
		if h == nil {
			s.durations[i].CompareAndSwap(nil, &tally.Histogram{})
			h = s.durations[i].Load()
		}
		h.Observe(took)
		return
	}
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

// collector collects the metrics of all parts for Prometheus. It describes none in advance, since they
// depend on the configuration.
type collector struct {
	api                 *API
	requests, durations *prometheus.Desc
}

func newCollector(a *API) collector {
	return collector{
		api: a,
		requests: prometheus.NewDesc(metricPrefix+"http_requests_total",
			"Requests answered, by route and status.", []string{"route", "code"}, nil),
		durations: prometheus.NewDesc(metricPrefix+"http_request_duration_seconds",
			"Time to answer a request, by route and method, without streams and WebSockets.", []string{"route", "method"}, nil),
	}
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
		for i := range route.durations {
			if h := route.durations[i].Load(); h != nil {
				out <- c.histogram(c.durations, h.State(), route.route, measuredMethods[i])
			}
		}
	}
	for _, part := range append([]tally.Instrumented{c.api.options.Limits, c.api}, c.api.options.Instrumented...) {
		for _, m := range part.Metrics() {
			out <- c.metric(m)
		}
	}
}

func (c collector) metric(m tally.Sample) prometheus.Metric {
	var labels, values []string
	if m.Label != "" {
		labels, values = []string{m.Label}, []string{m.LabelValue}
	}
	desc := prometheus.NewDesc(metricPrefix+m.Name, m.Help, labels, nil)
	switch {
	case m.Histogram != nil:
		return c.histogram(desc, m.Histogram.State(), values...)
	case m.Counter:
		return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, m.Value, values...)
	}
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, m.Value, values...)
}

func (c collector) histogram(desc *prometheus.Desc, s tally.HistogramState, labels ...string) prometheus.Metric {
	return histogramMetric{
		Metric: prometheus.MustNewConstHistogram(desc, s.Count, s.Sum, s.Classic, labels...),
		native: prometheus.MustNewConstNativeHistogram(desc, s.Count, s.Sum, s.Native, nil, s.Zero, s.Schema, s.ZeroThreshold, c.api.startedAt, labels...),
	}
}

// histogramMetric is a histogram with classic and native buckets. The text format shows the
// classic ones, the protobuf format both.
type histogramMetric struct {
	prometheus.Metric // with classic buckets
	native            prometheus.Metric
}

// Write implements prometheus.Metric.
func (m histogramMetric) Write(out *dto.Metric) error {
	var native dto.Metric
	if err := errors.Join(m.Metric.Write(out), m.native.Write(&native)); err != nil {
		return err
	}
	native.Histogram.Bucket = out.Histogram.Bucket
	out.Histogram = native.Histogram
	return nil
}

// Metrics implements [tally.Instrumented], for the store's health and the instance.
func (a *API) Metrics() []tally.Sample {
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	health := a.options.Health()
	return []tally.Sample{
		{Name: "store_up", Help: "1 while the store can be used.", Value: flag(health.Reached && health.Err == nil && health.Conflict == nil)},
		{Name: "store_conflict", Help: "1 while the configuration conflicts with the store, which is then not used.", Value: flag(health.Conflict != nil)},
		{Name: "ready", Help: "1 while /readyz reports that the instance is ready.", Value: flag(a.notReadyReason(health) == "")},
		{Name: "unknown_keys_total", Counter: true, Help: "Writes refused with unknown_key.", Value: float64(a.unknownKeys.Load())},
		{Name: "info", Help: "The running version.", Label: "version", LabelValue: a.options.Version, Value: 1},
	}
}
