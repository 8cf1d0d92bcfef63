package redisstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// Redis restarts during a slow repair: a fast one follows.
func TestRepair_RestartMeanwhile(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	if err := f.setAllNames(t.Context()); err != nil {
		t.Fatal(err)
	}
	const steps = 100
	f.server.Do("EVAL", "for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, '') end", 0, steps*scanChunk)
	f.options.Intervals.Repair = 40 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	done, before := make(chan bool), f.server.Calls("scan")
	go func() { done <- f.repairAll(ctx) }()
	processtest.Eventually(t, "the first step", func() bool { return f.server.Calls("scan") > before })
	f.repairs.isUrgent.Store(true) // two seconds before the last step
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
	board, count := f.names.top(siteMetric{"default", "likes"}), f.names.count(f.topic)
	score := func() string {
		if !f.flushRanks(f.options.Timeout) {
			t.Fatal("the leaderboard is not updated")
		}
		return fmt.Sprint(f.server.Do("ZSCORE", board, "page"))
	}
	if got := score(); got != "-3" {
		t.Fatalf("the leaderboard has %v", got)
	}
	version := f.server.Do("HGET", count, "v")
	if !f.repairAll(t.Context()) || score() != "-3" || f.server.Do("HGET", count, "v") != version {
		t.Error("a repair changed a leaderboard that was right")
	}
	f.server.Do("HSET", count, "n", 1, "v", time.Now().Add(-time.Hour).UnixMicro())
	if !f.repairAll(t.Context()) {
		t.Error("the repair failed")
	}
	if got := score(); got != "-1" {
		t.Errorf("the leaderboard has %v after the repair", got)
	}
}

// A topic that is deleted after a repair read it stays deleted.
func TestRepair_DeletedTopic(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.assert(t, 7, 1, 1)
	if !f.flushRanks(f.options.Timeout) {
		t.Fatal("the leaderboard is not updated")
	}
	readings := f.readStored(t.Context(), []tally.Query{{Topic: f.topic}})
	readings[0].Change.Version -= 10 // the leaderboard got a change meanwhile
	f.server.Do("DEL", f.names.count(f.topic))
	if err := f.reissueOlder(t.Context(), readings); err != nil {
		t.Fatal(err)
	}
	if got := f.server.Do("HGET", f.names.count(f.topic), "v"); got != nil {
		t.Errorf("the repair created the topic with version %v", got)
	}
}

// The copy of names ends although topics change faster than it copies.
func TestRepair_CopyWhileTopicsChange(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var version atomic.Int64
	change := func() {
		v := version.Add(1)
		f.client.ZAdd(ctx, f.names.directory(tally.DefaultSite), redis.Z{Score: float64(v), Member: fmt.Sprint("likes/", v%700)})
	}
	for range 700 {
		change()
	}
	var writers sync.WaitGroup
	copied := make(chan struct{})
	for range 8 {
		writers.Go(func() {
			for {
				select {
				case <-copied:
					return
				default:
					change()
				}
			}
		})
	}
	if err := f.copySiteNames(ctx, tally.DefaultSite); err != nil {
		t.Error(err)
	}
	close(copied)
	writers.Wait()
}
