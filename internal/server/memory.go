package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// freeInterval is the interval of checks for idle memory.
	freeInterval = time.Second
	// maxQuiet is the most bytes that a quiet process allocates in that interval.
	maxQuiet = 1 << 20
	// minIdle is the least number of idle bytes for which memory is returned. It must also be an
	// eighth of the heap.
	minIdle = 1 << 20
	// minLeft is the least number of viewers and watched topics that must have left. It must also be
	// a quarter of them.
	minLeft = 1000
)

// freeMemory returns memory to the system whenever the process has become quiet or many viewers have
// left, until ctx ends. Many viewers that connect at the same time cause as much garbage as memory in
// use. The runtime would keep the garbage for minutes, because a quiet process collects none, and also
// the memory of viewers that left. watching returns the number of viewers plus that of watched topics.
func freeMemory(ctx context.Context, watching func() int64) error {
	tick := time.NewTicker(freeInterval)
	defer tick.Stop()
	before, held := readHeap(), watching()
	freed, most := before.allocated, held
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := readHeap()
		isQuiet := now.cycles == before.cycles && now.allocated-before.allocated < maxQuiet
		idle := now.allocated - freed // at most this much has become garbage
		was := held
		held = watching()
		most = max(most, held)
		haveLeft := held >= was && most-held >= max(minLeft, most/4) // and no more of them leave now
		if haveLeft || isQuiet && idle > minIdle && idle > now.objects/8 {
			debug.FreeOSMemory()
			now = readHeap()
			freed, most = now.allocated, held
		}
		before = now
	}
}

// heap is the state of the heap: garbage collections, and bytes allocated since the start
// and in objects, some of which may be garbage.
type heap struct{ cycles, allocated, objects uint64 }

// readHeap reads the state of the heap without stopping the process.
func readHeap() heap {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
}
