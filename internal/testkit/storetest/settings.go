package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testSettings sets and removes settings, also concurrently.
func testSettings(t *testing.T, open Factory) {
	f := fixture(t, open)
	reads := func(want map[string]string) {
		t.Helper()
		for _, store := range []Store{f.First, f.other()} {
			if got, err := store.Settings(callContext(t)); err != nil || !maps.Equal(got, want) {
				t.Errorf("the settings are %q, error %v; want %q", got, err, want)
			}
		}
	}
	set := func(store Store, name, value string) {
		t.Helper()
		if err := tally.SetSetting(callContext(t), store, name, value); err != nil {
			t.Fatalf("set %q: %v", name, err)
		}
	}
	reads(map[string]string{})
	set(f.First, "former blog/likes/é", `["blog/likes/e"]`)
	set(f.other(), "block range 2001:db8::/48", "too many")
	set(f.First, "x", "1")
	set(f.other(), "x", "2")
	reads(map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many", "x": "2"})
	set(f.First, "x", "")
	set(f.First, "not set", "")
	if got, err := f.other().Settings(callContext(t), "former blog/likes/é", "x"); err != nil || !maps.Equal(got, map[string]string{"former blog/likes/é": `["blog/likes/e"]`}) {
		t.Errorf("the settings of two names, one of which is not set, are %q, error %v", got, err)
	}
	reads(map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many"})

	const setters = 20
	want := map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many"}
	together(setters, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		store := f.stores()[i%len(f.stores())]
		if err := tally.SetSetting(ctx, store, fmt.Sprint("setting ", i), fmt.Sprint(i)); err != nil {
			t.Errorf("set: %v", err)
		}
	})
	for i := range setters {
		want[fmt.Sprint("setting ", i)] = fmt.Sprint(i)
	}
	reads(want)
}

// testSwapSettings checks that settings are swapped together and only if all expected ones
// have their values, and that one of many concurrent swaps succeeds.
func testSwapSettings(t *testing.T, open Factory) {
	f := fixture(t, open)
	swap := func(store Store, expected, entries map[string]string, want bool) {
		t.Helper()
		if swapped, err := store.SwapSettings(callContext(t), expected, entries); err != nil || swapped != want {
			t.Errorf("swap %v for %v: %t, error %v; want %t", expected, entries, swapped, err, want)
		}
	}
	both := map[string]string{"claim a": "1", "claim b": "1"}
	free := map[string]string{"claim a": "", "claim b": ""}
	swap(f.First, free, both, true)
	swap(f.First, free, both, true) // again, as after a lost reply
	swap(f.other(), free, map[string]string{"claim a": "2", "claim b": "2"}, false)
	swap(f.other(), map[string]string{"claim b": "", "claim c": ""}, map[string]string{"claim b": "2", "claim c": "2"}, false)
	swap(f.other(), map[string]string{"claim b": "1"}, map[string]string{"claim b": "3"}, true)
	swap(f.First, both, free, false)
	if got, err := f.First.Settings(callContext(t)); err != nil || !maps.Equal(got, map[string]string{"claim a": "1", "claim b": "3"}) {
		t.Errorf("the settings are %v, error %v", got, err)
	}
	swap(f.First, map[string]string{"claim a": "1", "claim b": "3"}, free, true)

	const swappers = 20
	winners := make(chan string, swappers)
	together(swappers, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		name := string(rune('a' + i))
		store := f.stores()[i%len(f.stores())]
		if swapped, err := store.SwapSettings(ctx, free, map[string]string{"claim a": name, "claim b": name}); err != nil {
			t.Errorf("swap: %v", err)
		} else if swapped {
			winners <- name
		}
	})
	close(winners)
	winner := <-winners
	if _, more := <-winners; more {
		t.Error("several swaps succeeded")
	}
	if got, err := f.other().Settings(callContext(t)); err != nil || !maps.Equal(got, map[string]string{"claim a": winner, "claim b": winner}) {
		t.Errorf("the settings are %v, error %v; %q swapped", got, err, winner)
	}
}

// testMarks checks which changes topics with marks take, and that a mark creates no topic.
func testMarks(t *testing.T, open Factory) {
	f := fixture(t, open)
	for _, metric := range []string{"likes", "claps", "views"} {
		t.Run(metric, func(t *testing.T) { testMarksOf(t, f, metric) })
	}
}

func testMarksOf(t *testing.T, f *Fixture, metric string) {
	touched, other := newTopic(t, metric), newTopic(t, metric)
	apply(t, f.First, touched, from(7, 1, 1))
	spike := recent(t, f.First, touched)
	mark := func(topic tally.Topic, from, to, want string) {
		t.Helper()
		if got, err := f.other().SwapMark(callContext(t), topic, from, to); err != nil || got != want {
			t.Fatalf("the mark of %s from %q to %q is %q, error %v; want %q", topic, from, to, got, err, want)
		}
	}
	takes := func(topic tally.Topic, carried string, member tally.Member, stored string) {
		t.Helper()
		batches := []tally.Batch{{Topic: topic, Mark: carried, Writes: []tally.Write{assert(member, 1)}}, {Topic: newTopic(t, metric), Writes: []tally.Write{assert(1, 1)}}}
		f.First.Apply(callContext(t), batches)
		var marked *tally.MarkError
		switch err := batches[0].Err; {
		case batches[1].Err != nil:
			t.Errorf("a batch beside one with another mark: %v", batches[1].Err)
		case carried == stored && err != nil, carried != stored && (!errors.As(err, &marked) || marked.Mark != stored):
			t.Errorf("a write with the mark %q to %s: %v; want the mark %q", carried, topic, err, stored)
		}
	}
	edits := func(carried string, want error, topics ...tally.Topic) {
		t.Helper()
		for _, topic := range topics {
			for _, e := range []tally.Edit{{Kind: tally.EditCount, Value: 5}, {Kind: tally.EditWithdraw, Members: []tally.Member{9}}} {
				e.Topic, e.Mark = topic, carried
				if carried != "" && e.Kind == tally.EditWithdraw {
					continue // not a step of a merge
				}
				list := []tally.Edit{e}
				if f.First.Edit(callContext(t), list); !errors.Is(list[0].Err, want) {
					t.Errorf("edit of kind %d with the mark %q of %s: %v, want %v", e.Kind, carried, topic, list[0].Err, want)
				}
			}
			p := wholePortion(topic, 0, 0, map[tally.Member]int64{3: 1})
			p.Mark = carried
			if err := f.First.Restore(callContext(t), false, []tally.Portion{p}); !errors.Is(err, want) {
				t.Errorf("a portion with the mark %q of %s: %v, want %v", carried, topic, err, want)
			}
		}
	}
	mark(touched, "", "", "")
	mark(touched, "x", "y", "")
	takes(touched, "unknown", 2, "")

	mark(touched, "", "aliases", "aliases")
	mark(touched, "", "others", "aliases")
	takes(touched, "", 3, "aliases")
	takes(touched, "others", 3, "aliases")
	takes(touched, "aliases", 3, "aliases")
	edits("", nil, touched)
	edits("aliases2", tally.ErrFrozen, touched)

	frozen := tally.FrozenMark("merge", "3")
	mark(touched, "aliases", frozen, frozen)
	mark(other, "", frozen, frozen) // a topic that does not exist
	for _, topic := range []tally.Topic{touched, other} {
		takes(topic, "", 4, frozen)
		takes(topic, "aliases", 4, frozen)
		edits("", tally.ErrFrozen, topic)
		edits(tally.FrozenMark("another", ""), tally.ErrFrozen, topic)
	}
	if _, _, err := f.First.Revert(callContext(t), spike, tally.RevertPast); !errors.Is(err, tally.ErrFrozen) {
		t.Errorf("revert of entries of a frozen topic: %v", err)
	}
	if r := read(t, f.First, other, 0); r.Change.Version != 0 {
		t.Errorf("a mark created a topic: %+v", r)
	}
	page, err := f.First.List(callContext(t), tally.Listing{Scope: tally.ScopeOf(other), Limit: 10})
	if err != nil || len(page.States) != 0 || len(dump(t, f.First, tally.ScopeOf(other))) != 0 {
		t.Errorf("a mark is listed as a topic: %+v, error %v", page, err)
	}
	edits(frozen, nil, touched, other)
	list := []tally.Edit{{Topic: touched, Kind: tally.EditDelete, Mark: frozen}}
	if f.First.Edit(callContext(t), list); list[0].Err != nil || !list[0].Changed {
		t.Errorf("delete of a frozen topic: %+v", list[0])
	}
	takes(touched, "", 5, "") // the mark ended with the topic
	mark(touched, "", "", "")
	mark(other, frozen, "", "")
	takes(other, "", 6, "")
}

// testAuditLog reads the log in pages of several sizes.
func testAuditLog(t *testing.T, open Factory) {
	f := fixture(t, open)
	entries, next, err := f.First.AuditLog(callContext(t), "", 10)
	if err != nil || len(entries) != 0 || next != "" {
		t.Errorf("an empty log is %v, next %q, error %v", entries, next, err)
	}
	var want []tally.AuditEntry
	at := time.Now().Truncate(time.Millisecond)
	for i := range 25 {
		entry := tally.AuditEntry{
			At: at.Add(time.Duration(i/2) * time.Millisecond), Actor: "admin 203.0.113.7", Action: "set",
			Target: fmt.Sprintf("blog/likes/é %d", i), Detail: "1 → 2, \"quoted\"\nand more",
			Sites: "blog docs",
		}
		if i == 7 {
			entry.Target, entry.Detail, entry.Sites = "", "", ""
		}
		if err := f.stores()[i%len(f.stores())].AppendAudit(callContext(t), entry); err != nil {
			t.Fatal(err)
		}
		want = slices.Insert(want, 0, entry)
	}
	batch := make([]tally.AuditEntry, tally.MaxAuditBatch)
	for i := range batch {
		batch[i] = tally.AuditEntry{At: at.Add(time.Second), Action: "seed", Target: fmt.Sprint(i), Detail: "in one call", Sites: "blog"}
		want = slices.Insert(want, 0, batch[i])
	}
	if err := f.First.AppendAudit(callContext(t), batch...); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 10, 25, len(want) - 1, len(want), len(want) + 1} {
		var got []tally.AuditEntry
		before, calls := "", 0
		for {
			entries, next, err := f.other().AuditLog(callContext(t), before, limit)
			if err != nil || len(entries) > limit {
				t.Fatalf("%d entries of %d, error %v", len(entries), limit, err)
			}
			if next != "" && entries[len(entries)-1].Position != next {
				t.Errorf("the last entry is at %q, the cursor %q", entries[len(entries)-1].Position, next)
			}
			got = append(got, entries...)
			before = next
			if calls++; next == "" || calls > len(want) {
				break
			}
		}
		if !slices.EqualFunc(got, want, func(a, b tally.AuditEntry) bool {
			same := a.At.Equal(b.At)
			a.At, b.At, a.Position = time.Time{}, time.Time{}, ""
			return same && a == b
		}) {
			t.Errorf("in pages of %d the log is %v, want %v", limit, got, want)
		}
	}
}

// testActivity counts the writes that heartbeats of two instances carry.
func testActivity(t *testing.T, open Factory) {
	f := fixture(t, open)
	totals := map[string]map[string]int64{"ann": {}, "bob": {}}
	send := func(store Store, instance string, writes map[string]int64) {
		t.Helper()
		for site, n := range writes {
			totals[instance][site] += n
		}
		if err := store.WriteHeartbeat(callContext(t), tally.Heartbeat{Instance: instance, Status: []byte(`{}`), Writes: writes, Totals: totals[instance]}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now().Unix()/60 - 10 // of any clock
	send(f.First, "ann", map[string]int64{"blog": 3})
	send(f.other(), "bob", map[string]int64{"blog": 4, "default": 1})
	send(f.First, "ann", nil)
	send(f.First, "ann", map[string]int64{"blog": 10, "default": 0})
	activity := func(from int64) (sums map[string]int64) {
		t.Helper()
		list, err := f.other().Activity(callContext(t), from)
		if err != nil {
			t.Fatal(err)
		}
		sums = map[string]int64{}
		for i, a := range list {
			if a.Minute < from || i > 0 && a.Minute < list[i-1].Minute || a.Writes == 0 {
				t.Errorf("activity since %d: %v", from, list)
			}
			sums[a.Site] += a.Writes
		}
		return sums
	}
	if got, want := activity(begin), map[string]int64{"blog": 17, "default": 1}; !maps.Equal(got, want) {
		t.Errorf("the activity is %v, want %v", got, want)
	}
	if got := activity(begin + 1000); len(got) > 0 {
		t.Errorf("the activity of the future is %v", got)
	}
	if f.Advance != nil {
		f.Advance(tally.ActivityRetention + time.Hour)
		send(f.First, "ann", nil)
		if got := activity(begin); len(got) > 0 {
			t.Errorf("activity is not deleted: %v", got)
		}
	}
}

// testUsage compares what two sites store.
func testUsage(t *testing.T, open Factory) {
	f := fixture(t, open)
	for i := range 40 {
		apply(t, f.First, topic(t, "blog", "likes", fmt.Sprint(i)), assert(1, 1), assert(2, 1), assert(3, 1))
	}
	apply(t, f.First, topic(t, "default", "claps", "x"), assert(1, 7), assert(2, 9))
	edit(t, f.First, tally.Edit{Topic: topic(t, "default", "likes", "seeded"), Kind: tally.EditSeed, Value: 1000})
	for _, maxAge := range []time.Duration{0, time.Hour} { // alone, and shared
		usage, err := f.other().Usage(callContext(t), maxAge)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]tally.SiteUsage{}
		for _, u := range usage.Sites {
			got[u.Site] = u
		}
		for site, want := range map[string][2]int64{"blog": {40, 120}, "default": {2, 2}} {
			if u := got[site]; u.Topics != want[0] || u.Contributions != want[1] || u.Bytes <= 0 {
				t.Errorf("%s uses %+v, want topics and contributions %v", site, u, want)
			}
		}
		if got["blog"].Bytes <= got["default"].Bytes {
			t.Errorf("40 topics use less than 2: %+v", got)
		}
	}
}
