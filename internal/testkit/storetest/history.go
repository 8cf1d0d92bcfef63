package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// historyKept is the retention of days in the suite. It is short, so that random runs exceed
// it.
const historyKept = 20 * 24 * time.Hour

// RunHistory runs the tests of histories, for which the store's clock moves, see
// [Fixture.Advance].
func RunHistory(t *testing.T, open Factory) {
	runTests(t, open, []test{
		{"Model", testHistoryModel},
		{"NewTopic", testHistoryNewTopic},
		{"Boundary", testHistoryBoundary},
		{"Revert", testHistoryRevert},
		{"Restore", testHistoryRestore},
		{"Off", testHistoryOff},
		{"Presence", testHistoryPresence},
		{"Rising", testRising},
	})
}

// historyFixture opens a fixture with a history, whose clock is at 10:10.
func historyFixture(t testing.TB, open Factory, kept time.Duration) *Fixture {
	t.Helper()
	f := open(t, Options{Catalog: catalog(), Journal: week, History: kept})
	const morning = 34*time.Hour + 10*time.Minute
	now := time.UnixMicro(history(t, f.First, newTopic(t, "likes"), tally.Day).Now).UTC()
	f.Advance(now.Truncate(24 * time.Hour).Add(morning).Sub(now).Truncate(time.Second))
	return f
}

// history returns the history of a topic.
func history(t tester, store tally.HistoryReader, topic tally.Topic, period tally.Period) tally.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
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

// hasPoints compares the last points of a topic, by day and by hour.
func hasPoints(t tester, store tally.HistoryReader, topic tally.Topic, period tally.Period, want ...int64) {
	t.Helper()
	if got := points(t, store, topic, period, period.Max()); !slices.Equal(got, want) {
		t.Fatalf("the points of %s by %s are %v, want %v", topic, period, got, want)
	}
}

// historyModel is a model that remembers each state.
type historyModel struct {
	*model
	past       []pastState
	prior      int64 // sum of contributions before the first state
	isComplete bool
}

// pastState is what a topic had after a change.
type pastState struct {
	version         int64
	sum, adjustment int64
	reverted        []tally.JournalEntry // after it; Position is not set
	amounts         []int64              // of reverted
}

// sumIn returns the sum of s in a history by period: without the reverted contributions of that
// period or of an earlier one.
func (s pastState) sumIn(period tally.Period) int64 {
	sum := s.sum
	for i, e := range s.reverted {
		if e.Minute*60/int64(period) <= period.Number(s.version) {
			sum -= s.amounts[i]
		}
	}
	return sum
}

// note remembers the present state if it is new. The former sums rise by imported.
func (m *historyModel) note(imported int64) {
	if !m.exists {
		*m = historyModel{model: m.model}
		return
	}
	state := m.state()
	if len(m.past) > 0 && m.past[len(m.past)-1].version == state.Version {
		return
	}
	m.shift(imported)
	m.past = append(m.past, pastState{version: state.Version, sum: state.Sum(), adjustment: state.Adjustment})
}

func (m *historyModel) shift(by int64) {
	m.prior += by
	for i := range m.past {
		m.past[i].sum += by
	}
}

// points returns the expected counts.
func (m *historyModel) points(period tally.Period, now int64) (counts []int64) {
	if !m.exists {
		return nil
	}
	last := period.Number(now)
	visible := slices.DeleteFunc(slices.Clone(m.past), func(s pastState) bool { return period.Number(s.version) > last })
	first := last
	if len(visible) > 0 {
		first = period.Number(visible[0].version)
		if m.isComplete {
			first--
		}
	}
	for number := max(first, last-int64(period.Kept(historyKept))+1); number < last; number++ {
		s := pastState{sum: m.prior}
		for _, each := range visible {
			if period.Number(each.version) <= number {
				s = each
			}
		}
		counts = append(counts, max(0, m.state().Seed+s.sumIn(period)+s.adjustment))
	}
	return append(counts, m.count())
}

// gain returns the expected gain since a time.
func (m *historyModel) gain(since tally.Since, now int64) int64 {
	if !m.exists {
		return 0
	}
	state := m.state()
	before := m.prior
	if len(m.past) == 0 {
		before = state.Sum()
	}
	for _, s := range m.past {
		if since.Period().Number(s.version) < since.First(now) {
			before = s.sumIn(since.Period())
		}
	}
	return state.Sum() - before
}

// testHistoryModel compares histories with a model, while the clock moves by hours, days and
// months, and at times back.
func testHistoryModel(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyKept)
	rapid.Check(t, func(rt *rapid.T) {
		var models []*historyModel
		for _, metric := range []string{"likes", "claps", "rating"} {
			models = append(models, &historyModel{model: newModel(newTopic(rt, metric))})
		}
		draw := func(rt *rapid.T) (*historyModel, Store) {
			return rapid.SampledFrom(models).Draw(rt, "topic"), rapid.SampledFrom(f.stores()).Draw(rt, "store")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				for _, m := range models {
					for _, period := range []tally.Period{tally.Hour, tally.Day} {
						got := points(rt, f.other(), m.topic, period, period.Max())
						if want := m.points(period, history(rt, f.other(), m.topic, period).Now); !slices.Equal(got, want) {
							rt.Fatalf("the points of %s by %s are %v, want %v", m.topic, period, got, want)
						}
					}
				}
			},
			"advance": func(rt *rapid.T) {
				f.Advance(rapid.SampledFrom([]time.Duration{
					time.Hour, time.Hour, 5 * time.Hour, 24 * time.Hour, 40 * time.Hour, 10 * 24 * time.Hour, 40 * 24 * time.Hour, -3 * time.Hour,
				}).Draw(rt, "by"))
				for _, m := range models {
					if !m.exists {
						m.version = 0 // final versions are kept for an hour
					}
				}
			},
			"rise": func(rt *rapid.T) {
				m, store := draw(rt)
				since := rapid.SampledFrom([]tally.Since{tally.Since24h, tally.Since7d}).Draw(rt, "since")
				gain := m.gain(since, history(rt, store, m.topic, since.Period()).Now)
				rises(rt, store, m.topic.Metric(), since, map[string]int64{m.topic.Key(): gain})
			},
			"apply": func(rt *rapid.T) {
				m, store := draw(rt)
				existed := m.exists
				m.applyTo(rt, store, drawWrites(rt, m.topic))
				m.isComplete = m.isComplete || !existed
				m.note(0)
			},
			"edit": func(rt *rapid.T) {
				m, store := draw(rt)
				e := drawEdit(rt, m.model)
				ended := e.Kind == tally.EditReset && m.exists && (e.IfVersion == 0 || e.IfVersion == m.version)
				existed := m.exists
				m.editIn(rt, store, e)
				if ended {
					*m = historyModel{model: m.model}
				}
				m.isComplete = m.isComplete || !existed
				m.note(0)
				// The clock went back: a new topic of this name may begin below the final
				// version. An instance that pushed the final version asks the store to reissue
				// the new topic.
				if !m.exists && m.version > history(rt, store, m.topic, tally.Day).Now {
					m.version = 0
				}
			},
			"revert": func(rt *rapid.T) {
				m, store := draw(rt)
				m.entries = recent(rt, store, m.topic) // older ones have expired
				reverted, amounts := m.revertIn(rt, store)
				for i := range m.past {
					s := &m.past[i]
					s.reverted, s.amounts = append(s.reverted, reverted...), append(s.amounts, amounts...)
				}
				m.note(0)
			},
			"restore": func(rt *rapid.T) {
				m, store := draw(rt)
				p, replace := drawPortion(rt, m.model), rapid.Bool().Draw(rt, "replace")
				if m.version == 0 {
					p.Version = history(rt, store, m.topic, tally.Day).Now
				}
				restore(rt, store, replace, p)
				state := m.state()
				before := state.Sum()
				if replace || !m.exists {
					*m, before = historyModel{model: m.model}, 0
				}
				m.restore(replace, p)
				m.changes++
				m.observe(rt, read(rt, store, m.topic, 0).Change)
				state = m.state()
				if imported := state.Sum() - before; len(m.past) == 0 {
					m.prior = imported
					m.note(0)
				} else {
					m.note(imported)
				}
			},
		})
	})
}

// The point before the first change is 0, and those without changes continue the one before.
func testHistoryNewTopic(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyKept)
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
		edit(t, f.First, on(topic, tally.Edit{Kind: tally.EditSeed, Value: 10}))
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
	f := historyFixture(t, open, historyKept)
	topic := newTopic(t, "likes")
	const writers, likes = 4, 40
	results := make(chan tally.Change, writers*likes)
	var writing sync.WaitGroup
	for writer := range writers {
		store := f.stores()[writer%len(f.stores())]
		writing.Go(func() {
			for i := range likes {
				batch := []tally.Batch{{Topic: topic, Writes: []tally.Write{assert(tally.Member(1+writer*likes+i), 1)}}}
				ctx, cancel := context.WithTimeout(context.Background(), answer)
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
	f := historyFixture(t, open, historyKept)
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

// A portion carries the history of its topic. It keeps the greater gain of each period, and can
// be stored again.
func testHistoryRestore(t *testing.T, open Factory) {
	f := historyFixture(t, open, historyKept)
	for _, metric := range []string{"likes", "claps", "rating"} {
		f.Advance(23 * time.Hour) // with the times below, whole days
		source, moved, merged := newTopic(t, metric), newTopic(t, metric), newTopic(t, metric)
		restore(t, f.First, false, whole(source, 10, 0, map[tally.Member]int64{100: 1}))
		apply(t, f.First, merged, assert(21, 1), assert(22, 1), assert(23, 1))
		f.Advance(24 * time.Hour)
		apply(t, f.First, source, assert(1, 1), assert(2, 1))
		f.Advance(24 * time.Hour)
		apply(t, f.First, source, assert(1, 0))
		edit(t, f.First, on(source, tally.Edit{Kind: tally.EditBase, Value: 14}))
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
		for i := range portions {
			portions[i].Past = pasts[i]
		}
		version = history(t, f.First, moved, tally.Day).Version
		restore(t, f.First, false, at(moved)...)
		same()
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
	f := historyFixture(t, open, historyKept)
	topic := newTopic(t, "readers")
	share := func(pages int64) {
		t.Helper()
		if err := f.First.SetShares(answerContext(t), time.Hour, []tally.Share{{Topic: topic, Pages: pages}}); err != nil {
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
