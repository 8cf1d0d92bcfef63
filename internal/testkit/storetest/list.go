package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// pages returns the keys of all pages of a listing, each of which but the last must be full.
func pages(t *testing.T, f *Fixture, listing tally.Listing) (keys []string) {
	t.Helper()
	for n := 0; ; n++ {
		page, err := f.stores()[n%len(f.stores())].List(callContext(t), listing)
		if err != nil {
			t.Fatalf("list %+v: %v", listing, err)
		}
		if len(page.States) > listing.Limit || page.Next != "" && len(page.States) < listing.Limit {
			t.Fatalf("a page of %d has %d topics", listing.Limit, len(page.States))
		}
		for _, s := range page.States {
			keys = append(keys, s.Topic.Key())
			if !listing.Scope.Contains(s.Topic) {
				t.Fatalf("%s is not of %+v", s.Topic, listing.Scope)
			}
		}
		if page.Next == "" {
			return keys
		}
		listing.After = page.Next
	}
}

// testList lists topics in all orders, with pages of several sizes and several scopes.
func testList(t *testing.T, open Factory) {
	f := fixture(t, open)
	claps := tally.Scope{Site: "blog", Metric: "claps"}
	if got := pages(t, f, tally.Listing{Limit: 10}); len(got) != 0 {
		t.Errorf("an empty store is listed as %v", got)
	}
	counts := map[string]int64{"c": 3, "a/b": 5, "é": 2, "a": 9, "ab": 5, "b": 2, "a b": 5} // with ties
	var newest []string                                                                     // first
	versions := map[string]int64{}
	for _, key := range []string{"c", "a/b", "é", "a", "ab", "b", "a b"} {
		got := apply(t, f.First, topic(t, "blog", "claps", key), assert(1, counts[key]))
		newest, versions[key] = append([]string{key}, newest...), got.Version
	}
	byCount := []string{"a", "a b", "a/b", "ab", "c", "b", "é"}
	// Neighbours that must not be listed.
	apply(t, f.First, topic(t, "blog", "likes", "a"), assert(1, 1))
	apply(t, f.First, topic(t, "default", "claps", "a"), assert(1, 1))
	setShare(t, f.First, longLease, topic(t, "blog", "readers", "a"), 3)

	byTopic := slices.Sorted(slices.Values(newest))
	for _, limit := range []int{1, 3, 7, 8, 1000} {
		listReaches(t, f, tally.Listing{Scope: claps, Limit: limit}, byTopic)
		listReaches(t, f, tally.Listing{Scope: claps, Order: tally.ByNewest, Limit: limit}, newest)
		listReaches(t, f, tally.Listing{Scope: claps, Order: tally.ByCount, Limit: limit}, byCount)
	}
	listReaches(t, f, tally.Listing{Scope: tally.ScopeOf(topic(t, "blog", "claps", "a")), Limit: 2}, []string{"a"})
	beginsWithA := tally.Scope{Site: "blog", Metric: "claps", Prefix: "a"}
	for order, want := range map[tally.Order][]string{
		tally.ByTopic:  {"a", "a b", "a/b", "ab"},
		tally.ByNewest: {"a b", "ab", "a", "a/b"},
		tally.ByCount:  {"a", "a b", "a/b", "ab"},
	} {
		listReaches(t, f, tally.Listing{Scope: beginsWithA, Order: order, Limit: 3}, want)
	}
	for _, order := range []tally.Order{tally.ByTopic, tally.ByNewest} {
		want := []string{"c", "a/b", "é"}
		if order == tally.ByNewest {
			slices.Reverse(want)
		} else {
			slices.Sort(want)
		}
		listReaches(t, f, tally.Listing{Scope: claps, Order: order, Limit: 2, Before: versions["a"]}, want)
	}
	// Changed topics move; deleted ones disappear.
	edit(t, f.First, tally.Edit{Topic: topic(t, "blog", "claps", "b"), Kind: tally.EditSeed, Value: 20})
	edit(t, f.First, tally.Edit{Topic: topic(t, "blog", "claps", "é"), Kind: tally.EditDelete})
	listReaches(t, f, tally.Listing{Scope: claps, Order: tally.ByNewest, Limit: 2}, []string{"b", "a b", "ab", "a", "a/b", "c"})
	listReaches(t, f, tally.Listing{Scope: claps, Order: tally.ByCount, Limit: 2}, []string{"b", "a", "a b", "a/b", "ab", "c"})
	listReaches(t, f, tally.Listing{Scope: claps, Limit: 2}, []string{"a", "a b", "a/b", "ab", "b", "c"})

	page, err := f.other().List(callContext(t), tally.Listing{Scope: tally.Scope{Site: "blog", Metric: "claps", Prefix: "b"}, Limit: 5})
	if want := stateOf(t, f.First, topic(t, "blog", "claps", "b")).State; err != nil || len(page.States) != 1 || page.States[0] != want {
		t.Errorf("listed %v, error %v; dumped %v", page.States, err, want)
	}
	// All sites and metrics except presence.
	var passed []string
	err = f.other().Topics(callContext(t), claps, func(topics []tally.Topic) error {
		for _, topic := range topics {
			passed = append(passed, topic.Key())
		}
		return nil
	})
	if slices.Sort(passed); err != nil || !slices.Equal(passed, []string{"a", "a b", "a/b", "ab", "b", "c"}) {
		t.Errorf("Topics passed %q, error %v", passed, err)
	}
	all, err := f.First.List(callContext(t), tally.Listing{Limit: tally.MaxPortion})
	if err != nil || len(all.States) != 8 {
		t.Errorf("all topics are %v, error %v", all.States, err)
	}
}

// listReaches waits until a listing has these keys: some orders may be behind.
func listReaches(t *testing.T, f *Fixture, listing tally.Listing, want []string) {
	t.Helper()
	var got []string
	within(t, topLag, func() bool {
		got = pages(t, f, listing)
		return slices.Equal(got, want)
	}, func() string { return fmt.Sprintf("%+v is %q, want %q", listing, got, want) })
}

// topLag is how far Top may be behind: 2 s by contract, and 1 s for other tests beside it.
const topLag = 3 * time.Second

// topReaches waits until Top returns want.
func topReaches(t *testing.T, store tally.Ranker, site, metric string, limit int, want []tally.Change) {
	t.Helper()
	var got []tally.Change
	within(t, topLag, func() bool {
		var err error
		if got, err = store.Top(callContext(t), site, metric, limit); err != nil {
			t.Fatalf("top of %s/%s: %v", site, metric, err)
		}
		return slices.Equal(got, want)
	}, func() string {
		return fmt.Sprintf("top %d of %s/%s is %v, want %v", limit, site, metric, got, want)
	})
}

// testTop ranks topics by their counts, with ties, and follows changes.
func testTop(t *testing.T, open Factory) {
	f := fixture(t, open)
	runAll(t, f)
	counts := map[string]int64{"a": 3, "b": 5, "c": 3, "d": 1, "e/f": 3, "ä": 3, "B": 3}
	state := map[string]tally.Change{}
	set := func(key string, count int64) {
		topic := topic(t, "blog", "claps", key)
		got := apply(t, f.First, topic, assert(1, count))
		state[key] = tally.Change{Topic: topic, Count: got.Count, Version: got.Version}
	}
	for key, count := range counts {
		set(key, count)
	}
	// Neighbours that must not be listed.
	apply(t, f.First, topic(t, "default", "claps", "b"), assert(1, 9))
	apply(t, f.First, topic(t, "blog", "likes", "b"), assert(1, 1))
	order := func(keys ...string) (changes []tally.Change) {
		for _, key := range keys {
			changes = append(changes, state[key])
		}
		return changes
	}
	topReaches(t, f.other(), "blog", "claps", 100, order("b", "B", "a", "c", "e/f", "ä", "d"))
	topReaches(t, f.First, "blog", "claps", 3, order("b", "B", "a"))

	set("d", 6)
	set("b", 0) // no longer ranked
	topReaches(t, f.other(), "blog", "claps", 3, order("d", "B", "a"))
	topReaches(t, f.other(), "blog", "claps", 100, order("d", "B", "a", "c", "e/f", "ä"))
	set("b", 1)
	topReaches(t, f.other(), "blog", "claps", 100, order("d", "B", "a", "c", "e/f", "ä", "b"))
	topReaches(t, f.First, "blog", "visitors", 10, nil)
}
