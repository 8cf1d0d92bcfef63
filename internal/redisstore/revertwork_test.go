package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A revert takes a few commands for each contribution, and few round trips for many topics.
func TestRevert_Work(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		later    time.Duration
		commands int // for each topic: those of a script, its part of EVALSHA and TIME, and one that reads the journal
	}{{0, 9}, {2 * time.Hour, 14}} {
		t.Run(c.later.String(), func(t *testing.T) {
			t.Parallel()
			testRevertWork(t, c.later, c.commands)
		})
	}
}

func testRevertWork(t *testing.T, later time.Duration, most int) {
	const topics = 1000
	f := newRevertFixture(t, "likes")
	f.ranks.interval, f.gains.interval = time.Hour, time.Hour // leaderboards are not updated meanwhile
	afterNoon := time.Until(time.Now().Truncate(24 * time.Hour).Add(36*time.Hour + 30*time.Minute))
	f.server.SetClock(afterNoon)
	f.assert(t, 2, 1, 1) // until the store has the new time
	batches := make([]tally.Batch, topics)
	for i := range batches {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprintf("page-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		batches[i] = tally.Batch{Topic: topic, Writes: []tally.Write{{Member: tally.Member(i + 1), Source: 1, Amount: 1, MayCreate: true}}}
		if i%2 == 0 { // a member that stays
			batches[i].Writes = append(batches[i].Writes, tally.Write{Member: tally.Member(topics + i + 1), Amount: 1, MayCreate: true})
		}
	}
	for some := range slices.Chunk(batches, 100) {
		f.Apply(t.Context(), some)
		for _, b := range some {
			if b.Err != nil {
				t.Fatal(b.Err)
			}
		}
	}
	f.server.SetClock(afterNoon + later)
	f.assert(t, 2, 2, 1)
	commands := func() (n int) {
		for _, line := range strings.Split(fmt.Sprint(f.server.Do("INFO", "stats")), "\r\n") {
			_, _ = fmt.Sscanf(line, "total_commands_processed:%d", &n)
		}
		return n
	}
	before, trips := commands(), f.stats.roundTrips.Count()
	var entries []tally.JournalEntry
	err := f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		for _, e := range some {
			if e.Source == 1 {
				entries = append(entries, e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reverted, _, err := f.Revert(t.Context(), entries, tally.RevertPast)
	if err != nil || len(reverted) != topics {
		t.Fatalf("%d contributions were reverted, error %v", len(reverted), err)
	}
	used, trips := commands()-before, f.stats.roundTrips.Count()-trips
	if used > most*topics+topics/10 || trips > 2*topics/nearRevertTopics+30 {
		t.Errorf("%d commands and %d round trips for %d topics", used, trips, topics)
	}
}

// Topics that cannot be reverted do not prevent the revert of others in the same call, and are
// reverted later.
func TestRevert_FailuresAmongTopics(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	const topics, failing = nearRevertTopics / 2, 3
	batches := make([]tally.Batch, topics)
	for i := range batches {
		batches[i] = tally.Batch{Topic: numbered(t, "page", i), Writes: []tally.Write{{Member: 1, Source: 1, Amount: 1, MayCreate: true}}}
	}
	f.Apply(t.Context(), batches)
	var entries []tally.JournalEntry
	err := f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		entries = append(entries, some...)
		return nil
	})
	if err != nil || len(entries) != topics {
		t.Fatalf("%d entries, error %v", len(entries), err)
	}
	frozen, wrongCount, members := f.names.count(batches[1].Topic), f.names.count(batches[3].Topic), f.names.members(batches[5].Topic)
	f.server.Do("HSET", frozen, "e", "!mark")
	f.server.Do("HSET", wrongCount, "n", "x")
	f.server.Do("RENAME", members, "members")
	f.server.Do("SET", members, "x")
	reverted, changes, err := f.Revert(t.Context(), entries, tally.RevertPast)
	if err == nil || len(reverted) != topics-failing || len(changes) != topics-failing {
		t.Fatalf("%d contributions to %d topics were reverted, error %v", len(reverted), len(changes), err)
	}
	f.server.Do("HDEL", frozen, "e")
	f.server.Do("HSET", wrongCount, "n", 1)
	f.server.Do("RENAME", "members", members)
	reverted, changes, err = f.Revert(t.Context(), entries, tally.RevertPast)
	if err != nil || len(reverted) != failing || len(changes) != failing {
		t.Fatalf("%d contributions to %d topics were reverted later, error %v", len(reverted), len(changes), err)
	}
	for _, b := range batches {
		if r := f.Read(t.Context(), []tally.Query{{Topic: b.Topic, Member: 1}})[0]; r.Err != nil || r.Change.Count != 0 || r.Mine != 0 {
			t.Errorf("%s: %+v, want 0", b.Topic, r)
		}
	}
}

// Two instances revert the same entries while visitors contribute. Each entry takes something back
// once, and nothing else is lost.
func TestRevert_TwoAtOnce(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	other := f.open(t)
	const topics, each = 300, 3
	var batches []tally.Batch
	for i := range topics {
		topic, err := tally.NewTopic(tally.DefaultSite, []string{"likes", "claps", "views"}[i%3], fmt.Sprintf("page-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		b := tally.Batch{Topic: topic}
		for member := range tally.Member(each) {
			b.Writes = append(b.Writes, tally.Write{Member: member + 1, Source: 1, Amount: 1, MayCreate: true})
		}
		batches = append(batches, b)
	}
	f.Apply(t.Context(), batches)
	var entries []tally.JournalEntry
	err := f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		entries = append(entries, some...)
		return nil
	})
	if err != nil || len(entries) != topics*each {
		t.Fatalf("%d entries, error %v", len(entries), err)
	}
	var work sync.WaitGroup
	var reverted [2][]tally.JournalEntry
	for i, store := range []*Store{f.Store, other} {
		work.Go(func() {
			var err error
			if reverted[i], _, err = store.Revert(context.Background(), entries, tally.RevertPast); err != nil {
				t.Error(err)
			}
		})
	}
	work.Go(func() {
		for _, b := range batches {
			likes := []tally.Batch{{Topic: b.Topic, Writes: []tally.Write{{Member: 100, Source: 2, Amount: 1, MayCreate: true}}}}
			if other.Apply(context.Background(), likes); likes[0].Err != nil {
				t.Error(likes[0].Err)
			}
		}
	})
	work.Wait()
	by := map[tally.JournalEntry]int{}
	for _, e := range append(reverted[0], reverted[1]...) {
		by[e]++
	}
	if n := len(reverted[0]) + len(reverted[1]); len(by) != len(entries) || n != len(entries) {
		t.Errorf("%d of %d entries were reverted, %d times (%v)", len(by), len(entries), n, slices.Max(slices.Collect(maps.Values(by))))
	}
	for _, b := range batches {
		if r := f.Read(t.Context(), []tally.Query{{Topic: b.Topic, Member: 100}})[0]; r.Err != nil || r.Change.Count != 1 || r.Mine != 1 {
			t.Errorf("%s: %+v, want 1", b.Topic, r)
		}
	}
}

// Redis above its memory limit still reverts: a revert needs no memory.
func TestRevert_AboveMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, metric := range []string{"likes", "claps", "votes", "views"} {
		t.Run(metric, func(t *testing.T) {
			t.Parallel()
			f := newRevertFixture(t, metric)
			for member := range tally.Member(3) {
				f.assert(t, 1, member+1, 1)
			}
			entries := f.entries(t, 1)
			f.server.Do("CONFIG", "SET", "maxmemory", 1)
			reverted, _, err := f.Revert(t.Context(), entries[:1], tally.RevertPast)
			if err != nil || len(reverted) != 1 {
				t.Errorf("%d contributions were reverted, error %v", len(reverted), err)
			}
		})
	}
}
