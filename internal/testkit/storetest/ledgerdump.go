package storetest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// fillAll puts something of every kind into a store and returns what a dump of all
// tells: topics of each rule on two sites, seeds and adjustments, one larger than a
// portion, one that is empty, and open pages, which no dump tells of.
func fillAll(t *testing.T, store Owned) map[tally.Topic]dumped {
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
		t.Fatalf("a dump of all tells of %d topics", n)
	}
	if d := all[claps]; len(d.contributions) != 2500 || d.Count != 40 {
		t.Fatalf("the large topic has %d contributions and count %d", len(d.contributions), d.Count)
	}
	return all
}

func testDump(t *testing.T, open Factory) {
	f := owned(t, open)
	if got := portions(t, f.first, tally.Scope{}); len(got) != 0 {
		t.Errorf("a dump of nothing is %v", got)
	}
	all := fillAll(t, f.first)
	d := all[topic(t, "default", "visitors", "é")]
	if want := (map[tally.Member]int64{1: 1, 2: 1, 1<<63 + 5: 1}); !maps.Equal(d.contributions, want) || d.Count != 3 {
		t.Errorf("three contributions are dumped as %v", d)
	}
	for topic, d := range all {
		if stored := read(t, f.other, topic, 0).Change; stored != d.Change {
			t.Errorf("%v is read of what was dumped as %v", stored, d)
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
		got := dump(t, f.other, scope)
		if len(got) != n {
			t.Errorf("a dump of %+v tells of %d topics, want %d", scope, len(got), n)
		}
		for topic, d := range got {
			if !scope.Contains(topic) || d.State != all[topic].State || !maps.Equal(d.contributions, all[topic].contributions) {
				t.Errorf("a dump of %+v tells %v of %s", scope, d, topic)
			}
		}
	}
	checkForgotten(t, f)
}

// checkForgotten dumps a topic whose first contributions a window has forgotten.
func checkForgotten(t *testing.T, f *ledgers) {
	t.Helper()
	topic := newTopic(t, "glances")
	var count int64
	for range 3 {
		if f.Advance != nil {
			f.Advance(glance)
		}
		eventually(t, func() bool {
			got := apply(t, f.first, topic, assert(1, 1), assert(2, 1))
			count = got.Count
			return got.Writes[0].Changed
		}, func() string { return "the window did not end" })
	}
	if d := stateOf(t, f.first, topic); d.counted != count || len(d.contributions) > 2 || count < 6 {
		t.Errorf("three windows of two are dumped as %v", d)
	}
}

func testDumpEnds(t *testing.T, open Factory) {
	f := owned(t, open)
	fillAll(t, f.first)
	enough := errors.New("enough")
	calls := 0
	err := f.first.Dump(answerContext(t), tally.Scope{}, func(tally.Portion) error {
		calls++
		if calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancel(answerContext(t))
	err = f.first.Dump(ctx, tally.Scope{}, func(tally.Portion) error {
		cancel()
		return nil
	})
	var coded *tally.Error
	if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable {
		t.Errorf("a dump whose context ended: %v", err)
	}
	if got := read(t, f.first, topic(t, "blog", "likes", "seeded"), 0).Change.Count; got != 99 {
		t.Errorf("afterwards %d is read", got)
	}
}

// testDumpTogether dumps while visitors like, clap and change their minds, and finds
// in each dump what had been acknowledged before it began.
func testDumpTogether(t *testing.T, open Factory) {
	const writers = 4
	f := owned(t, open)
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
				member := tally.Member((writer+1)<<32 | n) // never the one that comes and goes
				store := f.instances()[n%len(f.instances())]
				if err := tryApply(store, topic, assert(member, 1)); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				mu.Lock()
				acknowledged[topic][member] = true
				mu.Unlock()
				if n%len(topics) == 1 { // one that comes and goes
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
		got := dump(t, f.other, tally.Scope{})
		for topic, members := range before {
			for member := range members {
				if got[topic].contributions[member] != 1 {
					t.Fatalf("%s: an acknowledged contribution is not in the dump", topic)
				}
			}
		}
	}
}

// same fails t unless the topics of a store are those of another, but for versions,
// which are not lower.
func same(t *testing.T, got, want map[tally.Topic]dumped) {
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
		if g.State != w.State || g.counted != w.counted || !maps.Equal(g.contributions, w.contributions) {
			t.Errorf("%s is %v, want %v", topic, g.State, w.State)
		}
	}
}

// testRestore restores a dump into an empty store, and again, and its visitors are
// known there.
func testRestore(t *testing.T, open Factory) {
	from, to := owned(t, open), owned(t, open)
	want := fillAll(t, from.first)
	all := portions(t, from.first, tally.Scope{})
	for _, replace := range []bool{false, false, true, true} {
		restore(t, to.first, replace, all...)
		got := dump(t, to.other, tally.Scope{})
		same(t, got, want)
		for topic := range want {
			if stored := read(t, to.other, topic, 0).Change; stored != got[topic].Change {
				t.Errorf("%v is read of what is dumped as %v", stored, got[topic])
			}
		}
	}
	for _, metric := range kinds {
		topic := topic(t, "default", metric, "é")
		if got := read(t, to.first, topic, 1<<63+5).Mine; got != 1 {
			t.Errorf("%s: a visitor contributes %d", topic, got)
		}
		if got := apply(t, to.first, topic, assert(1, 1), assert(7, 1)); got.Writes[0].Changed || !got.Writes[1].Changed || got.Count != 4 {
			t.Errorf("%s: a known and an unknown visitor made %+v", topic, got)
		}
	}
	topReaches(t, to.other, "blog", "claps", 1, []tally.Change{dump(t, to.first, tally.Scope{Site: "blog", Metric: "claps", Prefix: "large"})[topic(t, "blog", "claps", "large")].Change})
	same(t, dump(t, from.first, tally.Scope{}), want)
	restore(t, to.first, true)
}

func testUnite(t *testing.T, open Factory) {
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	type contributions = map[tally.Member]int64
	for _, test := range []struct {
		name, metric string
		portion      tally.Portion // beside seed 5, adjustment 2, and 1 by 1, 3 by 2
		united       dumped
	}{
		{
			"more and less", "claps", whole(tally.Topic{}, 3, 7, contributions{2: 10, 3: 4}),
			dumped{tally.State{Seed: 5, Adjustment: 7}, 15, contributions{1: 1, 2: 10, 3: 4}},
		},
		{
			"less", "claps", whole(tally.Topic{}, 9, -3, contributions{2: 1}),
			dumped{tally.State{Seed: 9, Adjustment: 2}, 4, contributions{1: 1, 2: 3}},
		},
		{
			"nothing", "claps", whole(tally.Topic{}, 0, 0, nil),
			dumped{tally.State{Seed: 5, Adjustment: 2}, 4, contributions{1: 1, 2: 3}},
		},
		{
			"others", "likes", whole(tally.Topic{}, 0, 0, contributions{1 << 63: 1, 3: 1}),
			dumped{tally.State{Seed: 5, Adjustment: 2}, 4, contributions{1: 1, 2: 1, 3: 1, 1 << 63: 1}},
		},
		{
			"final ones", "visitors", whole(tally.Topic{}, 6, 0, contributions{2: 1, 4: 1}),
			dumped{tally.State{Seed: 6, Adjustment: 2}, 3, contributions{1: 1, 2: 1, 4: 1}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, replace := range []bool{false, true} {
				topic := newTopic(t, test.metric)
				for i, r := range recorders {
					r.watch(t, f.instances()[i], topic)
				}
				apply(t, f.first, topic, assert(1, 1), assert(2, min(3, catalog().Rule(topic).Max)))
				edits(t, f.first,
					tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: 5}, tally.Edit{Topic: topic, Kind: tally.EditAdjustment, Value: 2})
				portion := test.portion
				portion.Topic = topic
				want := test.united
				if replace {
					want = gather(t, []tally.Portion{portion})[topic]
				}
				var last int64
				for range 2 {
					before := stateOf(t, f.first, topic)
					portion.Version = before.Version - int64(time.Hour/time.Microsecond) // older
					restore(t, f.other, replace, portion)
					got := stateOf(t, f.first, topic)
					if got.Seed != want.Seed || got.Adjustment != want.Adjustment || got.counted != want.counted || !maps.Equal(got.contributions, want.contributions) {
						t.Errorf("replace %t: it became %v, want %v", replace, got, want)
					}
					if got.Version < before.Version || got.Version == before.Version && got.Count != before.Count {
						t.Errorf("replace %t: version %d after %d", replace, got.Version, before.Version)
					}
					last = got.Version
				}
				portion.Version = last + int64(time.Hour/time.Microsecond) // newer
				restore(t, f.other, replace, portion)
				newest := stateOf(t, f.first, topic)
				if newest.Version < portion.Version {
					t.Errorf("replace %t: version %d after a portion of %d", replace, newest.Version, portion.Version)
				}
				for _, r := range recorders {
					r.reaches(t, newest.Change)
					r.grows(t, topic)
				}
			}
		})
	}
	t.Run("a member that stands there twice", func(t *testing.T) {
		for metric, amount := range map[string]int64{"claps": 4, "likes": 1} {
			topic := newTopic(t, metric)
			portion := whole(topic, 0, 0, contributions{3: amount, 4: 1})
			portion.Contributions = append(portion.Contributions, portion.Contributions...)
			for _, replace := range []bool{false, true, false} {
				restore(t, f.first, replace, portion)
				if got := stateOf(t, f.other, topic); got.Count != amount+1 {
					t.Errorf("replace %t: it became %v", replace, got)
				}
			}
		}
	})
	t.Run("windows", func(t *testing.T) {
		topic := newTopic(t, "days")
		apply(t, f.first, topic, assert(1, 1), assert(2, 1))
		portion := whole(topic, 0, 0, contributions{2: 1, 3: 1})
		portion.Version = read(t, f.first, topic, 0).Change.Version
		for _, counted := range []int64{3, 30} {
			portion.Sum, portion.Count = counted, counted
			restore(t, f.first, counted == 30, portion)
			d := stateOf(t, f.first, topic)
			if d.counted < counted || d.contributions[2] != 1 || d.contributions[3] != 1 || d.contributions[1] == 1 && counted == 30 {
				t.Errorf("two beside %d counted are %v", counted, d)
			}
		}
		portion.Sum, portion.Count = 20, 20
		restore(t, f.first, false, portion)
		if d := stateOf(t, f.first, topic); d.counted != 30 {
			t.Errorf("20 beside 30 counted are %v", d)
		}
	})
}

// testRestorePortions restores in several calls what takes several portions, breaks
// off and begins anew. The sum of the first portions is below 0.
func testRestorePortions(t *testing.T, open Factory) {
	from, to := owned(t, open), owned(t, open)
	large := newTopic(t, "claps")
	for i := range 6 {
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, assert(tally.Member(i*500+j+1), 2))
		}
		apply(t, from.first, large, writes...)
	}
	edits(t, from.first, tally.Edit{Topic: large, Kind: tally.EditSeed, Value: 10}, tally.Edit{Topic: large, Kind: tally.EditCount, Value: 7})
	want := dump(t, from.first, tally.Scope{})
	all := portions(t, from.first, tally.Scope{})
	if len(all) < 3 {
		t.Fatalf("%d portions of 3000 contributions", len(all))
	}
	for _, replace := range []bool{false, true} {
		for _, some := range []int{1, len(all) - 1, len(all), len(all)} {
			for _, portion := range all[:some] {
				restore(t, to.first, replace, portion)
				dump(t, to.other, tally.Scope{}) // adds up at all times
			}
		}
		same(t, dump(t, to.other, tally.Scope{}), want)
		if got := apply(t, to.first, large, assert(3000, 3)); got.Count != 8 {
			t.Errorf("a known visitor's clap made %d", got.Count)
		}
		apply(t, to.first, large, assert(3000, 2))
		if !replace {
			edit(t, to.first, tally.Edit{Topic: large, Kind: tally.EditDelete})
		}
	}
}

func testForbiddenPortions(t *testing.T, open Factory) {
	f := owned(t, open)
	if err := f.first.Restore(answerContext(t), false, []tally.Portion{whole(newTopic(t, "readers"), 3, 0, nil)}); err == nil {
		t.Error("open pages were restored")
	}
	last := whole(newTopic(t, "likes"), 3, 0, nil)
	last.Version = 1<<53 - 1 // versions beyond are not exact
	if err := f.first.Restore(answerContext(t), false, []tally.Portion{last}); err == nil {
		t.Error("a topic was restored whose version cannot grow")
	}
	if all := dump(t, f.first, tally.Scope{}); len(all) != 0 {
		t.Errorf("there is %v", all)
	}
}
