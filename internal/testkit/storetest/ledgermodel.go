package storetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// ledgerModel is what a store ought to know of one topic of a random run.
type ledgerModel struct {
	topic    tally.Topic
	windowed bool

	exists           bool
	seed, adjustment int64
	counted          int64 // by contributions, those included that were of a window
	mine             map[tally.Member]int64
	version          int64
	changes          int // at most so many were to be published
	// traces are those that the journal must tell of; it may tell of others, whose
	// contributions were withdrawn or replaced.
	traces []tally.JournalEntry
}

func (m *ledgerModel) count() int64 { return m.seed + m.adjustment + m.counted }

// add adds to what is counted; the adjustment rises where the count would be below 0.
func (m *ledgerModel) add(delta int64) {
	m.counted += delta
	m.adjustment += max(0, -m.count())
}

// write applies a visitor's write.
func (m *ledgerModel) write(w tally.Write) tally.Write {
	before := m.mine[w.Member]
	if w.Amount == before {
		return w
	}
	if !m.exists && !w.MayCreate {
		w.WouldCreate = true
		return w
	}
	w.Created, w.Changed = !m.exists, true
	m.exists = true
	m.mine[w.Member] = w.Amount
	m.add(w.Amount - before)
	if w.Amount > before {
		m.traces = append(m.traces, tally.JournalEntry{Topic: m.topic, Member: w.Member, Source: w.Source})
	}
	return w
}

// empty is what a reset leaves.
func (m *ledgerModel) empty() {
	m.seed, m.adjustment, m.counted, m.traces = 0, 0, 0, nil
	clear(m.mine)
}

// edit applies an edit. It tells whether it is one to be published for certain.
func (m *ledgerModel) edit(e tally.Edit) {
	if e.IfVersion != 0 && e.IfVersion != m.version {
		return
	}
	switch e.Kind {
	case tally.EditSeed:
		m.seed, m.exists = e.Value, true
	case tally.EditAdjustment:
		m.adjustment, m.exists = e.Value, true
	case tally.EditCount:
		m.adjustment, m.exists = e.Value-m.seed-m.counted, true
	case tally.EditBase:
		m.adjustment, m.exists = e.Value-m.seed, true
	case tally.EditReset:
		m.empty()
	case tally.EditDelete:
		m.empty()
		m.exists = false
	case tally.EditWithdraw:
		for _, member := range e.Members {
			m.add(-m.mine[member])
			delete(m.mine, member)
			m.traces = slices.DeleteFunc(m.traces, func(t tally.JournalEntry) bool { return t.Member == member })
		}
	}
	m.add(0)
}

// restore stores a portion that is first and last.
func (m *ledgerModel) restore(replace bool, p tally.Portion) {
	if replace || !m.exists {
		m.empty()
		m.adjustment = p.Adjustment
	}
	m.exists = true
	m.seed, m.adjustment = max(m.seed, p.Seed), max(m.adjustment, p.Adjustment)
	var added int64
	for _, c := range p.Contributions {
		added += max(0, c.Amount-m.mine[c.Member])
		m.mine[c.Member] = max(m.mine[c.Member], c.Amount)
	}
	if m.windowed {
		added = max(0, p.Sum-m.counted)
	}
	m.add(added)
}

// revert takes back what an entry counts for.
func (m *ledgerModel) revert(t tally.JournalEntry) {
	amount := m.mine[t.Member]
	if m.windowed {
		amount = 1
	}
	delete(m.mine, t.Member)
	m.add(-amount)
}

// check compares with what is stored.
func (m *ledgerModel) check(t tester, d dumped, exists bool) {
	t.Helper()
	if exists != m.exists {
		t.Fatalf("%s exists: %t, want %t", m.topic, exists, m.exists)
	}
	mine := maps.Clone(m.mine)
	maps.DeleteFunc(mine, func(_ tally.Member, amount int64) bool { return amount == 0 })
	if exists && (d.Count != m.count() || d.Seed != m.seed || d.Adjustment != m.adjustment || d.counted != m.counted || !maps.Equal(d.contributions, mine)) {
		t.Fatalf("%s is %v, want %d = %d + %d + %d by %v", m.topic, d, m.count(), m.seed, m.adjustment, m.counted, mine)
	}
}

// observe notes a state that the store told after something was done.
func (m *ledgerModel) observe(t tester, count, version int64) {
	t.Helper()
	if count != m.count() || version < m.version {
		t.Fatalf("%s is %d at version %d, after version %d; want %d", m.topic, count, version, m.version, m.count())
	}
	m.version = version
}

// testLedgerModel runs random assertions, edits, restores and undoings through all
// instances, and compares with the model after each.
func testLedgerModel(t *testing.T, open Factory) {
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	rapid.Check(t, func(rt *rapid.T) {
		var models []*ledgerModel
		for _, metric := range kinds {
			m := &ledgerModel{topic: newTopic(rt, metric), mine: map[tally.Member]int64{}}
			m.windowed = catalog().Rule(m.topic).Kind == tally.Window
			models = append(models, m)
			for i, r := range recorders {
				r.watch(rt, f.instances()[i], m.topic)
			}
		}
		draw := func(rt *rapid.T) (*ledgerModel, Owned) {
			return rapid.SampledFrom(models).Draw(rt, "topic"), rapid.SampledFrom(f.instances()).Draw(rt, "instance").(Owned)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) {
				m, store := draw(rt)
				writes := drawWrites(rt, m.topic)
				for i := range writes {
					writes[i].Source = tally.Source(rapid.Uint32Range(0, 2).Draw(rt, "source"))
				}
				m.applyTo(rt, store, writes)
			},
			"edit": func(rt *rapid.T) {
				m, store := draw(rt)
				m.editIn(rt, store, drawEdit(rt, m))
			},
			"restore": func(rt *rapid.T) {
				m, store := draw(rt)
				p, replace := drawPortion(rt, m), rapid.Bool().Draw(rt, "replace")
				restore(rt, store, replace, p)
				m.restore(replace, p)
				m.traces, m.changes = nil, m.changes+1 // those of what was replaced may stay
				now := read(rt, store, m.topic, 0).Change
				if now.Version < p.Version {
					rt.Fatalf("version %d after a portion of %d", now.Version, p.Version)
				}
				m.observe(rt, now.Count, now.Version)
			},
			"revert": func(rt *rapid.T) {
				m, store := draw(rt)
				m.revertIn(rt, store)
			},
			"look": func(rt *rapid.T) {
				m, store := draw(rt)
				d, exists := dump(rt, store, tally.ScopeOf(m.topic))[m.topic]
				m.check(rt, d, exists)
			},
		})
		all := dump(rt, f.other, tally.Scope{Site: tally.DefaultSite})
		for i, r := range recorders {
			for _, m := range models {
				d, exists := all[m.topic]
				m.check(rt, d, exists)
				if exists {
					r.reaches(rt, d.Change)
				}
				r.grows(rt, m.topic)
				if n := len(r.pushes(m.topic)); n > m.changes {
					rt.Fatalf("%s: %d pushes of %s, of which %d changed something", r.name, n, m.topic, m.changes)
				}
				f.instances()[i].Unwatch(m.topic)
			}
		}
	})
}

func (m *ledgerModel) applyTo(rt *rapid.T, store Owned, writes []tally.Write) {
	got := apply(rt, store, m.topic, slices.Clone(writes)...)
	changed := false
	for i, write := range writes {
		want := m.write(write)
		if got.Writes[i] != want {
			rt.Fatalf("write %d to %s is %s, want %s", i, m.topic, describe(got.Writes[i]), describe(want))
		}
		changed = changed || want.Changed
	}
	if changed {
		if got.Version <= m.version {
			rt.Fatalf("version of %s is %d after %d, though something changed", m.topic, got.Version, m.version)
		}
		m.changes++
	}
	if m.exists {
		m.observe(rt, got.Count, got.Version)
	}
}

func drawEdit(rt *rapid.T, m *ledgerModel) tally.Edit {
	e := tally.Edit{
		Topic: m.topic,
		Kind:  rapid.SampledFrom([]tally.EditKind{tally.EditSeed, tally.EditAdjustment, tally.EditCount, tally.EditBase, tally.EditReset, tally.EditDelete, tally.EditWithdraw}).Draw(rt, "kind"),
		Value: rapid.Int64Range(0, 12).Draw(rt, "value"),
	}
	switch e.Kind {
	case tally.EditAdjustment:
		e.Value -= 6
	case tally.EditWithdraw:
		e.Value = 0
		e.Members = rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) tally.Member {
			return tally.Member(rapid.Uint64Range(1, 6).Draw(rt, "member"))
		}), 1, 4, rapid.ID).Draw(rt, "members")
	}
	if rapid.IntRange(0, 4).Draw(rt, "if version") == 0 {
		e.IfVersion = max(1, m.version-rapid.Int64Range(0, 1).Draw(rt, "behind"))
	}
	return e
}

func (m *ledgerModel) editIn(rt *rapid.T, store Owned, e tally.Edit) {
	existed, before := m.exists, tally.State{Change: tally.Change{Topic: m.topic}}
	if existed {
		before.Count, before.Version, before.Seed, before.Adjustment = m.count(), m.version, m.seed, m.adjustment
	} else if e.IfVersion != 0 {
		e.IfVersion = 1 // the topic has none
	}
	got := edit(rt, store, e)
	m.edit(e)
	if !existed && e.IfVersion != 0 {
		m.exists = false
	}
	if got.Before != before {
		rt.Fatalf("before the edit it was %v, want %v", got.Before, before)
	}
	after := tally.State{Change: tally.Change{Topic: m.topic}}
	if m.exists {
		after.Count, after.Version, after.Seed, after.Adjustment = m.count(), got.After.Version, m.seed, m.adjustment
	}
	if got.After != after || !got.Changed && existed != m.exists {
		rt.Fatalf("after the edit it is %v, want %v; changed is %t", got.After, after, got.Changed)
	}
	if got.Changed {
		m.changes++
	}
	if m.exists {
		m.observe(rt, got.After.Count, got.After.Version)
	}
}

// drawPortion draws a portion that adds up. What a window counted is at least what
// all members may contribute, so that what is withdrawn was counted.
func drawPortion(rt *rapid.T, m *ledgerModel) tally.Portion {
	most := max(1, catalog().Rule(m.topic).Max)
	p := whole(m.topic, rapid.Int64Range(0, 9).Draw(rt, "seed"), rapid.Int64Range(-9, 9).Draw(rt, "adjustment"),
		rapid.MapOfN(rapid.Custom(func(rt *rapid.T) tally.Member {
			return tally.Member(rapid.Uint64Range(1, 6).Draw(rt, "member"))
		}), rapid.Int64Range(1, most), 0, 6).Draw(rt, "contributions"))
	if m.windowed {
		p.Sum = rapid.Int64Range(6, 12).Draw(rt, "counted")
	}
	p.Adjustment = max(p.Adjustment, -p.Seed-p.Sum)
	p.Count = p.Seed + p.Adjustment + p.Sum
	p.Version = m.version + rapid.Int64Range(-3, 3).Draw(rt, "version")
	if m.version == 0 { // a window's members are of the present one
		p.Version = time.Now().UnixMicro()
	}
	return p
}

// revertIn reverts some entries of the journal, of which the newest of a member counts;
// in a window, each.
func (m *ledgerModel) revertIn(rt *rapid.T, store Owned) {
	journal := recent(rt, store, m.topic)
	var known []tally.JournalEntry // by the model, with their places
	others := slices.Clone(journal)
	for _, trace := range m.traces {
		at := slices.IndexFunc(others, func(t tally.JournalEntry) bool { return t.Member == trace.Member && t.Source == trace.Source })
		if at < 0 {
			rt.Fatalf("the journal of %s tells nothing of %d from %d", m.topic, trace.Member, trace.Source)
		}
		known = append(known, others[at])
		others = slices.Delete(others, at, at+1)
	}
	candidates := journal
	if m.windowed {
		candidates = known // who else was counted, the model does not know
	}
	newest := map[tally.Member]string{}
	for _, t := range journal {
		newest[t.Member] = t.Position
	}
	var selected []tally.JournalEntry
	for _, t := range candidates {
		if rapid.Bool().Draw(rt, "selected") {
			selected = append(selected, t)
		}
	}
	changed := revert(rt, store, selected)
	before, places := m.count(), map[string]bool{}
	for _, t := range selected {
		places[t.Position] = true
		if m.windowed || newest[t.Member] == t.Position {
			m.revert(t)
		}
	}
	m.traces = slices.DeleteFunc(known, func(t tally.JournalEntry) bool { return places[t.Position] })
	if now, ok := changed[m.topic]; ok {
		m.changes += len(selected)
		m.observe(rt, now.Count, now.Version)
	} else if m.count() != before {
		rt.Fatalf("%d entries reverted changed nothing; want %d after %d", len(selected), m.count(), before)
	}
}
