package storetest

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// historyModel is a model that stores each state.
type historyModel struct {
	*model
	past       []pastState
	prior      int64 // sum of contributions before the first state
	isComplete bool
}

// pastState is the state of a topic after a change.
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

// record stores the present state if it is new. The sums of earlier states rise by imported.
func (m *historyModel) record(imported int64) {
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
	for number := max(first, last-int64(period.Retention(historyRetention))+1); number < last; number++ {
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
	f := historyFixture(t, open, historyRetention)
	rapid.Check(t, func(rt *rapid.T) {
		var models []*historyModel
		var latest int64 // time that a check saw
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
						now := history(rt, f.other(), m.topic, period).Now
						latest = max(latest, now)
						// Records that were too old at the latest time may be gone.
						retained := int(int64(period.Retention(historyRetention)) - period.Number(latest) + period.Number(now))
						got, want := points(rt, f.other(), m.topic, period, period.Max()), m.points(period, now)
						if !slices.Equal(got[max(0, len(got)-retained):], want[max(0, len(want)-retained):]) {
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
				expectGains(rt, store, m.topic.Metric(), since, map[string]int64{m.topic.Key(): gain})
			},
			"apply": func(rt *rapid.T) {
				m, store := draw(rt)
				existed := m.exists
				m.applyTo(rt, store, drawWrites(rt, m.topic))
				m.isComplete = m.isComplete || !existed
				m.record(0)
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
				m.record(0)
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
				m.record(0)
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
					m.record(0)
				} else {
					m.record(imported)
				}
			},
		})
	})
}
