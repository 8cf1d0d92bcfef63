package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A portion carries the history of its topic. It keeps the greater gain of each period, and can
// be stored again.
func testHistoryRestore(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	for _, metric := range []string{"likes", "claps", "rating"} {
		f.Advance(23 * time.Hour) // with the times below, whole days
		source, moved, merged := newTopic(t, metric), newTopic(t, metric), newTopic(t, metric)
		restore(t, f.First, false, wholePortion(source, 10, 0, map[tally.Member]int64{100: 1}))
		apply(t, f.First, merged, assert(21, 1), assert(22, 1), assert(23, 1))
		f.Advance(24 * time.Hour)
		apply(t, f.First, source, assert(1, 1), assert(2, 1))
		f.Advance(24 * time.Hour)
		apply(t, f.First, source, assert(1, 0))
		edit(t, f.First, editOf(source, tally.Edit{Kind: tally.EditBase, Value: 14}))
		f.Advance(25 * time.Hour)
		apply(t, f.First, source, assert(3, 1), assert(4, 1))

		portions := portions(t, f.First, tally.ScopeOf(source))
		at := func(topic tally.Topic) []tally.Portion {
			for i := range portions {
				portions[i].Topic = topic
			}
			return portions
		}
		same := func() {
			t.Helper()
			for _, period := range []tally.Period{tally.Hour, tally.Day} {
				if got, want := points(t, f.other(), moved, period, period.Max()), points(t, f.other(), source, period, period.Max()); !slices.Equal(got, want) {
					t.Errorf("a moved topic of %s by %s: %v, want %v", metric, period, got, want)
				}
			}
		}
		restore(t, f.First, false, at(moved)...)
		same()
		version := history(t, f.First, moved, tally.Day).Version
		restore(t, f.First, false, at(moved)...)
		same()
		if again := history(t, f.First, moved, tally.Day).Version; again != version {
			t.Errorf("%s: the version is %d after the second time, and was %d", metric, again, version)
		}
		restore(t, f.First, true, at(moved)...)
		same()

		// A topic without its history, such as one that an earlier release imported, gets it.
		moved = newTopic(t, metric)
		pasts := make([]*tally.Past, len(portions))
		for i := range portions {
			pasts[i], portions[i].Past = portions[i].Past, nil
		}
		restore(t, f.First, false, at(moved)...)
		expectGains(t, f.other(), metric, tally.Since7d, map[string]int64{moved.Key(): 0})
		for i := range portions {
			portions[i].Past = pasts[i]
		}
		version = history(t, f.First, moved, tally.Day).Version
		restore(t, f.First, false, at(moved)...)
		same()
		expectGains(t, f.other(), metric, tally.Since7d, map[string]int64{moved.Key(): 3})
		if again := history(t, f.First, moved, tally.Day).Version; again != version {
			t.Errorf("%s: the version is %d with the history, and was %d", metric, again, version)
		}

		restore(t, f.First, false, at(merged)...)
		h := history(t, f.other(), merged, tally.Day)
		today := tally.Day.Number(h.Now)
		gains := make([]int64, 5)
		for i := range gains {
			gains[i] = h.SumAt(today-4+int64(i)) - h.Prior
		}
		if want := []int64{0, 3, 3, 3, 3}; !slices.Equal(gains, want) || h.Count != 14+7 {
			t.Errorf("the gains of a merged topic of %s are %v, want %v; the count is %d", metric, gains, want, h.Count)
		}
		// The adjustment of 4 was not in force before.
		if got, want := points(t, f.other(), merged, tally.Day, 5), []int64{10 + 4, 10 + 7, 10 + 7, 10 + 7, 14 + 7}; !slices.Equal(got, want) {
			t.Errorf("the points of a merged topic of %s are %v, want %v", metric, got, want)
		}
	}
}

// The last step of a merge sets the adjustment, the past and the mark of the target. Each point of a
// merged topic is the sum of both points, and its gain that of both gains, though a visitor of both
// topics has one contribution.
func testHistoryMerge(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyRetention)
	for _, metric := range []string{"likes", "claps", "rating"} {
		f.Advance(24 * time.Hour)
		from, to := newTopic(t, metric), newTopic(t, metric)
		apply(t, f.First, to, assert(1, 1), assert(2, 1))
		f.Advance(24 * time.Hour)
		edit(t, f.First, editOf(from, tally.Edit{Kind: tally.EditSeed, Value: 10}))
		apply(t, f.other(), from, assert(1, 1), assert(2, 1), assert(3, 1))
		edit(t, f.First, editOf(to, tally.Edit{Kind: tally.EditAdjustment, Value: 5}))
		f.Advance(24 * time.Hour)
		apply(t, f.First, to, assert(4, 1))
		edit(t, f.First, editOf(from, tally.Edit{Kind: tally.EditAdjustment, Value: 4}))
		f.Advance(25 * time.Hour)
		apply(t, f.First, from, assert(5, 1))
		hasPoints(t, f.other(), to, tally.Day, 0, 2, 2+5, 3+5, 3+5)
		hasPoints(t, f.other(), from, tally.Day, 10+0, 10+3, 10+3+4, 10+4+4)
		expectGains(t, f.First, metric, tally.Since24h, map[string]int64{from.Key(): 1, to.Key(): 0})

		before := [2]tally.State{history(t, f.First, from, tally.Day).State, history(t, f.First, to, tally.Day).State}
		first, last := tally.FrozenMark("merge", "first"), tally.FrozenMark("merge", "last")
		if _, err := f.First.SwapMark(callContext(t), to, "", first); err != nil {
			t.Fatal(err)
		}
		for _, p := range portions(t, f.First, tally.ScopeOf(from)) {
			p.State = before[1]
			p.Past, p.Mark, p.Version = nil, first, 0
			restore(t, f.First, false, p)
		}
		var own, given [2]tally.History
		for i, period := range []tally.Period{tally.Hour, tally.Day} {
			own[i], given[i] = history(t, f.other(), to, period), history(t, f.other(), from, period)
		}
		set := editOf(to, tally.Edit{Kind: tally.EditCount, Value: before[0].Count + before[1].Count})
		set.Preview(own[0].State)
		raise := set.After.Adjustment - before[1].Adjustment - before[0].Adjustment
		final := tally.Portion{State: set.After, Past: tally.MergePast(own, given, raise), Last: true, Mark: first, NextMark: last}
		final.Version = 0
		restore(t, f.other(), false, final)
		if err := f.First.Restore(callContext(t), false, []tally.Portion{final}); !errors.Is(err, tally.ErrFrozen) {
			t.Errorf("the last step again: %v", err)
		}
		if mark, err := f.First.SwapMark(callContext(t), to, last, ""); err != nil || mark != "" {
			t.Errorf("the mark after the last step is %q, %v", mark, err)
		}
		edit(t, f.First, tally.Edit{Topic: from, Kind: tally.EditDelete})
		merged := points(t, f.other(), to, tally.Day, 5)
		if want := []int64{2 + 10, 7 + 13, 8 + 17, 8 + 18}; !slices.Equal(merged[len(merged)-4:], want) {
			t.Errorf("the points of a merged topic of %s are %v, want %v", metric, merged, want)
		}
		for since, gain := range map[tally.Since]int64{tally.Since24h: 1, tally.Since7d: 3 + 4} {
			expectGains(t, f.First, metric, since, map[string]int64{from.Key(): 0, to.Key(): gain})
			expectGains(t, f.other(), metric, since, map[string]int64{from.Key(): 0, to.Key(): gain})
		}
		apply(t, f.First, to, assert(1, 0))
		expectGains(t, f.other(), metric, tally.Since24h, map[string]int64{to.Key(): 0})
	}
}
