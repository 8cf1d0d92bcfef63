package server

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is returned once after many viewers left, although nothing was allocated since.
func TestFreeMemory_ViewersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watching atomic.Int64
		watching.Store(10 * minLeft)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- freeMemory(ctx, watching.Load) }() // ends with ctx
		freed := func() uint32 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.NumForcedGC
		}
		for _, step := range []struct {
			watching int64
			frees    uint32
		}{
			{10 * minLeft, 0}, {9 * minLeft, 0}, {4 * minLeft, 0}, {0, 0}, {0, 1}, {0, 0},
			{minLeft / 2, 0}, {0, 0}, {0, 0},
		} {
			before := freed()
			watching.Store(step.watching)
			time.Sleep(freeInterval)
			synctest.Wait()
			if frees := freed() - before; frees != step.frees {
				t.Errorf("with %d watching, memory was returned %d times, want %d", step.watching, frees, step.frees)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
