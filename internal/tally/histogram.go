package tally

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// nativeSchema is Prometheus's number of the resolution: 2^3 buckets for each power of
	// two, so that a quantile is wrong by 5% at most.
	nativeSchema = 3
	// lowestPower and highestPower bound the buckets: 2^-14 s is 61 µs, below which durations
	// need no buckets, and 2^6 s is above every timeout.
	lowestPower, highestPower = -14, 6
	// histogramCounters is the number of different bounds, and one more counter for durations
	// above all. A classic bound divides a native bucket, except 1 s, which is a native bound.
	histogramCounters = (highestPower-lowestPower)<<nativeSchema + 1 + len(classicBounds) - 1 + 1
)

// classicBounds are the upper bounds of the classic buckets, in seconds.
var classicBounds = [...]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// durationBound is the upper bound of a counter of a [Histogram].
type durationBound struct {
	limit  time.Duration // inclusive
	native int           // the native bucket that the counter is part of
}

// durationBounds are the bounds of all counters but the last, ascending.
var durationBounds = newDurationBounds()

func newDurationBounds() (bounds []durationBound) {
	for i := lowestPower << nativeSchema; i <= highestPower<<nativeSchema; i++ {
		seconds := math.Exp2(float64(i) / (1 << nativeSchema))
		bounds = append(bounds, durationBound{time.Duration(seconds * float64(time.Second)), i})
	}
	for _, seconds := range classicBounds {
		native := math.Ceil(math.Log2(seconds) * (1 << nativeSchema))
		bounds = append(bounds, durationBound{classicLimit(seconds), int(native)})
	}
	slices.SortFunc(bounds, func(a, b durationBound) int { return cmp.Compare(a.limit, b.limit) })
	return slices.Compact(bounds)
}

func classicLimit(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}

// Histogram counts durations for a native histogram of Prometheus and for classic buckets.
// The zero value is empty. Its methods may be called concurrently; Observe neither locks nor
// allocates.
type Histogram struct {
	counters [histogramCounters]atomic.Int64 // by bound; the last one counts durations above all
	sum      atomic.Int64                    // in nanoseconds
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i, _ := slices.BinarySearchFunc(durationBounds, d, func(bound durationBound, d time.Duration) int {
		return cmp.Compare(bound.limit, d)
	})
	h.counters[i].Add(1)
	h.sum.Add(int64(d))
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n int64) {
	for i := range h.counters {
		n += h.counters[i].Load()
	}
	return n
}

// HistogramState is the content of a [Histogram] in Prometheus's form.
type HistogramState struct {
	Count uint64
	Sum   float64 // in seconds
	// Classic has the number of durations up to each classic bound, which is in seconds.
	Classic map[float64]uint64
	// Native has the buckets with durations, by index. Zero counts those up to ZeroThreshold.
	Native        map[int]int64
	Schema        int32
	Zero          uint64
	ZeroThreshold float64 // in seconds
}

// State returns the content. Count is the sum of the buckets even during calls of Observe.
func (h *Histogram) State() HistogramState {
	state := HistogramState{
		Sum: time.Duration(h.sum.Load()).Seconds(), Classic: make(map[float64]uint64, len(classicBounds)),
		Native: map[int]int64{}, Schema: nativeSchema, ZeroThreshold: math.Exp2(lowestPower),
	}
	classic := classicBounds[:]
	for i := range h.counters {
		n := h.counters[i].Load()
		state.Count += uint64(n)
		native := highestPower<<nativeSchema + 1 // the last bucket, without an upper bound
		if i < len(durationBounds) {
			native = durationBounds[i].native
			if len(classic) > 0 && durationBounds[i].limit == classicLimit(classic[0]) {
				state.Classic[classic[0]] = state.Count
				classic = classic[1:]
			}
		}
		switch {
		case i == 0:
			state.Zero = uint64(n)
		case n > 0:
			state.Native[native] += n
		}
	}
	return state
}
