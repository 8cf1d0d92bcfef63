package redisstore_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// listed returns the topics of all pages of a listing.
func listed(t *testing.T, store *redisstore.Store, listing tally.Listing) (topics []string) {
	t.Helper()
	for {
		page, err := store.List(t.Context(), listing)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range page.States {
			topics = append(topics, state.Topic.String())
		}
		if listing.After = page.Next; page.Next == "" {
			return topics
		}
	}
}

func repairing(interval time.Duration) redisstore.Options {
	return redisstore.Options{TopInterval: 10 * time.Millisecond, Intervals: redisstore.Intervals{Repair: interval, RepairAgain: 10 * interval}}
}

// repairingOnce makes changes cause no repair.
func repairingOnce() redisstore.Options {
	options := repairing(10 * time.Millisecond)
	options.Intervals.RepairAgain = time.Hour
	return options
}

// waitForRepair waits until the first repair ended.
func waitForRepair(t *testing.T, server *redistest.Server, prefix string) {
	t.Helper()
	waitForNames(t, server, prefix+":names:{default}")
	processtest.Eventually(t, "the repair has ended", func() bool { return server.Do("EXISTS", prefix+":lease:repair") == int64(0) })
}

// waitForNames waits until the directory by name of the site default has all topics.
func waitForNames(t *testing.T, server *redistest.Server, names string) {
	t.Helper()
	processtest.Eventually(t, "the directory by name is complete", func() bool { return server.Do("ZSCORE", names, "") != nil })
}

// Lists by name are complete and in order before and after the first repair, and scan no keys
// after it.
func TestList_ByNameAfterUpgrade(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	catalog := tally.NewCatalog([]string{"default", "blog"}, tally.DefaultMetrics())
	store := storeConfig{server: server, url: server.URL(0), options: repairingOnce()}.connect(t, catalog, prefix)
	var want []string
	for _, text := range []string{"blog/likes/a", "default/heart/~", "default/likes/p", "default/likes/p-1", "default/likes/p/1", "default/likes/p1", "default/likes/pé", "default/likes/q", "default/views/a"} {
		like(t, store, topic(t, text), 1)
		want = append(want, text)
	}
	names := prefix + ":names:{default}"
	processtest.Eventually(t, "the directory has the topics", func() bool { return server.Do("ZCARD", names) == int64(8) })
	server.Do("DEL", names) // as an earlier release left it
	server.Do("ZREM", prefix+":names:{blog}", "likes/a")

	check := func(when string) {
		t.Helper()
		for _, limit := range []int{1, 2, 1000} {
			if got := listed(t, store, tally.Listing{Limit: limit}); !slices.Equal(got, want) {
				t.Errorf("%s, pages of %d: %q, want %q", when, limit, got, want)
			}
			for _, scope := range []tally.Scope{{Site: "default"}, {Site: "default", Metric: "likes"}, {Site: "default", Metric: "likes", Prefix: "p"}, {Site: "default", Metric: "likes", Prefix: "p/"}} {
				inScope := slices.DeleteFunc(slices.Clone(want), func(text string) bool { return !scope.Contains(topic(t, text)) })
				if got := listed(t, store, tally.Listing{Scope: scope, Limit: limit}); !slices.Equal(got, inScope) {
					t.Errorf("%s, %+v: %q, want %q", when, scope, got, inScope)
				}
			}
		}
		if got := listed(t, store, tally.Listing{After: "default/likes/p0", Limit: 1}); !slices.Equal(got, want[5:]) {
			t.Errorf("%s, after p0: %q", when, got)
		}
	}
	before := server.Calls("scan")
	check("before the repair")
	if server.Calls("scan") == before {
		t.Error("an incomplete directory was listed without a scan")
	}
	startFeed(t, store)
	waitForNames(t, server, prefix+":names:{blog}")
	waitForRepair(t, server, prefix)
	before = server.Calls("scan")
	check("after the repair")
	like(t, store, topic(t, "default/likes/zz"), 1)
	want = slices.Insert(want, 8, "default/likes/zz")
	check("after a creation")
	edit(t, store, tally.Edit{Topic: topic(t, "default/likes/zz"), Kind: tally.EditDelete})
	want = slices.Delete(want, 8, 9)
	check("after a deletion")
	server.Do("ZADD", names, "0", "gone/a", "0", "gone/b")
	check("with topics of a metric that is not declared")
	if n := server.Calls("scan") - before; n > 0 {
		t.Errorf("%d scans", n)
	}
}

// A page costs as many commands as it has topics, no matter how many topics there are.
func TestList_ByNameWork(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := storeConfig{server: server, url: server.URL(0), options: repairingOnce()}.connect(t, catalog(), prefix)
	const topics = 20_000
	var portions []tally.Portion
	for i := range topics {
		state := tally.State{Change: tally.Change{Topic: topic(t, fmt.Sprintf("default/likes/2026/a-post-%06d", i)), Version: 1}, Seed: 1}
		portions = append(portions, tally.Portion{State: state, First: true, Last: true})
	}
	for chunk := range slices.Chunk(portions, tally.MaxPortion) {
		if err := store.Restore(t.Context(), false, chunk); err != nil {
			t.Fatal(err)
		}
	}
	startFeed(t, store)
	names := prefix + ":names:{default}"
	waitForRepair(t, server, prefix)
	if n, _ := server.Do("ZCARD", names).(int64); n != topics+1 {
		t.Fatalf("%d names", n)
	}
	bytes, _ := server.Do("MEMORY", "USAGE", names, "SAMPLES", "0").(int64)
	if perTopic := bytes / topics; perTopic > 125 {
		t.Errorf("%d bytes for each name of 24 characters", perTopic)
	}
	last := fmt.Sprintf("default/likes/2026/a-post-%06d", topics-11)
	scans := server.Calls("scan")
	for name, listing := range map[string]tally.Listing{"first page": {Limit: 10}, "last page": {Limit: 10, After: last}} {
		n := leastCalls(server, func() {
			page, err := store.List(t.Context(), listing)
			if err != nil || len(page.States) != 10 {
				t.Fatalf("%s: %d topics, error %v", name, len(page.States), err)
			}
		})
		if n > 20 {
			t.Errorf("%s: %d commands for 10 topics", name, n)
		}
	}
	// A prune looks at the directory by version, in which nothing is older: a binary search.
	n := leastCalls(server, func() {
		if page, err := store.List(t.Context(), tally.Listing{Scope: tally.Scope{Site: "default"}, Order: tally.ByNewest, Before: 1}); err != nil || len(page.States) > 0 {
			t.Errorf("%d topics, error %v", len(page.States), err)
		}
	})
	if n > 50 {
		t.Errorf("%d commands for topics that did not change since the beginning", n)
	}
	if n := server.Calls("scan") - scans; n > 0 { // whose result later calls would use
		t.Errorf("%d scans", n)
	}
}

// leastCalls returns how many commands work causes. It repeats the work because an instance sends
// regular commands meanwhile.
func leastCalls(server *redistest.Server, work func()) int {
	least := math.MaxInt
	for range 5 {
		before := server.AllCalls()
		work()
		least = min(least, server.AllCalls()-before)
	}
	return least
}

// A release that does not know the directory by name runs beside this one: a repair adds the
// topics that it creates, and a list drops those that it deletes.
func TestList_ByNameBesideOlderRelease(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := storeConfig{server: server, url: server.URL(0), options: repairing(20 * time.Millisecond)}.connect(t, catalog(), prefix)
	startFeed(t, store)
	names, directory := prefix+":names:{default}", prefix+":topics:{default}"
	like(t, store, topic(t, "default/likes/kept"), 1)
	like(t, store, topic(t, "default/likes/gone"), 1)
	like(t, store, topic(t, "default/likes/created"), 1)
	waitForNames(t, server, names)
	processtest.Eventually(t, "the directory has the topics", func() bool { return server.Do("ZCARD", names) == int64(4) })
	server.Do("DEL", prefix+":{default/likes/gone}:count")
	server.Do("ZREM", directory, "likes/gone")
	server.Do("ZREM", names, "likes/created")
	if got := listed(t, store, tally.Listing{Scope: tally.Scope{Site: "default", Metric: "likes", Prefix: "gone"}, Limit: 1}); len(got) > 0 {
		t.Errorf("a topic that does not exist is listed: %q", got)
	}
	processtest.Eventually(t, "the name of the deleted topic is gone", func() bool { return server.Do("ZSCORE", names, "likes/gone") == nil })
	like(t, store, topic(t, "default/likes/kept"), 2) // makes a repair due
	processtest.Eventually(t, "the created topic is listed", func() bool {
		return slices.Equal(listed(t, store, tally.Listing{}), []string{"default/likes/created", "default/likes/kept"})
	})
}

// An older release that ran again wrote no names. The next start adds them before its scan, which
// takes hours here.
func TestList_NamesAfterRollback(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	names, directory := prefix+":names:{default}", prefix+":topics:{default}"
	first := storeConfig{server: server, url: server.URL(0), options: repairing(10 * time.Millisecond)}.connect(t, catalog(), prefix)
	server.Do("ZADD", names, 0, "") // as a repair did before the rollback
	topics := make([]tally.Topic, 1200)
	for i := range topics {
		topics[i] = topic(t, fmt.Sprintf("default/likes/%04d", i))
	}
	one := func(int) int64 { return 1 }
	restoreEach(t, first, topics, one, one)
	processtest.Eventually(t, "the directory has the topics", func() bool { return server.Do("ZCARD", directory) == int64(len(topics)) })
	for i := 0; i < len(topics); i += 2 {
		server.Do("ZREM", names, "likes/"+topics[i].Key())
	}
	slow := repairing(time.Hour)
	second := storeConfig{server: server, url: server.URL(0), options: slow}.connect(t, catalog(), prefix)
	startFeed(t, second)
	processtest.Eventually(t, "all names are listed", func() bool { return len(listed(t, second, tally.Listing{})) == len(topics) })
}
