package redisstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
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

// A topic returned with older data, while the leaderboard, on another node, has its newer count. A
// repair stores the topic under a version that the leaderboard accepts.
func TestRepair_OlderTopic(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.options.Intervals.Repair = time.Millisecond
	for member := range tally.Member(3) {
		f.assert(t, 7, member+1, 1)
	}
	board, count := f.names.top(leaderboard{"default", "likes"}), f.names.count(f.topic)
	score := func() string {
		if !f.flushRanks(timeout) {
			t.Fatal("the leaderboard is not updated")
		}
		return fmt.Sprint(f.server.Do("ZSCORE", board, "page"))
	}
	if got := score(); got != "-3" {
		t.Fatalf("the leaderboard has %v", got)
	}
	version := f.server.Do("HGET", count, "v")
	if !f.repairAll(t.Context()) || score() != "-3" || f.server.Do("HGET", count, "v") != version {
		t.Error("a repair changed what was right")
	}
	f.server.Do("HSET", count, "n", 1, "v", time.Now().Add(-time.Hour).UnixMicro())
	if !f.repairAll(t.Context()) {
		t.Error("the repair failed")
	}
	if got := score(); got != "-1" {
		t.Errorf("the leaderboard has %v after the repair", got)
	}
}
