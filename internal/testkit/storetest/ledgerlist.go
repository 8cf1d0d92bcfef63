package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// pages returns the keys of all pages of a listing, of which each but the last is full.
func pages(t *testing.T, f *ledgers, listing tally.Listing) (keys []string) {
	t.Helper()
	for n := 0; ; n++ {
		page, err := f.instances()[n%len(f.instances())].(Owned).List(answerContext(t), listing)
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

func testLists(t *testing.T, open Factory) {
	f := owned(t, open)
	claps := tally.Scope{Site: "blog", Metric: "claps"}
	if got := pages(t, f, tally.Listing{Limit: 10}); len(got) != 0 {
		t.Errorf("a list of nothing is %v", got)
	}
	counts := map[string]int64{"c": 3, "a/b": 5, "é": 2, "a": 9, "ab": 7, "b": 1, "a b": 4}
	var newest []string // the last first
	versions := map[string]int64{}
	for _, key := range []string{"c", "a/b", "é", "a", "ab", "b", "a b"} {
		got := apply(t, f.first, topic(t, "blog", "claps", key), assert(1, counts[key]))
		newest, versions[key] = append([]string{key}, newest...), got.Version
	}
	byCount := []string{"a", "ab", "a/b", "a b", "c", "é", "b"}
	// Neighbours that must not show.
	apply(t, f.first, topic(t, "blog", "likes", "a"), assert(1, 1))
	apply(t, f.first, topic(t, "default", "claps", "a"), assert(1, 1))
	setShare(t, f.first, longLease, topic(t, "blog", "readers", "a"), 3)

	byTopic := slices.Sorted(slices.Values(newest))
	for _, limit := range []int{1, 3, 7, 8, 1000} {
		if got := pages(t, f, tally.Listing{Scope: claps, Limit: limit}); !slices.Equal(got, byTopic) {
			t.Errorf("pages of %d by topic are %q, want %q", limit, got, byTopic)
		}
		reaches(t, f, tally.Listing{Scope: claps, Order: tally.ByNewest, Limit: limit}, newest)
		reaches(t, f, tally.Listing{Scope: claps, Order: tally.ByCount, Limit: limit}, byCount)
	}
	reaches(t, f, tally.Listing{Scope: tally.ScopeOf(topic(t, "blog", "claps", "a")), Limit: 2}, []string{"a"})
	beginsWithA := tally.Scope{Site: "blog", Metric: "claps", Prefix: "a"}
	for order, want := range map[tally.Order][]string{
		tally.ByTopic:  {"a", "a b", "a/b", "ab"},
		tally.ByNewest: {"a b", "ab", "a", "a/b"},
		tally.ByCount:  {"a", "ab", "a/b", "a b"},
	} {
		reaches(t, f, tally.Listing{Scope: beginsWithA, Order: order, Limit: 3}, want)
	}
	for _, order := range []tally.Order{tally.ByTopic, tally.ByNewest} {
		want := []string{"c", "a/b", "é"}
		if order == tally.ByNewest {
			slices.Reverse(want)
		} else {
			slices.Sort(want)
		}
		reaches(t, f, tally.Listing{Scope: claps, Order: order, Limit: 2, Before: versions["a"]}, want)
	}
	// What changes moves; what is deleted goes.
	edit(t, f.first, tally.Edit{Topic: topic(t, "blog", "claps", "b"), Kind: tally.EditSeed, Value: 20})
	edit(t, f.first, tally.Edit{Topic: topic(t, "blog", "claps", "é"), Kind: tally.EditDelete})
	reaches(t, f, tally.Listing{Scope: claps, Order: tally.ByNewest, Limit: 2}, []string{"b", "a b", "ab", "a", "a/b", "c"})
	reaches(t, f, tally.Listing{Scope: claps, Order: tally.ByCount, Limit: 2}, []string{"b", "a", "ab", "a/b", "a b", "c"})
	reaches(t, f, tally.Listing{Scope: claps, Limit: 2}, []string{"a", "a b", "a/b", "ab", "b", "c"})

	page, err := f.other.List(answerContext(t), tally.Listing{Scope: tally.Scope{Site: "blog", Metric: "claps", Prefix: "b"}, Limit: 5})
	if want := stateOf(t, f.first, topic(t, "blog", "claps", "b")).State; err != nil || len(page.States) != 1 || page.States[0] != want {
		t.Errorf("listed is %v, error %v; dumped %v", page.States, err, want)
	}
	// All sites and metrics, presence left out.
	all, err := f.first.List(answerContext(t), tally.Listing{Limit: tally.MaxPortion})
	if err != nil || len(all.States) != 8 {
		t.Errorf("all are %v, error %v", all.States, err)
	}
}

// reaches waits until a listing's pages are want: some orders may be behind.
func reaches(t *testing.T, f *ledgers, listing tally.Listing, want []string) {
	t.Helper()
	var got []string
	within(t, topLag, func() bool {
		got = pages(t, f, listing)
		return slices.Equal(got, want)
	}, func() string { return fmt.Sprintf("%+v is %q, want %q", listing, got, want) })
}
