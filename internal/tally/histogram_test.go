package tally_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// Each duration is in the native bucket and in the classic buckets that Prometheus defines
// for it.
func TestHistogram_Buckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.OneOf(
			rapid.Int64Range(0, int64(100*time.Second)),
			rapid.Int64Range(0, int64(time.Millisecond)),
			rapid.SampledFrom([]int64{0, 1, 100_000, 100_001, 61_035, 61_036, int64(time.Second), int64(5 * time.Second), int64(5*time.Second) + 1, int64(64 * time.Second), math.MaxInt64}),
		).Draw(t, "duration"))
		var h tally.Histogram
		h.Observe(d)
		s := h.State()
		if s.Count != 1 || s.Sum != d.Seconds() || h.Count() != 1 {
			t.Errorf("count %d, sum %v", s.Count, s.Sum)
		}
		if len(s.Classic) != 15 {
			t.Errorf("%d classic buckets", len(s.Classic))
		}
		for bound, n := range s.Classic {
			if want := d <= time.Duration(math.Round(bound*1e9)); (n == 1) != want {
				t.Errorf("%d at most %v s", n, bound)
			}
		}
		if d.Seconds() <= s.ZeroThreshold {
			if s.Zero != 1 || len(s.Native) > 0 {
				t.Errorf("zero %d, native %v", s.Zero, s.Native)
			}
			return
		}
		if s.Zero != 0 || len(s.Native) != 1 {
			t.Fatalf("zero %d, native %v", s.Zero, s.Native)
		}
		// Bucket i has the durations above base^(i-1) and up to base^i.
		base := math.Exp2(math.Exp2(-float64(s.Schema)))
		for i := range s.Native {
			low, high := math.Pow(base, float64(i-1)), math.Pow(base, float64(i))
			const rounding = 1e-9 // of bounds, to nanoseconds
			if d.Seconds() < low-rounding || d.Seconds() > high+rounding && d <= 64*time.Second {
				t.Errorf("bucket %d, from %v to %v s", i, low, high)
			}
		}
	})
}

// All observations add up, and bounds are where dashboards need them.
func TestHistogram_Sums(t *testing.T) {
	var h tally.Histogram
	for _, d := range []time.Duration{50 * time.Microsecond, 300 * time.Microsecond, 310 * time.Microsecond, 3 * time.Second, time.Minute} {
		h.Observe(d)
	}
	s := h.State()
	if s.Count != 5 || s.Classic[0.0001] != 1 || s.Classic[0.0005] != 3 || s.Classic[2.5] != 3 || s.Classic[5] != 4 {
		t.Errorf("%+v", s)
	}
	if s.Sum < 63 || s.Sum > 63.001 {
		t.Errorf("sum %v", s.Sum)
	}
}

func TestHistogram_ObserveAllocations(t *testing.T) {
	var h tally.Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(3 * time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHistogram_Observe(b *testing.B) {
	var h tally.Histogram
	for i := range b.N {
		h.Observe(time.Duration(i) * time.Microsecond)
	}
}
