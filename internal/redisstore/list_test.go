package redisstore_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Pages by count have the topics beyond the end of a leaderboard too, by one scan.
func TestList_ByCountBeyondLeaderboard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	const size, more = 10_000, 300
	store := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{TopInterval: 10 * time.Millisecond}}.connect(t, catalog(), prefix)
	var want []tally.Change
	var batches []tally.Batch
	assertOn := func(text string, amount int64) {
		topic := topic(t, text)
		batches = append(batches, tally.Batch{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: amount, MayCreate: true}}})
		want = append(want, tally.Change{Topic: topic, Count: amount})
	}
	for i := range size + more {
		assertOn(fmt.Sprintf("default/claps/%05d", i), int64(1+i%50))
		if i%100 == 0 {
			assertOn(fmt.Sprintf("default/likes/%05d", i), 1)
		}
	}
	for chunk := range slices.Chunk(batches, tally.MaxPortion) {
		ctx, cancel := context.WithTimeout(t.Context(), processtest.Timeout)
		store.Apply(ctx, chunk)
		cancel()
		for _, b := range chunk {
			if b.Err != nil {
				t.Fatal(b.Err)
			}
		}
	}
	leaderboard := prefix + ":top:{default/claps}"
	processtest.Eventually(t, "the leaderboard is full", func() bool {
		return server.Do("ZCARD", leaderboard) == int64(size) && server.Do("HEXISTS", leaderboard+":versions", "") == int64(1) &&
			server.Do("ZCARD", prefix+":topics:{default}") == int64(len(want))
	})
	slices.SortFunc(want, func(a, b tally.Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Topic.String(), b.Topic.String()))
	})
	// A leaderboard that lost topics still says that it does not have all.
	for _, deleted := range want[:3] {
		edit(t, store, tally.Edit{Topic: deleted.Topic, Kind: tally.EditDelete})
	}
	want = want[3:]
	processtest.Eventually(t, "the leaderboard has fewer topics", func() bool { return server.Do("ZCARD", leaderboard) == int64(size-3) })

	before := server.Calls("scan")
	listing := tally.Listing{Order: tally.ByCount}
	for pages := 1; ; pages++ {
		page, err := store.List(t.Context(), listing)
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range page.States {
			if i >= len(want) || state.Topic != want[i].Topic || state.Count != want[i].Count {
				t.Fatalf("page %d has %s with %d as topic %d of %d expected", pages, state.Topic, state.Count, i, len(want))
			}
		}
		want = want[len(page.States):]
		if listing.After = page.Next; page.Next == "" {
			break
		}
	}
	keys, _ := server.Do("DBSIZE").(int64)
	if n := server.Calls("scan") - before; len(want) > 0 || n > int(keys)/1000+1 {
		t.Errorf("%d topics are missing; %d scan steps of %d keys", len(want), n, keys)
	}
}

// While Redis refuses the changes of leaderboards and directories, lists have all topics in order.
func TestList_FullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{TopInterval: time.Hour}}.connect(t, catalog(), newPrefix())
	const size = 250
	var topics []tally.Topic
	for i := range size {
		topics = append(topics, topic(t, fmt.Sprintf("default/likes/%03d", i)))
	}
	number := func(factor int) func(int) int64 {
		return func(i int) int64 { return int64(1000 + i*factor%size) }
	}
	restoreEach(t, store, topics, number(7), number(11))
	server.Do("CONFIG", "SET", "maxmemory", 1)
	for order, valueOf := range map[tally.Order]func(tally.State) int64{
		tally.ByTopic:  func(tally.State) int64 { return 0 },
		tally.ByNewest: func(s tally.State) int64 { return s.Version },
		tally.ByCount:  func(s tally.State) int64 { return s.Count },
	} {
		var got []tally.State
		listing := tally.Listing{Order: order, Limit: 100}
		for pages := 0; pages == 0 || listing.After != "" && pages < 5; pages++ {
			page, err := store.List(t.Context(), listing)
			if err != nil {
				t.Fatal(err)
			}
			got, listing.After = append(got, page.States...), page.Next
		}
		if len(got) != size || !slices.IsSortedFunc(got, func(a, b tally.State) int {
			return cmp.Or(cmp.Compare(valueOf(b), valueOf(a)), strings.Compare(a.Topic.String(), b.Topic.String()))
		}) {
			t.Errorf("the list in order %d has %d topics, of %d", order, len(got), size)
		}
	}
}
