package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// historyRetention is the retention of days in the suite. It is short, so that random runs
// exceed it.
const historyRetention = 20 * 24 * time.Hour

// RunHistory runs the tests of histories, for which the store's clock moves, see
// [Fixture.Advance].
func RunHistory(t *testing.T, open Factory) {
	runTests(t, open, []test{
		{"Model", testHistoryModel},
		{"NewTopic", testHistoryNewTopic},
		{"Boundary", testHistoryBoundary},
		{"Revert", testHistoryRevert},
		{"Restore", testHistoryRestore},
		{"Merge", testHistoryMerge},
		{"Off", testHistoryOff},
		{"Presence", testHistoryPresence},
		{"TopGains", testTopGains},
	})
}

// historyFixture opens a fixture with a history, whose clock is at 10:10.
func historyFixture(t testing.TB, open Factory, retention time.Duration) *Fixture {
	t.Helper()
	f := open(t, Options{Catalog: catalog(), Journal: week, History: retention})
	const morning = 34*time.Hour + 10*time.Minute
	now := time.UnixMicro(history(t, f.First, newTopic(t, "likes"), tally.Day).Now).UTC()
	f.Advance(now.Truncate(24 * time.Hour).Add(morning).Sub(now).Truncate(time.Second))
	return f
}

// history returns the history of a topic.
func history(t tester, store tally.HistoryReader, topic tally.Topic, period tally.Period) tally.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	h := store.History(ctx, period, []tally.Topic{topic})[0]
	if h.Err != nil {
		t.Fatalf("history of %s: %v", topic, h.Err)
	}
	return h
}

// points returns the counts of the last periods of a topic.
func points(t tester, store tally.HistoryReader, topic tally.Topic, period tally.Period, last int) (counts []int64) {
	t.Helper()
	h := history(t, store, topic, period)
	all := h.Points(catalog().Rule(topic).Kind == tally.Presence, last)
	for i, p := range all {
		if want := period.Begin(period.Number(h.Now) - int64(len(all)-1-i)); !p.At.Equal(want) {
			t.Fatalf("point %d of %d of %s is at %s, want %s", i, len(all), topic, p.At, want)
		}
		counts = append(counts, p.Count)
	}
	return counts
}

// hasPoints compares the points of a topic by a period with want.
func hasPoints(t tester, store tally.HistoryReader, topic tally.Topic, period tally.Period, want ...int64) {
	t.Helper()
	if got := points(t, store, topic, period, period.Max()); !slices.Equal(got, want) {
		t.Fatalf("the points of %s by %s are %v, want %v", topic, period, got, want)
	}
}

// The point before the first change is 0, and those without changes continue the one before.
func testHistoryNewTopic(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		hasPoints(t, f.other(), topic, tally.Day)
		apply(t, f.First, topic, assert(1, 1))
		hasPoints(t, f.other(), topic, tally.Day, 0, 1)
		hasPoints(t, f.other(), topic, tally.Hour, 0, 1)
		f.Advance(24 * time.Hour)
		apply(t, f.First, topic, assert(2, 1))
		apply(t, f.First, topic, assert(3, 1))
		f.Advance(48 * time.Hour)
		hasPoints(t, f.other(), topic, tally.Day, 0, 1, 3, 3, 3)
		if got := points(t, f.other(), topic, tally.Hour, 49); got[0] != 3 || len(got) != 49 {
			t.Fatalf("by hour: %v", got)
		}
		apply(t, f.First, topic, assert(4, 1))
		hasPoints(t, f.other(), topic, tally.Day, 0, 1, 3, 3, 4)
		edit(t, f.First, editOf(topic, tally.Edit{Kind: tally.EditSeed, Value: 10}))
		hasPoints(t, f.other(), topic, tally.Day, 10, 11, 13, 13, 14)
		h := history(t, f.other(), topic, tally.Day)
		if today := tally.Day.Number(h.Now); h.SumAt(today)-h.SumAt(today-3) != 3 || h.SumAt(today-3)-h.SumAt(today-9) != 1 {
			t.Errorf("sums of %s: %+v", topic, h)
		}
		edit(t, f.First, tally.Edit{Topic: topic, Kind: tally.EditReset})
		hasPoints(t, f.other(), topic, tally.Day, 0)
		edit(t, f.First, tally.Edit{Topic: topic, Kind: tally.EditDelete})
		hasPoints(t, f.other(), topic, tally.Day)
		apply(t, f.First, topic, assert(1, 1))
		hasPoints(t, f.other(), topic, tally.Day, 0, 1)
	}
}

// While visitors write through all stores, the points of the hour and of the day that end are
// the counts of the last changes in them.
func testHistoryBoundary(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	topic := newTopic(t, "likes")
	const writers, likes = 4, 40
	results := make(chan tally.Change, writers*likes)
	var writing sync.WaitGroup
	for writer := range writers {
		store := f.stores()[writer%len(f.stores())]
		writing.Go(func() {
			for i := range likes {
				batch := []tally.Batch{{Topic: topic, Writes: []tally.Write{assert(tally.Member(1+writer*likes+i), 1)}}}
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				store.Apply(ctx, batch)
				cancel()
				if batch[0].Err != nil {
					t.Errorf("like: %v", batch[0].Err)
				}
				results <- batch[0].Change()
			}
		})
	}
	var changes []tally.Change
	for change := range results {
		if changes = append(changes, change); len(changes) == writers*likes/2 {
			f.Advance(25 * time.Hour)
		}
		if len(changes) == writers*likes {
			break
		}
	}
	writing.Wait()
	for _, period := range []tally.Period{tally.Hour, tally.Day} {
		h := history(t, f.other(), topic, period)
		ended := period.Number(h.Now) - int64(25*time.Hour/period.Duration())
		var last tally.Change
		for _, change := range changes {
			if period.Number(change.Version) <= ended && change.Version > last.Version {
				last = change
			}
		}
		if h.SumAt(ended) != last.Count || last.Count == 0 || h.Count != writers*likes {
			t.Errorf("by %s: %d at the end of the period, want %d; %d now", period, h.SumAt(ended), last.Count, h.Count)
		}
	}
}

// A revert lowers the points since each contribution, forgetting a visitor the present only.
func testHistoryRevert(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	for _, metric := range kinds {
		f.Advance(21 * time.Hour) // with 75 hours below, whole days
		topic := newTopic(t, metric)
		for member := range tally.Member(3) {
			apply(t, f.First, topic, assert(member+1, 1))
			f.Advance(25 * time.Hour)
		}
		hasPoints(t, f.other(), topic, tally.Day, 0, 1, 2, 3, 3)
		journal := recent(t, f.First, topic)
		revert(t, f.other(), journal[1:2])
		hasPoints(t, f.First, topic, tally.Day, 0, 1, 1, 2, 2)
		if hours := points(t, f.First, topic, tally.Hour, 80); hours[1] != 1 || hours[25] != 1 || hours[26] != 1 || hours[51] != 2 {
			t.Errorf("%s by hour: %v", topic, hours)
		}
		if metric == "days" {
			continue // its window has ended
		}
		if _, _, err := f.other().Revert(t.Context(), journal[2:3], tally.RevertPresent); err != nil {
			t.Fatal(err)
		}
		hasPoints(t, f.First, topic, tally.Day, 0, 1, 1, 2, 1)
		edit(t, f.First, tally.Edit{Topic: topic, Kind: tally.EditWithdraw, Members: []tally.Member{1}})
		hasPoints(t, f.First, topic, tally.Day, 0, 1, 1, 2, 0)
	}
}

// Without history the present is the only point.
func testHistoryOff(t *testing.T, open Factory) {
	f := historyFixture(t, open, 0)
	topic := newTopic(t, "likes")
	apply(t, f.First, topic, assert(1, 1))
	f.Advance(48 * time.Hour)
	apply(t, f.First, topic, assert(2, 1))
	hasPoints(t, f.other(), topic, tally.Day, 2)
	hasPoints(t, f.other(), topic, tally.Hour, 2)
}

// A point of presence is the greatest count of its period. A share that is renewed can raise
// it.
func testHistoryPresence(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	topic := newTopic(t, "readers")
	share := func(pages int64) {
		t.Helper()
		if err := f.First.SetShares(callContext(t), time.Hour, []tally.Share{{Topic: topic, Pages: pages, MayRecord: true}}); err != nil {
			t.Fatal(err)
		}
	}
	hasPoints(t, f.other(), topic, tally.Day)
	share(3)
	share(1)
	hasPoints(t, f.other(), topic, tally.Day, 3)
	hasPoints(t, f.other(), topic, tally.Hour, 3)
	f.Advance(51 * time.Minute)
	share(1) // in a second hour
	hasPoints(t, f.other(), topic, tally.Hour, 3, 1)
	f.Advance(23*time.Hour + 9*time.Minute)
	share(1)
	share(2)
	f.Advance(time.Hour)
	share(2)
	share(0)
	f.Advance(48 * time.Hour)
	hours := points(t, f.other(), topic, tally.Hour, 51)
	if !slices.Equal(hours[:4], []int64{0, 2, 2, 0}) || hours[50] != 0 {
		t.Errorf("by hour: %v", hours)
	}
	share(1)
	days := points(t, f.other(), topic, tally.Day, 5)
	if days[0] != 3 || days[1] != 2 || days[len(days)-1] != 1 {
		t.Errorf("by day: %v", days)
	}
}
