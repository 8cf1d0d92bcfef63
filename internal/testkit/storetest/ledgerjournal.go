package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// from is a write that came from somewhere.
func from(source tally.Source, member tally.Member, amount int64) tally.Write {
	return tally.Write{Member: member, Source: source, Amount: amount, MayCreate: true}
}

// traces returns the traces of scope in a span of minutes, and checks their order
// and form.
func traces(t tester, store tally.Ledger, scope tally.Scope, first, last int64) (all []tally.JournalEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	err := store.Journal(ctx, scope, first, last, func(some []tally.JournalEntry) error {
		all = append(all, some...)
		return nil
	})
	if err != nil {
		t.Fatalf("journal of %v: %v", scope, err)
	}
	ended := map[tally.Topic]bool{}
	for i, trace := range all {
		if i > 0 && all[i-1].Topic != trace.Topic {
			ended[all[i-1].Topic] = true
		}
		if ended[trace.Topic] || !scope.Contains(trace.Topic) || trace.Minute < first || trace.Minute > last || trace.Position == "" {
			t.Fatalf("trace %d is %+v, of %v from %d to %d", i, trace, scope, first, last)
		}
	}
	return all
}

// everAfter are the minutes of all times.
const everAfter = int64(1) << 40

// recent returns all traces of one topic.
func recent(t tester, store tally.Ledger, topic tally.Topic) []tally.JournalEntry {
	t.Helper()
	return traces(t, store, tally.ScopeOf(topic), 0, everAfter)
}

// told are traces without their places and times.
func told(traces []tally.JournalEntry) (texts []string) {
	for _, trace := range traces {
		texts = append(texts, fmt.Sprintf("%d from %d", trace.Member, trace.Source))
	}
	slices.Sort(texts)
	return texts
}

func testJournal(t *testing.T, open Factory) {
	f := owned(t, open)
	for metric, want := range map[string][]string{
		"likes":    {"1 from 7", "1 from 8", "2 from 0", "3 from 7"},
		"claps":    {"1 from 6", "1 from 7", "1 from 8", "2 from 0", "2 from 9", "3 from 7"}, // 1 went up to 2, then to 5
		"visitors": {"1 from 7", "2 from 0", "3 from 7"},
		"days":     {"1 from 7", "2 from 0", "3 from 7"},
	} {
		topic := newTopic(t, metric)
		more, back := int64(1), int64(0)
		if rule := catalog().Rule(topic); rule.Final() {
			back = 1
		} else if rule.Kind == tally.Amount {
			more, back = 5, 2
		}
		apply(t, f.first, topic, from(7, 1, 1), from(0, 2, 1), from(7, 3, 1), from(9, 3, 1), tally.Write{Member: 1, Source: 6, Amount: back})
		apply(t, f.other, topic, from(8, 1, max(more, back)), from(9, 2, more))
		apply(t, f.first, topic, from(7, 1, back))
		got := recent(t, f.other, topic)
		if !slices.Equal(told(got), want) {
			t.Errorf("%s: the journal tells %q, want %q", metric, told(got), want)
		}
		if again := recent(t, f.first, topic); fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("%s: read again it tells %v, and told %v", metric, again, got)
		}
		now := time.Now().Unix() / 60
		for _, trace := range got {
			if trace.Minute < now-10 || trace.Minute > now+10 { // of the store's clock
				t.Errorf("%s: minute %d, now it is %d", metric, trace.Minute, now)
			}
		}
		minutes := func(first, last int64) int { return len(traces(t, f.first, tally.ScopeOf(topic), first, last)) }
		first, last := got[0].Minute, got[0].Minute
		for _, trace := range got {
			first, last = min(first, trace.Minute), max(last, trace.Minute)
		}
		if minutes(first, last) != len(want) || minutes(0, first-1) != 0 || minutes(last+1, everAfter) != 0 {
			t.Errorf("%s: a span of minutes does not hold what it should", metric)
		}
		edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditReset})
		if got := recent(t, f.other, topic); len(got) > 0 {
			t.Errorf("%s: a journal outlasts its reset: %v", metric, got)
		}
	}
	blog, other := topic(t, "blog", "likes", "a"), topic(t, "blog", "likes", "b")
	for i := range 5 { // more than a portion
		var writes []tally.Write
		for j := range 500 {
			writes = append(writes, from(5, tally.Member(1+i*500+j), 1))
		}
		apply(t, f.first, blog, writes...)
	}
	apply(t, f.first, other, from(5, 1, 1))
	apply(t, f.first, topic(t, "blog", "visitors", "a/b"), from(5, 1, 1))
	for scope, n := range map[tally.Scope]int{
		{Site: "blog"}: 2502, {Site: "blog", Metric: "likes", Prefix: "a"}: 2500, {Site: "blog", Metric: "claps"}: 0, {}: 2502,
		{Site: "blog", Metric: "visitors", Prefix: "a"}: 1, {Site: "blog", Metric: "visitors", Prefix: "a", Exact: true}: 0,
	} {
		if got := len(traces(t, f.other, scope, 0, everAfter)); got != n {
			t.Errorf("%d traces of %+v, want %d", got, scope, n)
		}
	}
	enough := errors.New("enough")
	if err := f.first.Journal(answerContext(t), tally.Scope{}, 0, everAfter, func([]tally.JournalEntry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a journal whose reader has had enough: %v", err)
	}
}

func testNoJournal(t *testing.T, open Factory) {
	f := open(t, Options{Catalog: catalog()})
	store := asOwned(t, f.Instance)
	topic := newTopic(t, "likes")
	apply(t, store, topic, from(7, 1, 1))
	if got := recent(t, store, topic); len(got) > 0 {
		t.Errorf("a journal that is off tells %v", got)
	}
}

func testJournalEnds(t *testing.T, open Factory) {
	f := owned(t, open)
	if f.Advance == nil {
		return // a week is too long to wait; the store's own tests look at its ends
	}
	topic := newTopic(t, "likes")
	apply(t, f.first, topic, from(7, 1, 1))
	f.Advance(week - time.Hour)
	apply(t, f.first, topic, from(7, 2, 1))
	if got := told(recent(t, f.first, topic)); !slices.Equal(got, []string{"1 from 7", "2 from 7"}) {
		t.Errorf("within a week the journal tells %q", got)
	}
	f.Advance(2 * time.Hour)
	if got := told(recent(t, f.first, topic)); !slices.Equal(got, []string{"2 from 7"}) {
		t.Errorf("after a week the journal tells %q", got)
	}
	if got := read(t, f.first, topic, 1); got.Mine != 1 || got.Change.Count != 2 {
		t.Errorf("a contribution ended with its trace: %v", got)
	}
}

// revert reverts journal entries and returns the last change of each topic. Its preview
// must announce what it does.
func revert(t tester, store tally.Ledger, traces []tally.JournalEntry) map[tally.Topic]tally.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	would, none, err := store.Revert(ctx, traces, true)
	if err != nil || len(none) > 0 {
		t.Fatalf("preview of a revert of %d entries: %v, %v", len(traces), none, err)
	}
	reverted, changes, err := store.Revert(ctx, traces, false)
	if err != nil {
		t.Fatalf("revert %d entries: %v", len(traces), err)
	}
	byPlace := func(a, b tally.JournalEntry) int {
		return cmp.Or(strings.Compare(a.Topic.String(), b.Topic.String()), strings.Compare(a.Position, b.Position))
	}
	slices.SortFunc(would, byPlace)
	slices.SortFunc(reverted, byPlace)
	if !slices.Equal(would, reverted) {
		t.Fatalf("reverted %v, announced %v", reverted, would)
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

func testRevert(t *testing.T, open Factory) {
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		for i, r := range recorders {
			r.watch(t, f.instances()[i], topic)
		}
		apply(t, f.first, topic, from(7, 1, 1), from(8, 2, 1), from(7, 3, 1), from(0, 4, 1))
		edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: 10})
		spike := slices.DeleteFunc(recent(t, f.other, topic), func(trace tally.JournalEntry) bool { return trace.Source != 7 })
		change := revert(t, f.other, spike)[topic]
		if got := read(t, f.first, topic, 0).Change; got != change || got.Count != 12 {
			t.Errorf("%s: two of four taken back told %v and left %v", metric, change, got)
		}
		for member, mine := range map[tally.Member]int64{1: 0, 2: 1, 3: 0, 4: 1} {
			if got := read(t, f.first, topic, member).Mine; got != mine {
				t.Errorf("%s: member %d contributes %d, want %d", metric, member, got, mine)
			}
		}
		for _, r := range recorders {
			r.reaches(t, change)
			r.grows(t, topic)
		}
		if again := revert(t, f.first, spike); len(again) > 0 {
			t.Errorf("%s: taken back again it told %v", metric, again)
		}
		if left := told(recent(t, f.first, topic)); !slices.Equal(left, []string{"2 from 8", "4 from 0"}) {
			t.Errorf("%s: the journal tells %q afterwards", metric, left)
		}
		// Who was taken back may come again, and stays.
		if got := apply(t, f.first, topic, from(7, 1, 1)); !got.Writes[0].Changed || got.Count != 13 {
			t.Errorf("%s: again it is %+v", metric, got)
		}
		if again := revert(t, f.other, spike); len(again) > 0 {
			t.Errorf("%s: traces of before took back what came after: %v", metric, again)
		}
	}
	if got := revert(t, f.first, nil); len(got) > 0 {
		t.Errorf("no traces told %v", got)
	}

	t.Run("whatever they are by now", func(t *testing.T) {
		claps := newTopic(t, "claps")
		apply(t, f.first, claps, from(7, 1, 3), from(7, 2, 4), from(7, 3, 5))
		apply(t, f.first, claps, from(7, 1, 50), from(9, 2, 0), from(9, 3, 2))
		if got := revert(t, f.first, recent(t, f.first, claps))[claps]; got.Count != 0 {
			t.Errorf("%v is left of 50, of none and of 2", got)
		}
		if left := recent(t, f.first, claps); len(left) > 0 {
			t.Errorf("the journal tells %v", left)
		}
	})
	t.Run("below zero", func(t *testing.T) {
		likes := newTopic(t, "likes")
		apply(t, f.first, likes, from(7, 1, 1), from(7, 2, 1), from(8, 3, 1))
		edit(t, f.first, tally.Edit{Topic: likes, Kind: tally.EditCount, Value: 1})
		revert(t, f.first, recent(t, f.first, likes)[:2])
		if d := stateOf(t, f.first, likes); d.Count != 0 || d.counted != 1 || d.Adjustment != -1 {
			t.Errorf("two of three, of which one is shown, taken back left %v", d)
		}
	})
	t.Run("after a reset", func(t *testing.T) {
		for _, kind := range []tally.EditKind{tally.EditReset, tally.EditDelete} {
			topic := newTopic(t, "likes")
			apply(t, f.first, topic, from(7, 1, 1))
			spike := recent(t, f.first, topic)
			edit(t, f.first, tally.Edit{Topic: topic, Kind: kind})
			apply(t, f.first, topic, from(8, 1, 1))
			if got := revert(t, f.first, spike); len(got) > 0 {
				t.Errorf("traces of before took back what came after: %v", got)
			}
		}
	})
	t.Run("of windows that ended", func(t *testing.T) {
		topic := newTopic(t, "glances")
		for range 3 {
			if f.Advance != nil {
				f.Advance(glance)
			}
			eventually(t, func() bool { return apply(t, f.first, topic, from(7, 1, 1)).Writes[0].Changed },
				func() string { return "the window did not end" })
		}
		spike := recent(t, f.first, topic)
		if len(spike) != 3 {
			t.Fatalf("three windows left the traces %v", spike)
		}
		if got := revert(t, f.first, spike[:2])[topic]; got.Count != 1 {
			t.Errorf("two of three taken back left %v", got)
		}
		if got := revert(t, f.first, spike)[topic]; got.Count != 0 {
			t.Errorf("three of three taken back left %v", got)
		}
	})
	t.Run("many", func(t *testing.T) {
		one, two := newTopic(t, "likes"), newTopic(t, "visitors")
		for i := range 5 {
			var writes []tally.Write
			for j := range 500 {
				writes = append(writes, from(tally.Source(1+j%2), tally.Member(1+i*500+j), 1))
			}
			apply(t, f.first, one, writes...)
			apply(t, f.first, two, writes...)
		}
		spike := slices.DeleteFunc(append(recent(t, f.first, one), recent(t, f.first, two)...),
			func(trace tally.JournalEntry) bool { return trace.Source == 2 })
		last := revert(t, f.other, spike)
		for _, topic := range []tally.Topic{one, two} {
			if got := read(t, f.first, topic, 0).Change; got.Count != 1250 || last[topic] != got {
				t.Errorf("half of 2500 taken back told %v and left %v", last[topic], got)
			}
		}
	})
}
