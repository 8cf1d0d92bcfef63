package redisstore

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// After close no flush runs: close stops the timer, and waits for a flush that has begun.
func TestPendingChanges_Close(t *testing.T) {
	for name, elapsed := range map[string]time.Duration{"before the flush": time.Second / 2, "during the flush": 3 * time.Second / 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var flushes, ended atomic.Int64
				g := pendingChanges{interval: time.Second, topics: map[tally.Topic]pendingChange{}}
				g.flush = func() {
					flushes.Add(1)
					time.Sleep(time.Second)
					g.add(tally.Change{Version: 2}, false) // it failed
					ended.Add(1)
				}
				g.add(tally.Change{Version: 1}, false)
				time.Sleep(elapsed)
				g.close()
				if flushes.Load() != ended.Load() {
					t.Error("a flush runs after close")
				}
				began := flushes.Load()
				time.Sleep(time.Minute)
				if flushes.Load() != began {
					t.Error("a flush began after close")
				}
			})
		})
	}
}

// Pending changes that another path took are not flushed again at the end of their interval.
func TestPendingChanges_Take(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flushed []time.Time
		g := pendingChanges{interval: time.Second, topics: map[tally.Topic]pendingChange{}}
		g.flush = func() { flushed = append(flushed, time.Now()) }
		g.add(tally.Change{Version: 1}, false)
		time.Sleep(time.Second / 2)
		if taken := g.take(); len(taken) != 1 {
			t.Errorf("taken: %v", taken)
		}
		g.add(tally.Change{Version: 2}, false)
		began := time.Now()
		time.Sleep(2 * time.Second)
		g.close()
		if len(flushed) != 1 || flushed[0].Sub(began) != time.Second {
			t.Errorf("flushed at %v, after a change at %s", flushed, began)
		}
	})
}
