package api

import (
	"testing"
	"time"
)

// One like through the whole edge and a real store, without a network.
func BenchmarkLike(b *testing.B) {
	r := newRig(b, func(o *Options) {
		o.Logger = nil
		o.WriteLimit, o.ReadLimit, o.NewTopicLimit = Limit{1_000_000, time.Second}, Limit{500, time.Second}, Limit{200, time.Hour}
	})
	like := likeRequest(r)
	b.ReportAllocs()
	for b.Loop() {
		like()
	}
}
