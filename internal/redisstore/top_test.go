package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

const testBoard, testVersions = "{board}", "{board}:versions"

// updateBoard updates a leaderboard of keep topics with arguments of script/top.lua.
func updateBoard(store *Store, keep int, args ...any) error {
	calls := []redistopology.Call{redistopology.NewCall(topScript, testBoard, testVersions)}
	calls[0].Append(keep)
	calls[0].Append(args...)
	store.topology.Call(context.Background(), calls)
	return calls[0].Err
}

// A leaderboard has the highest of the topics that it had and of those that changed.
func TestTop_Model(t *testing.T) {
	t.Parallel()
	type rank struct {
		key            string
		count, version int64
	}
	const keep = 3
	server := redistest.Start(t, redistest.Options{})
	store := openAt(t, server.URL(0))
	rapid.Check(t, func(rt *rapid.T) {
		server.Do("DEL", testBoard, testVersions)
		var ranks []rank
		cut := false
		for range rapid.IntRange(1, 6).Draw(rt, "calls") {
			var args []any
			for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "A", "aa", "b", "ä", "z", "za"}), 1, 7, rapid.ID).Draw(rt, "keys") {
				r := rank{key, rapid.Int64Range(0, 3).Draw(rt, "count"), rapid.Int64Range(1, 8).Draw(rt, "version")}
				deleted := rapid.IntRange(0, 4).Draw(rt, "deleted") == 0
				if deleted {
					args = append(args, r.key, "", r.version)
				} else {
					args = append(args, r.key, -r.count, r.version)
				}
				at := slices.IndexFunc(ranks, func(old rank) bool { return old.key == key })
				if at >= 0 && (ranks[at].version < r.version || deleted && ranks[at].version == r.version) {
					ranks = slices.Delete(ranks, at, at+1)
					at = -1
				}
				if at < 0 && !deleted {
					ranks = append(ranks, r)
				}
			}
			slices.SortFunc(ranks, func(a, b rank) int { return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.key, b.key)) })
			cut = cut || len(ranks) > keep
			ranks = ranks[:min(keep, len(ranks))]
			if err := updateBoard(store, keep, args...); err != nil {
				rt.Fatal(err)
			}
			want, got := "", ""
			scores, err := store.client.ZRangeWithScores(context.Background(), testBoard, 0, -1).Result()
			if err != nil {
				rt.Fatal(err)
			}
			for _, z := range scores {
				got += fmt.Sprintf("%s %d,", z.Member, -int64(z.Score))
			}
			for _, r := range ranks {
				want += fmt.Sprintf("%s %d,", r.key, r.count)
				if version := server.Do("HGET", testVersions, r.key); version != fmt.Sprint(r.version) {
					rt.Fatalf("the version of %s is %v, want %d", r.key, version, r.version)
				}
			}
			if got != want {
				rt.Fatalf("after %v the leaderboard has %s, want %s", args, got, want)
			}
			size := int64(len(ranks))
			if cut {
				size++
			}
			if n := server.Do("HLEN", testVersions); n != size {
				rt.Fatalf("%v versions of %d topics", n, len(ranks))
			}
		}
	})
}

// A topic that comes after the end of a full leaderboard costs Redis no write.
func TestTop_AfterTheEnd(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := openAt(t, server.URL(0))
	if err := updateBoard(store, 2, "a", -2, 1, "b", -1, 1); err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "RESETSTAT")
	if err := updateBoard(store, 2, "c", -1, 2, "bb", -1, 2, "d", 0, 2); err != nil {
		t.Fatal(err)
	}
	if stats := fmt.Sprint(server.Do("INFO", "commandstats")); strings.Contains(stats, "cmdstat_zadd:") || strings.Contains(stats, "cmdstat_zrem:") {
		t.Errorf("commands: %s", stats)
	}
	if cut := server.Do("HGET", testVersions, ""); cut != "1" {
		t.Errorf("the leaderboard is not marked as cut: %v", cut)
	}
}

// If the timeout ends an update of many topics, the next one continues it.
func TestFlushRanks_Timeout(t *testing.T) {
	t.Parallel()
	const topics = 1000
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.StartProxy(t, server.Addr)
	store := openAt(t, "redis://"+proxy.Addr)
	store.ranks.interval = time.Hour
	proxy.Delay(2 * time.Millisecond)
	for i := range topics {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprint("page-", i))
		if err != nil {
			t.Fatal(err)
		}
		store.ranks.add(tally.Change{Topic: topic, Count: 1, Version: 1}, false)
	}
	for began := time.Now(); !store.flushRanks(80 * time.Millisecond); {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d topics are still pending", len(store.ranks.topics))
		}
	}
	for _, key := range []string{store.names.top(siteMetric{tally.DefaultSite, "likes"}), store.names.directory(tally.DefaultSite), store.names.topicNames(tally.DefaultSite)} {
		if n := server.Do("ZCARD", key); n != int64(topics) {
			t.Errorf("%s has %v topics", key, n)
		}
	}
}

// After many edits few changes of leaderboards and directories are pending, so that the last flush writes them.
func TestEdit_FewPendingRanks(t *testing.T) {
	t.Parallel()
	store := openAt(t, redistest.Start(t, redistest.Options{}).URL(0))
	store.ranks.interval = time.Hour
	edits := make([]tally.Edit, maxLastChanges+1)
	for i := range edits {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprint("page-", i))
		if err != nil {
			t.Fatal(err)
		}
		edits[i] = tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: 1}
	}
	store.Edit(t.Context(), edits)
	if n := len(store.ranks.topics); n > maxLastChanges {
		t.Errorf("%d changes are pending", n)
	}
}
