package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
	"github.com/tallycast/tallycast/internal/testkit/storetest"
)

func TestRules(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >secret ~test* &test* " + rights}})
	runRules(t, server.URLAs("app", "secret", 0), server)
}

func TestRules_Cluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	runRules(t, cluster.URL(), cluster.Primaries...)
}

func runRules(t *testing.T, url string, servers ...*redistest.Server) {
	storetest.RunRules(t, func(t testing.TB) storetest.RulePlace {
		prefix := newPrefix()
		return storetest.RulePlace{
			Open: func(t testing.TB, catalog *tally.Catalog) storetest.RuleStore {
				return opened(t, url, prefix, catalog)
			},
			Forget: func(t testing.TB) {
				for _, server := range servers {
					if _, err := server.Try("del", prefix+":rules"); err != nil && !strings.HasPrefix(err.Error(), "MOVED") && !strings.HasPrefix(err.Error(), "READONLY") {
						t.Error(err)
					}
				}
			},
			Structure: true,
		}
	})
}

// opened returns a store after Connect, which may have failed.
func opened(t testing.TB, url, prefix string, catalog *tally.Catalog) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(url, catalog, redisstore.Options{Prefix: prefix, Logger: slog.New(slog.DiscardHandler), Intervals: testIntervals})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	processtest.Eventually(t, "the store is usable or has a conflict", func() bool {
		return store.Connect(t.Context()) == nil || store.Health().Conflict != nil
	})
	return store
}

func starsAs(t testing.TB, text string) *tally.Catalog {
	t.Helper()
	rule, err := tally.ParseRule(text)
	if err != nil {
		t.Fatal(err)
	}
	metrics := tally.DefaultMetrics()
	metrics["stars"] = rule
	return tally.NewCatalog(nil, metrics)
}

func assertStar(store *redisstore.Store, topic tally.Topic, member tally.Member) error {
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: member, Amount: 1, MayCreate: true}}}}
	store.Apply(ctx, batches)
	return batches[0].Err
}

// Two instances start on an empty Redis with different rules. The first write decides; the
// other instance reports the conflict and writes nothing.
func TestRules_TwoInstances(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	for name, wait := range map[string]bool{"at once": false, "later": true} {
		prefix := newPrefix()
		page := topic(t, "default/stars/page")
		first := opened(t, server.URL(0), prefix, starsAs(t, "toggle"))
		second := opened(t, server.URL(0), prefix, starsAs(t, "amount:5"))
		watch(t, first)
		watch(t, second)
		if err := assertStar(first, page, 1); err != nil {
			t.Fatal(err)
		}
		if wait {
			processtest.Eventually(t, "the other instance has the conflict", func() bool { return second.Health().Conflict != nil })
		}
		if err := assertStar(second, page, 1); err == nil || !strings.Contains(err.Error(), "stars") {
			t.Errorf("%s: the other instance wrote: %v", name, err)
		}
		processtest.Eventually(t, "the other instance has the conflict", func() bool { return second.Health().Conflict != nil })
		if h := first.Health(); h.Conflict != nil || assertStar(first, page, 2) != nil {
			t.Errorf("%s: the first instance: %+v", name, h)
		}
		if third := opened(t, server.URL(0), prefix, starsAs(t, "amount:5")); third.Health().Conflict == nil {
			t.Errorf("%s: an instance that starts while others run has no conflict", name)
		}
		if got := read(t, first, page, 1); got.Change.Count != 2 || got.Mine != 1 {
			t.Errorf("%s: the page has %+v", name, got)
		}
	}
}

// If all data of a rule was deleted, the first write replaces the rule, not the start of an
// instance: others may still use it.
func TestRules_DeletedDataElsewhere(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	page := topic(t, "default/stars/page")
	before := opened(t, server.URL(0), prefix, starsAs(t, "toggle"))
	watch(t, before)
	if err := assertStar(before, page, 1); err != nil {
		t.Fatal(err)
	}
	edits := []tally.Edit{{Topic: page, Kind: tally.EditDelete}}
	if before.Edit(t.Context(), edits); edits[0].Err != nil {
		t.Fatal(edits[0].Err)
	}
	processtest.Eventually(t, "the leaderboard lacks it", func() bool {
		top, err := before.Top(t.Context(), "default", "stars", 1)
		return err == nil && len(top) == 0 && server.Do("zcard", prefix+":top:{default/stars}") == int64(0)
	})
	after := opened(t, server.URL(0), prefix, starsAs(t, "amount:5"))
	watch(t, after)
	awaitProbes(t, server, 2)
	for name, store := range map[string]*redisstore.Store{"running": before, "started": after} {
		if h := store.Health(); h.Conflict != nil {
			t.Errorf("the instance that was %s: %+v", name, h)
		}
	}
	if err := assertStar(after, page, 1); err != nil {
		t.Errorf("the first write: %v", err)
	}
	processtest.Eventually(t, "the other instance has the conflict", func() bool { return before.Health().Conflict != nil })
	if err := assertStar(after, page, 2); err != nil || after.Health().Conflict != nil {
		t.Errorf("the second write: %v, %+v", err, after.Health())
	}
}

// Another instance may start with a larger maximum.
func TestRules_LargerMaximumElsewhere(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	page := topic(t, "default/stars/page")
	before := opened(t, server.URL(0), prefix, starsAs(t, "amount:5"))
	if err := assertStar(before, page, 1); err != nil {
		t.Fatal(err)
	}
	watch(t, before)
	after := opened(t, server.URL(0), prefix, starsAs(t, "amount:9"))
	watch(t, after)
	if err := assertStar(after, page, 2); err != nil {
		t.Fatal(err)
	}
	awaitProbes(t, server, 2)
	if err := assertStar(before, page, 3); err != nil || before.Health().Conflict != nil {
		t.Errorf("the running instance: %v, %+v", err, before.Health())
	}
	if late := opened(t, server.URL(0), prefix, starsAs(t, "amount:5")); late.Health().Conflict == nil {
		t.Error("an instance that starts with the smaller maximum has no conflict")
	}
}

// An instance with fewer options than another one keeps all of them whatever it writes.
func TestRules_MoreOptionsElsewhere(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	before := opened(t, server.URL(0), prefix, starsAs(t, "choice:2"))
	if err := assertStar(before, topic(t, "default/stars/page"), 1); err != nil {
		t.Fatal(err)
	}
	after := opened(t, server.URL(0), prefix, starsAs(t, "choice:4"))
	choose := func(store *redisstore.Store, page tally.Topic, member tally.Member, option int64) tally.Options {
		t.Helper()
		b := assertAll(store, processtest.Timeout, page, option, member)
		if b.Err != nil {
			t.Error(b.Err)
		}
		return b.Options
	}
	edit := func(page tally.Topic, e tally.Edit) tally.State {
		t.Helper()
		e.Topic = page
		edits := []tally.Edit{e}
		before.Edit(t.Context(), edits)
		if e = edits[0]; e.Err != nil || !e.Changed {
			t.Errorf("edit %d: %t, %v", e.Kind, e.Changed, e.Err)
		}
		return e.After
	}
	for i, e := range []struct {
		edit                      tally.Edit
		count, seeds, adjustments tally.Options
	}{
		{tally.Edit{Kind: tally.EditSeed, Options: "5,6"}, "6,6,0,1", "5,6,0,0", "0,0,0,0"},
		{tally.Edit{Kind: tally.EditCount, Options: "5,6"}, "5,6,0,1", "0,0,0,0", "4,6,0,0"},
		{tally.Edit{Kind: tally.EditAdjustment, Options: "1,0"}, "2,0,0,1", "0,0,0,0", "1,0,0,0"},
		{tally.Edit{Kind: tally.EditWithdraw, Members: []tally.Member{2}}, "1,0,0,0", "0,0,0,0", "0,0,0,0"},
		{tally.Edit{Kind: tally.EditReset}, "0,0,0,0", "0,0,0,0", "0,0,0,0"},
	} {
		page := topic(t, fmt.Sprint("default/stars/", i))
		choose(before, page, 1, 1)
		choose(after, page, 2, 4)
		got := edit(page, e.edit)
		if got.Options != e.count || got.SeedOptions != e.seeds || got.AdjustmentOptions != e.adjustments {
			t.Errorf("edit %d: %+v", e.edit.Kind, got)
		}
	}

	page := topic(t, "default/stars/lowered")
	choose(after, page, 2, 4)
	lowered := []tally.Edit{{Topic: page, Kind: tally.EditCount, Options: "0,0,0,0"}}
	if after.Edit(t.Context(), lowered); lowered[0].Err != nil {
		t.Fatal(lowered[0].Err)
	}
	if got := choose(before, page, 2, 1); got != "1,0,0,0" {
		t.Errorf("a lowered choice was changed: %s", got)
	}
	page = topic(t, "default/stars/dumped")
	choose(after, page, 2, 4)
	if err := before.Dump(t.Context(), tally.Scope{}, func(p tally.Portion) error {
		if p.Topic == page && (!slices.Equal(p.Sums(), []int64{0, 0, 0, 1}) || p.SeedOptions != "0,0,0,0") {
			t.Errorf("dumped %+v", p)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// If Redis returns empty, the next write stores the rule again.
func TestRules_RedisCameBackEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	page := topic(t, "default/stars/page")
	store := opened(t, server.URL(0), prefix, starsAs(t, "toggle"))
	watch(t, store)
	if err := assertStar(store, page, 1); err != nil {
		t.Fatal(err)
	}
	server.Do("flushall")
	processtest.Eventually(t, "the rule is stored again", func() bool {
		if err := assertStar(store, page, 1); err != nil {
			t.Fatal(err)
		}
		return server.Do("hget", prefix+":rules", "stars") == "toggle"
	})
}

// Once a metric's rule is stored, a write takes no round trip but its script call.
func TestRules_NoRoundTripForWrites(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := opened(t, server.URL(0), newPrefix(), catalog())
	page := topic(t, "default/likes/page")
	if err := assertStar(store, page, 1); err != nil {
		t.Fatal(err)
	}
	before := server.Calls("hgetall")
	for member := range tally.Member(50) {
		if err := assertStar(store, page, member+2); err != nil {
			t.Fatal(err)
		}
	}
	if after := server.Calls("hgetall"); after != before {
		t.Errorf("50 writes read the rules %d times", after-before)
	}
}

// awaitProbes waits until so many instances have probed the server, which reads rules and settings,
// and have processed the answer.
func awaitProbes(t testing.TB, server *redistest.Server, instances int) {
	t.Helper()
	before := server.Calls("hgetall")
	processtest.Eventually(t, "the probes", func() bool { return server.Calls("hgetall") >= before+6*instances })
}
