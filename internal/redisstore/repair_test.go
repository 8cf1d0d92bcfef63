package redisstore

import (
	"context"
	"testing"
	"time"
)

// Redis restarts during a slow repair: a fast one follows.
func TestRepair_RestartMeanwhile(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	if err := f.setAllNames(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.options.Intervals.Repair = 400 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan bool)
	go func() { done <- f.repairAll(ctx) }()
	time.Sleep(100 * time.Millisecond) // the first step is later
	f.repairs.isUrgent.Store(true)
	if <-done || !f.repairs.isUrgent.Load() {
		t.Error("the repair that began before the restart is enough")
	}
	if !f.repairAll(ctx) || f.repairs.isUrgent.Load() {
		t.Error("the repair after the restart failed")
	}
}
