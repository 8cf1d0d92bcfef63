package storetest

import (
	"maps"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// model is the expected state of one topic of a random run.
type model struct {
	topic tally.Topic
	rule  tally.Rule

	exists  bool
	options []modelOption // of a choice metric; else one
	mine    map[tally.Member]int64
	version int64
	changes int // bounds the number of pushes
	entries []tally.JournalEntry
}

// modelOption is the part of a model that concerns one option, or all of it if the metric is
// not a choice.
type modelOption struct {
	seed, adjustment int64
	sum              int64 // of contributions, including those of ended windows
}

func (o modelOption) count() int64 { return o.seed + o.adjustment + o.sum }

// newModel returns the model of a topic that does not exist.
func newModel(topic tally.Topic) *model {
	m := &model{topic: topic, rule: catalog().Rule(topic), mine: map[tally.Member]int64{}}
	m.empty()
	return m
}

// state returns the state of the topic.
func (m *model) state() tally.State {
	var seeds, adjustments, counts []int64
	s := tally.State{Change: tally.Change{Topic: m.topic, Version: m.version}}
	for _, o := range m.options {
		seeds, adjustments, counts = append(seeds, o.seed), append(adjustments, o.adjustment), append(counts, o.count())
		s.Seed, s.Adjustment, s.Count = s.Seed+o.seed, s.Adjustment+o.adjustment, s.Count+o.count()
	}
	if m.isChoice() {
		s.SeedOptions, s.AdjustmentOptions, s.Options = tally.NewOptions(seeds), tally.NewOptions(adjustments), tally.NewOptions(counts)
	}
	return s
}

func (m *model) isChoice() bool { return m.rule.Kind == tally.Choice }
func (m *model) isWindow() bool { return m.rule.Kind == tally.Window }
func (m *model) count() int64   { return m.state().Count }

// add changes the sum by a contribution, sign times. The adjustment rises if a count would be
// below 0.
func (m *model) add(sign, amount int64) {
	o, delta := &m.options[0], sign*amount
	if m.isChoice() {
		if amount == 0 {
			return
		}
		o, delta = &m.options[amount-1], sign
	}
	o.sum += delta
	m.raise()
}

// raise raises the adjustments of which the count is below 0.
func (m *model) raise() {
	for i := range m.options {
		m.options[i].adjustment += max(0, -m.options[i].count())
	}
}

// write applies a visitor's write.
func (m *model) write(w tally.Write) tally.Write {
	before := m.mine[w.Member]
	if w.Amount == before {
		return w
	}
	if !m.exists && !w.MayCreate {
		w.WouldCreate = true
		return w
	}
	if w.RefuseNew && before == 0 {
		w.WouldAdd = true
		return w
	}
	w.Created, w.Added, w.Changed = !m.exists, before == 0, true
	m.exists = true
	m.mine[w.Member] = w.Amount
	if m.isChoice() {
		m.add(-1, before)
		m.add(1, w.Amount)
	} else {
		m.add(1, w.Amount-before)
	}
	if w.Amount > before || m.isChoice() && w.Amount > 0 {
		m.entries = append(m.entries, tally.JournalEntry{Topic: m.topic, Member: w.Member, Source: w.Source})
	}
	return w
}

// empty resets the topic.
func (m *model) empty() {
	m.options, m.entries = make([]modelOption, max(1, m.rule.NoOptions().Len())), nil
	clear(m.mine)
}

// edit applies an edit.
func (m *model) edit(e tally.Edit) {
	if e.IfVersion != 0 && e.IfVersion != m.version {
		return
	}
	values := []int64{e.Value}
	if m.isChoice() {
		values = e.Options.Numbers()
	}
	for i, value := range values {
		switch o := &m.options[i]; e.Kind {
		case tally.EditSeed:
			o.seed = value
		case tally.EditAdjustment:
			o.adjustment = value
		case tally.EditCount:
			o.adjustment = value - o.seed - o.sum
		case tally.EditBase:
			o.adjustment = value - o.seed
		}
	}
	m.exists = m.exists || e.Creates()
	switch e.Kind {
	case tally.EditReset:
		m.empty()
	case tally.EditDelete:
		m.empty()
		m.exists = false
	case tally.EditWithdraw:
		for _, member := range e.Members {
			m.add(-1, m.mine[member])
			delete(m.mine, member)
			m.entries = slices.DeleteFunc(m.entries, func(t tally.JournalEntry) bool { return t.Member == member })
		}
	}
	m.raise()
}

// restore stores a portion that is the whole topic.
func (m *model) restore(replace bool, p tally.Portion) {
	isNew := replace || !m.exists
	if isNew {
		m.empty()
	}
	m.exists = true
	seeds, adjustments := []int64{p.Seed}, []int64{p.Adjustment}
	if m.isChoice() {
		seeds, adjustments = p.SeedOptions.Numbers(), p.AdjustmentOptions.Numbers()
	}
	for i := range m.options {
		o := &m.options[i]
		o.seed = max(o.seed, seeds[i])
		if o.adjustment = max(o.adjustment, adjustments[i]); isNew {
			o.adjustment = adjustments[i]
		}
	}
	for _, c := range p.Contributions {
		switch before := m.mine[c.Member]; {
		case m.isChoice() && before == 0: // else the stored choice remains
			m.options[c.Amount-1].sum++
		case m.isChoice():
			continue
		case !m.isWindow():
			m.options[0].sum += max(0, c.Amount-before)
		}
		m.mine[c.Member] = max(m.mine[c.Member], c.Amount)
	}
	if m.isWindow() {
		m.options[0].sum = max(m.options[0].sum, p.Sum)
	}
	m.raise()
}

// revert takes back the contribution of an entry, and returns what it counted.
func (m *model) revert(t tally.JournalEntry) int64 {
	amount := m.mine[t.Member]
	if m.isWindow() {
		amount = 1
	}
	delete(m.mine, t.Member)
	m.add(-1, amount)
	return m.rule.Counts(amount)
}

// check compares the model with a dump.
func (m *model) check(t tester, d dumped, exists bool) {
	t.Helper()
	if exists != m.exists {
		t.Fatalf("%s exists: %t, want %t", m.topic, exists, m.exists)
	}
	mine := maps.Clone(m.mine)
	maps.DeleteFunc(mine, func(_ tally.Member, amount int64) bool { return amount == 0 })
	want := m.state()
	want.Version = d.Version
	if exists && (d.State != want || d.sum != want.Sum() || !maps.Equal(d.contributions, mine)) {
		t.Fatalf("%s is %v, want %+v by %v", m.topic, d, want, mine)
	}
}

// observe compares the model with a state that the store reported, and keeps its version.
func (m *model) observe(t tester, now tally.Change) {
	t.Helper()
	want := m.state().Change
	if want.Version = now.Version; now != want || now.Version < m.version {
		t.Fatalf("%s is %v, after version %d; want %v", m.topic, now, m.version, want)
	}
	m.version = now.Version
}
