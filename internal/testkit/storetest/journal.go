package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// from returns a write with a source.
func from(source tally.Source, member tally.Member, amount int64) tally.Write {
	return tally.Write{Member: member, Source: source, Amount: amount, MayCreate: true}
}

// journal returns the entries of scope from one minute to another, and checks their order
// and form.
func journal(t tester, store tally.JournalStore, scope tally.Scope, first, last int64) (all []tally.JournalEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	err := store.Journal(ctx, scope, first, last, func(entries []tally.JournalEntry) error {
		all = append(all, entries...)
		return nil
	})
	if err != nil {
		t.Fatalf("journal of %v: %v", scope, err)
	}
	ended := map[tally.Topic]bool{}
	for i, e := range all {
		if i > 0 && all[i-1].Topic != e.Topic {
			ended[all[i-1].Topic] = true
		}
		if ended[e.Topic] || !scope.Contains(e.Topic) || e.Minute < first || e.Minute > last || e.Position == "" {
			t.Fatalf("entry %d of %v from %d to %d is %+v", i, scope, first, last, e)
		}
	}
	return all
}

// farMinute is later than the minute of any entry.
const farMinute = int64(1) << 40

// recent returns all entries of one topic.
func recent(t tester, store tally.JournalStore, topic tally.Topic) []tally.JournalEntry {
	t.Helper()
	return journal(t, store, tally.ScopeOf(topic), 0, farMinute)
}

// ofSource returns the entries of topic with that source.
func ofSource(t tester, store tally.JournalStore, topic tally.Topic, source tally.Source) []tally.JournalEntry {
	t.Helper()
	return slices.DeleteFunc(recent(t, store, topic), func(e tally.JournalEntry) bool { return e.Source != source })
}

// testJournal checks scopes, times and portions. The model checks which contributions have
// entries.
func testJournal(t *testing.T, open Factory) {
	f := fixture(t, open)
	blog, other := topic(t, "blog", "likes", "a"), topic(t, "blog", "likes", "b")
	for i := range 5 { // more than a portion
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, from(5, tally.Member(1+i*500+j), 1))
		}
		apply(t, f.First, blog, writes...)
	}
	apply(t, f.First, other, from(5, 1, 1))
	apply(t, f.First, topic(t, "blog", "visitors", "a/b"), from(5, 1, 1))
	for scope, n := range map[tally.Scope]int{
		{Site: "blog"}: 2502, {Site: "blog", Metric: "likes", Prefix: "a"}: 2500, {Site: "blog", Metric: "claps"}: 0, {}: 2502,
		{Site: "blog", Metric: "visitors", Prefix: "a"}: 1, {Site: "blog", Metric: "visitors", Prefix: "a", Exact: true}: 0,
	} {
		if got := len(journal(t, f.other(), scope, 0, farMinute)); got != n {
			t.Errorf("%d entries of %+v, want %d", got, scope, n)
		}
	}
	all := recent(t, f.other(), blog)
	if !slices.Equal(recent(t, f.First, blog), all) {
		t.Error("a second read of the journal differs")
	}
	var found []tally.JournalEntry
	err := f.First.SearchJournal(callContext(t), tally.Scope{Site: "blog"}, 0, farMinute, func(entries []tally.JournalEntry) error {
		found = append(found, entries...)
		return nil
	})
	if err != nil || !slices.Equal(found, journal(t, f.First, tally.Scope{Site: "blog"}, 0, farMinute)) {
		t.Errorf("a search finds %d entries, error %v", len(found), err)
	}
	first, last, now := all[0].Minute, all[len(all)-1].Minute, time.Now().Unix()/60
	if first < now-10 || last > now+10 { // by the store's clock
		t.Errorf("minutes from %d to %d, now it is %d", first, last, now)
	}
	for minutes, n := range map[[2]int64]int{{first, last}: 2500, {0, first - 1}: 0, {last + 1, farMinute}: 0} {
		if got := len(journal(t, f.First, tally.ScopeOf(blog), minutes[0], minutes[1])); got != n {
			t.Errorf("%d entries from minute %d to %d, want %d", got, minutes[0], minutes[1], n)
		}
	}
	enough := errors.New("enough")
	if err := f.First.Journal(callContext(t), tally.Scope{}, 0, farMinute, func([]tally.JournalEntry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of the caller became %v", err)
	}
}

func testNoJournal(t *testing.T, open Factory) {
	f := open(t, Options{Catalog: catalog()})
	topic := newTopic(t, "likes")
	apply(t, f.First, topic, from(7, 1, 1))
	if got := recent(t, f.First, topic); len(got) > 0 {
		t.Errorf("entries without a journal: %v", got)
	}
}

// testJournalRetention moves the clock: entries end after the retention, contributions stay,
// and an entry of another day is not the newest of its member.
func testJournalRetention(t *testing.T, open Factory) {
	f := fixture(t, open)
	if f.Advance == nil {
		return // the store's own tests look at the end of its entries
	}
	topic := newTopic(t, "likes")
	apply(t, f.First, topic, from(7, 1, 1), from(7, 2, 1))
	f.Advance(25 * time.Hour)
	apply(t, f.First, topic, from(7, 1, 0), from(8, 1, 1))
	if got := revert(t, f.First, ofSource(t, f.First, topic, 7))[topic]; got.Count != 1 {
		t.Errorf("an entry of the day before took back a later contribution: %v", got)
	}
	f.Advance(week - 26*time.Hour)
	apply(t, f.First, topic, from(9, 3, 1))
	if got := recent(t, f.First, topic); len(got) != 2 {
		t.Errorf("within its retention, the journal has %v", got)
	}
	f.Advance(26*time.Hour + time.Minute)
	if got := recent(t, f.First, topic); len(got) != 1 || got[0].Source != 9 {
		t.Errorf("after its retention, the journal has %v", got)
	}
	if got := read(t, f.First, topic, 1); got.Mine != 1 || got.Change.Count != 2 {
		t.Errorf("a contribution ended with its entry: %v", got)
	}
}

// revert reverts journal entries, and returns the last change of each topic.
func revert(t tester, store tally.JournalStore, entries []tally.JournalEntry) map[tally.Topic]tally.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	reverted, changes, err := store.Revert(ctx, entries, tally.RevertPast)
	if err != nil {
		t.Fatalf("revert %d entries: %v", len(entries), err)
	}
	given := map[tally.JournalEntry]bool{}
	for _, e := range entries {
		given[e] = true
	}
	for _, e := range reverted {
		if !given[e] {
			t.Fatalf("reverted %v, which is not among the entries or was reverted before", e)
		}
		delete(given, e)
	}
	last := map[tally.Topic]tally.Change{}
	for _, change := range changes {
		if change.Version <= last[change.Topic].Version {
			t.Fatalf("%v after %v", change, last[change.Topic])
		}
		last[change.Topic] = change
	}
	return last
}

// testRevert reverts the entries of one source on several topics: more than one call of the store
// takes. It then reverts them again. The model checks what single entries take back.
func testRevert(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	one, two := newTopic(t, "likes"), newTopic(t, "visitors")
	topics := []tally.Topic{one, two}
	for _, topic := range topics {
		for i, r := range recorders {
			r.watch(t, f.stores()[i], topic)
		}
	}
	for i := range 5 {
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, from(tally.Source(1+j%2), tally.Member(1+i*500+j), 1))
		}
		apply(t, f.First, one, writes...)
		apply(t, f.First, two, writes...)
	}
	spike := append(ofSource(t, f.First, one, 1), ofSource(t, f.First, two, 1)...)
	last := revert(t, f.other(), spike)
	for _, topic := range topics {
		if got := read(t, f.First, topic, 0).Change; got.Count != 1250 || last[topic] != got {
			t.Errorf("half of 2500 reverted: reported %v, read %v", last[topic], got)
		}
		for _, r := range recorders {
			r.reaches(t, last[topic])
			r.grows(t, topic)
		}
		if n := len(recent(t, f.First, topic)); n != 1250 {
			t.Errorf("%d entries are left of 2500", n)
		}
	}
	// A member contributes again: the reverted entries do not take that back.
	if got := apply(t, f.First, one, from(1, 1, 1)); !got.Writes[0].Changed || got.Count != 1251 {
		t.Errorf("after a revert a member contributes again: %+v", got)
	}
	if again := revert(t, f.First, spike); len(again) > 0 {
		t.Errorf("reverting again changed %v", again)
	}
	if got := revert(t, f.First, nil); len(got) > 0 {
		t.Errorf("reverting nothing changed %v", got)
	}
	// The same after a reset.
	spike = recent(t, f.First, one)
	edit(t, f.First, tally.Edit{Topic: one, Kind: tally.EditReset})
	apply(t, f.First, one, from(8, 1, 1))
	if got := revert(t, f.First, spike); len(got) > 0 {
		t.Errorf("entries before a reset took back %v", got)
	}
}

// testConcurrentRevert reverts entries while their members contribute again, which they keep.
func testConcurrentRevert(t *testing.T, open Factory) {
	f := fixture(t, open)
	claps := newTopic(t, "claps")
	const members = 300
	var writes []tally.Write
	for i := range members {
		writes = append(writes, from(7, tally.Member(1+i), 1))
	}
	apply(t, f.First, claps, writes...)
	spike := recent(t, f.other(), claps)
	var visitors sync.WaitGroup
	visitors.Go(func() {
		for i := range members {
			if err := tryApply(f.other(), claps, from(8, tally.Member(1+i), 2)); err != nil {
				t.Error(err)
			}
		}
	})
	for chunk := range slices.Chunk(spike, 20) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		if _, _, err := f.First.Revert(ctx, chunk, tally.RevertPast); err != nil {
			t.Error(err)
		}
		cancel()
	}
	visitors.Wait()
	if got := read(t, f.First, claps, 0).Change; got.Count != 2*members {
		t.Errorf("%d members contribute 2 each: %v", members, got)
	}
}
