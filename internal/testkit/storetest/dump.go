package storetest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// fillAll fills a store with topics of each rule on two sites, seeds and adjustments, a topic
// larger than a portion, an empty one, and open pages, which are not dumped. It returns a
// dump of everything.
func fillAll(t *testing.T, store Store) map[tally.Topic]dumped {
	t.Helper()
	for _, site := range []string{"blog", "default"} {
		for _, metric := range kinds {
			for _, key := range []string{"a", "a/b", "ab", "é", `q"uote`} {
				topic := topic(t, site, metric, key)
				apply(t, store, topic, assert(1, 1), assert(2, 1), assert(1<<63+5, 1))
			}
		}
	}
	claps := topic(t, "blog", "claps", "large")
	for i := range 5 {
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, assert(tally.Member(uint64(i*500+j+1)*0x9e3779b97f4a7c15), 1+int64(j%50)))
		}
		apply(t, store, claps, writes...)
	}
	edits(t, store,
		tally.Edit{Topic: claps, Kind: tally.EditSeed, Value: 12},
		tally.Edit{Topic: claps, Kind: tally.EditCount, Value: 40}, // the adjustment is far below 0
		tally.Edit{Topic: topic(t, "blog", "days", "a"), Kind: tally.EditAdjustment, Value: -2},
		tally.Edit{Topic: topic(t, "blog", "likes", "seeded"), Kind: tally.EditSeed, Value: 99},
		tally.Edit{Topic: topic(t, "blog", "likes", "nothing"), Kind: tally.EditSeed, Value: 0})
	setShare(t, store, longLease, newTopic(t, "readers"), 4)
	all := dump(t, store, tally.Scope{})
	if n := len(all); n != 2*len(kinds)*5+3 {
		t.Fatalf("%d topics are dumped", n)
	}
	if d := all[claps]; len(d.contributions) != 2500 || d.Count != 40 {
		t.Fatalf("the large topic has %d contributions and count %d", len(d.contributions), d.Count)
	}
	return all
}

func testDump(t *testing.T, open Factory) {
	f := fixture(t, open)
	if got := portions(t, f.First, tally.Scope{}); len(got) != 0 {
		t.Errorf("an empty store is dumped as %v", got)
	}
	all := fillAll(t, f.First)
	d := all[topic(t, "default", "visitors", "é")]
	if want := (map[tally.Member]int64{1: 1, 2: 1, 1<<63 + 5: 1}); !maps.Equal(d.contributions, want) || d.Count != 3 {
		t.Errorf("three contributions are dumped as %v", d)
	}
	for topic, d := range all {
		if stored := read(t, f.other(), topic, 0).Change; stored != d.Change {
			t.Errorf("read %v, dumped %v", stored, d)
		}
	}
	for scope, n := range map[tally.Scope]int{
		{Site: "blog"}:                                            len(kinds)*5 + 3,
		{Site: "blog", Metric: "likes"}:                           7,
		{Site: "blog", Metric: "likes", Prefix: "a"}:              3,
		{Site: "blog", Metric: "likes", Prefix: "a/"}:             1,
		{Site: "blog", Metric: "likes", Prefix: "a", Exact: true}: 1,
		{Site: "blog", Metric: "likes", Prefix: "\xc3"}:           1, // the first byte of é
		{Site: "blog", Metric: "likes", Prefix: "b"}:              0,
		{Site: "blog", Metric: "readers"}:                         0,
		{Site: "default", Metric: "days", Prefix: `q"uote`}:       1,
		{Site: "default", Metric: "days", Prefix: `q"uote and`}:   0,
	} {
		got := dump(t, f.other(), scope)
		if len(got) != n {
			t.Errorf("a dump of %+v has %d topics, want %d", scope, len(got), n)
		}
		for topic, d := range got {
			if !scope.Contains(topic) || d.State != all[topic].State || !maps.Equal(d.contributions, all[topic].contributions) {
				t.Errorf("a dump of %+v has %v as %s", scope, d, topic)
			}
		}
	}
}

// testDumpError checks that a dump ends with the error of its caller or context.
func testDumpError(t *testing.T, open Factory) {
	f := fixture(t, open)
	fillAll(t, f.First)
	enough := errors.New("enough")
	calls := 0
	err := f.First.Dump(callContext(t), tally.Scope{}, func(tally.Portion) error {
		calls++
		if calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancel(callContext(t))
	err = f.First.Dump(ctx, tally.Scope{}, func(tally.Portion) error {
		cancel()
		return nil
	})
	if codeOf(err) != tally.CodeStoreUnavailable {
		t.Errorf("a dump whose context ended: %v", err)
	}
}

// testConcurrentDump dumps while visitors write. Each dump contains the contributions that
// were acknowledged before it began.
func testConcurrentDump(t *testing.T, open Factory) {
	const writers = 4
	f := fixture(t, open)
	topics := []tally.Topic{newTopic(t, "likes"), newTopic(t, "claps"), newTopic(t, "visitors"), newTopic(t, "days")}
	var mu sync.Mutex
	acknowledged := map[tally.Topic]map[tally.Member]bool{}
	for _, topic := range topics {
		acknowledged[topic] = map[tally.Member]bool{}
	}
	end := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(end)
	for writer := range writers {
		all.Go(func() { // ends with end
			for n := 1; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				topic := topics[n%len(topics)]
				member := tally.Member((writer+1)<<32 | n) // not the one below
				store := f.stores()[n%len(f.stores())]
				if err := tryApply(store, topic, assert(member, 1)); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				mu.Lock()
				acknowledged[topic][member] = true
				mu.Unlock()
				if n%len(topics) == 1 { // a contribution that is taken back
					err := errors.Join(tryApply(store, topic, assert(9, 50)), tryApply(store, topic, assert(9, 0)))
					if err != nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			}
		})
	}
	for range 10 {
		before := map[tally.Topic]map[tally.Member]bool{}
		mu.Lock()
		for topic, members := range acknowledged {
			before[topic] = maps.Clone(members)
		}
		mu.Unlock()
		got := dump(t, f.other(), tally.Scope{})
		for topic, members := range before {
			for member := range members {
				if got[topic].contributions[member] != 1 {
					t.Fatalf("%s: an acknowledged contribution is not in the dump", topic)
				}
			}
		}
	}
}

// checkSame checks that the topics of one dump are those of another, with versions that are not
// lower.
func checkSame(t *testing.T, got, want map[tally.Topic]dumped) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d topics, want %d", len(got), len(want))
	}
	for topic, w := range want {
		g := got[topic]
		if g.Version < w.Version {
			t.Errorf("%s has version %d after %d", topic, g.Version, w.Version)
		}
		g.Version = w.Version
		if g.State != w.State || g.sum != w.sum || !maps.Equal(g.contributions, w.contributions) {
			t.Errorf("%s is %v, want %v", topic, g.State, w.State)
		}
	}
}

// testRestore restores a dump into another store, repeatedly. Its members are known there.
func testRestore(t *testing.T, open Factory) {
	from, to := fixture(t, open), fixture(t, open)
	want := fillAll(t, from.First)
	all := portions(t, from.First, tally.Scope{})
	for _, replace := range []bool{false, false, true, true} {
		restore(t, to.First, replace, all...)
		got := dump(t, to.other(), tally.Scope{})
		checkSame(t, got, want)
		for topic := range want {
			if stored := read(t, to.other(), topic, 0).Change; stored != got[topic].Change {
				t.Errorf("read %v, dumped %v", stored, got[topic])
			}
		}
	}
	for _, metric := range kinds {
		topic := topic(t, "default", metric, "é")
		if got := read(t, to.First, topic, 1<<63+5).Mine; got != 1 {
			t.Errorf("%s: a visitor contributes %d", topic, got)
		}
		if got := apply(t, to.First, topic, assert(1, 1), assert(7, 1)); got.Writes[0].Changed || !got.Writes[1].Changed || got.Count != 4 {
			t.Errorf("%s: a known and a new visitor: %+v", topic, got)
		}
	}
	topReaches(t, to.other(), "blog", "claps", 1, []tally.Change{dump(t, to.First, tally.Scope{Site: "blog", Metric: "claps", Prefix: "large"})[topic(t, "blog", "claps", "large")].Change})
}

// testRestorePortions restores a topic of several portions in several calls, stops and begins
// again. With only the first portions, seed and adjustment are below 0.
func testRestorePortions(t *testing.T, open Factory) {
	from, to := fixture(t, open), fixture(t, open)
	large := newTopic(t, "claps")
	for i := range 6 {
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, assert(tally.Member(i*500+j+1), 2))
		}
		apply(t, from.First, large, writes...)
	}
	edits(t, from.First, tally.Edit{Topic: large, Kind: tally.EditSeed, Value: 10}, tally.Edit{Topic: large, Kind: tally.EditCount, Value: 7})
	want := dump(t, from.First, tally.Scope{})
	all := portions(t, from.First, tally.Scope{})
	if len(all) < 3 {
		t.Fatalf("%d portions of 3000 contributions", len(all))
	}
	for _, replace := range []bool{false, true} {
		for _, some := range []int{1, len(all) - 1, len(all), len(all)} {
			for _, portion := range all[:some] {
				restore(t, to.First, replace, portion)
				dump(t, to.other(), tally.Scope{}) // checks the sum
			}
		}
		checkSame(t, dump(t, to.other(), tally.Scope{}), want)
		if got := apply(t, to.First, large, assert(3000, 3)); got.Count != 8 {
			t.Errorf("count %d after a clap of a known visitor", got.Count)
		}
		apply(t, to.First, large, assert(3000, 2))
		if !replace {
			edit(t, to.First, tally.Edit{Topic: large, Kind: tally.EditDelete})
		}
	}
}
