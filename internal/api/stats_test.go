package api

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// durations returns the histograms of HTTP requests by method and route.
func (r *rig) durations() map[string]*dto.Histogram {
	r.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newCollector(r.api)); err != nil {
		r.t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]*dto.Histogram{}
	for _, family := range families {
		if family.GetName() != "tallycast_http_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			all[labels["method"]+" "+labels["route"]] = m.GetHistogram()
		}
	}
	return all
}

// A histogram has classic and native buckets, with the same number of observations.
func TestMetrics_NativeHistogram(t *testing.T) {
	r := newRig(t, nil)
	const likes = 5
	for range likes {
		r.do("POST", "/v1/blog/likes/x", "").hasStatus(200)
	}
	h := r.durations()["POST /v1/:site/:metric/*key"]
	if h.GetSampleCount() != likes || h.GetSampleSum() <= 0 || len(h.GetBucket()) != 15 || h.GetSchema() != 3 {
		t.Fatalf("%v", h)
	}
	// Spans are runs of buckets; each has the difference to the bucket before.
	native, bucket := int64(h.GetZeroCount()), int64(0)
	for _, delta := range h.GetPositiveDelta() {
		bucket += delta
		native += bucket
	}
	if native != likes || h.GetCreatedTimestamp().AsTime().Before(r.api.startedAt.Add(-1)) {
		t.Errorf("%v", h)
	}
}

// The durations of requests have routes and methods of the API as labels, whatever clients
// send. Connections have none.
func TestMetrics_DurationLabels(t *testing.T) {
	r := newRig(t, nil)
	_, lines := r.open("GET", "/v1/stream?topic=blog/likes/x", "")
	until(t, lines, "live")
	for _, request := range []ask{
		{"GET", "/v1/blog/likes/x", "", nil}, {"GET", "/v1/blog/likes/y", "", nil}, {"GET", "/healthz", "", nil},
		{"HEAD", "/healthz", "", nil}, {"OPTIONS", "/v1/blog/likes/x", "", nil}, {"GET", "/nosuch", "", nil}, {"BREW", "/v1/blog/likes/x", "", nil},
	} {
		r.send(r.public.URL, request)
	}
	counts := map[string]uint64{}
	for labels, h := range r.durations() {
		counts[labels] = h.GetSampleCount()
	}
	want := map[string]uint64{"GET /v1/:site/:metric/*key": 2, "GET /healthz": 1, "GET none": 1}
	if !maps.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}
