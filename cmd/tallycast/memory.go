package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// trimEvery is how often it is looked at whether memory lies idle.
	trimEvery = 10 * time.Second
	// trimLeast is how much must lie idle, in bytes, beside an eighth of the heap.
	trimLeast = 1 << 20
)

// trim gives memory back to the system when the process has become quiet, until
// ctx ends. A herd of viewers that connects leaves garbage as large as what is
// kept of it, which the runtime would hold for minutes, since a quiet process
// collects nothing.
func trim(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	trimmed := before.TotalAlloc
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		runtime.ReadMemStats(&now)
		quiet := now.NumGC == before.NumGC
		idle := now.TotalAlloc - trimmed // at most this much is garbage since
		if quiet && idle > trimLeast && idle > now.HeapAlloc/8 {
			debug.FreeOSMemory()
			trimmed = now.TotalAlloc
			runtime.ReadMemStats(&now)
		}
		before = now
	}
}
