package api

import "testing"

// One like through the API and a real store, without a network.
func BenchmarkLike(b *testing.B) {
	r := newRig(b, func(o *Options) {
		o.Logger = nil
		o.Limits = limits(1_000_000, 500_000, 1_000_000)
	})
	like := likeRequest(r)
	b.ReportAllocs()
	for b.Loop() {
		like()
	}
}
