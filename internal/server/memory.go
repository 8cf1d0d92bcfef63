package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// freeInterval is how often idle memory is looked for.
	freeInterval = 10 * time.Second
	// minIdle is how many bytes must be idle, and at least an eighth of the heap.
	minIdle = 1 << 20
)

// freeMemory returns memory to the system whenever the process has become quiet, until ctx
// ends. Viewers that connect at once leave as much garbage as they keep; the runtime would
// hold it for minutes, because a quiet process collects no garbage.
func freeMemory(ctx context.Context) error {
	tick := time.NewTicker(freeInterval)
	defer tick.Stop()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	freed := before.TotalAlloc
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		runtime.ReadMemStats(&now)
		quiet := now.NumGC == before.NumGC
		idle := now.TotalAlloc - freed // at most this much has become garbage
		if quiet && idle > minIdle && idle > now.HeapAlloc/8 {
			debug.FreeOSMemory()
			freed = now.TotalAlloc
			runtime.ReadMemStats(&now)
		}
		before = now
	}
}
