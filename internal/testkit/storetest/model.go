package storetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// model is the expected state of one topic of a random run.
type model struct {
	topic    tally.Topic
	isWindow bool

	exists           bool
	seed, adjustment int64
	sum              int64 // of contributions, including those of ended windows
	mine             map[tally.Member]int64
	version          int64
	changes          int // bounds the number of pushes
	entries          []tally.JournalEntry
}

func (m *model) count() int64 { return m.seed + m.adjustment + m.sum }

// add changes the sum. The adjustment rises if the count would be below 0.
func (m *model) add(delta int64) {
	m.sum += delta
	m.adjustment += max(0, -m.count())
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
	w.Created, w.Changed = !m.exists, true
	m.exists = true
	m.mine[w.Member] = w.Amount
	m.add(w.Amount - before)
	if w.Amount > before {
		m.entries = append(m.entries, tally.JournalEntry{Topic: m.topic, Member: w.Member, Source: w.Source})
	}
	return w
}

// empty resets the topic.
func (m *model) empty() {
	m.seed, m.adjustment, m.sum, m.entries = 0, 0, 0, nil
	clear(m.mine)
}

// edit applies an edit.
func (m *model) edit(e tally.Edit) {
	if e.IfVersion != 0 && e.IfVersion != m.version {
		return
	}
	switch e.Kind {
	case tally.EditSeed:
		m.seed, m.exists = e.Value, true
	case tally.EditAdjustment:
		m.adjustment, m.exists = e.Value, true
	case tally.EditCount:
		m.adjustment, m.exists = e.Value-m.seed-m.sum, true
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
			m.entries = slices.DeleteFunc(m.entries, func(t tally.JournalEntry) bool { return t.Member == member })
		}
	}
	m.add(0)
}

// restore stores a portion that is the whole topic.
func (m *model) restore(replace bool, p tally.Portion) {
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
	if m.isWindow {
		added = max(0, p.Sum-m.sum)
	}
	m.add(added)
}

// revert takes back the contribution of an entry.
func (m *model) revert(t tally.JournalEntry) {
	amount := m.mine[t.Member]
	if m.isWindow {
		amount = 1
	}
	delete(m.mine, t.Member)
	m.add(-amount)
}

// check compares the model with a dump.
func (m *model) check(t tester, d dumped, exists bool) {
	t.Helper()
	if exists != m.exists {
		t.Fatalf("%s exists: %t, want %t", m.topic, exists, m.exists)
	}
	mine := maps.Clone(m.mine)
	maps.DeleteFunc(mine, func(_ tally.Member, amount int64) bool { return amount == 0 })
	if exists && (d.Count != m.count() || d.Seed != m.seed || d.Adjustment != m.adjustment || d.sum != m.sum || !maps.Equal(d.contributions, mine)) {
		t.Fatalf("%s is %v, want %d = %d + %d + %d by %v", m.topic, d, m.count(), m.seed, m.adjustment, m.sum, mine)
	}
}

// observe compares the model with a state that the store reported, and keeps its version.
func (m *model) observe(t tester, count, version int64) {
	t.Helper()
	if count != m.count() || version < m.version {
		t.Fatalf("%s is %d at version %d, after version %d; want %d", m.topic, count, version, m.version, m.count())
	}
	m.version = version
}

// testModel runs random assertions, edits, restores and reverts through all stores, and
// compares each result with the model.
func testModel(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	rapid.Check(t, func(rt *rapid.T) {
		var models []*model
		for _, metric := range kinds {
			m := &model{topic: newTopic(rt, metric), mine: map[tally.Member]int64{}}
			m.isWindow = catalog().Rule(m.topic).Kind == tally.Window
			models = append(models, m)
			for i, r := range recorders {
				r.watch(rt, f.stores()[i], m.topic)
			}
		}
		draw := func(rt *rapid.T) (*model, Store) {
			return rapid.SampledFrom(models).Draw(rt, "topic"), rapid.SampledFrom(f.stores()).Draw(rt, "store")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) {
				m, store := draw(rt)
				m.applyTo(rt, store, drawWrites(rt, m.topic))
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
				m.changes++
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
			"read": func(rt *rapid.T) {
				m, store := draw(rt)
				member := drawMember(rt)
				got := read(rt, store, m.topic, member)
				if m.exists && got != (tally.Reading{Change: tally.Change{Topic: m.topic, Count: m.count(), Version: m.version}, Mine: m.mine[member]}) ||
					!m.exists && (got.Change.Count != 0 || got.Change.Version < m.version || got.Mine != 0) {
					rt.Fatalf("read %v, want %d at %d, mine %d", got, m.count(), m.version, m.mine[member])
				}
			},
			"dump": func(rt *rapid.T) {
				m, store := draw(rt)
				d, exists := dump(rt, store, tally.ScopeOf(m.topic))[m.topic]
				m.check(rt, d, exists)
			},
		})
		all := dump(rt, f.other(), tally.Scope{Site: tally.DefaultSite})
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
				f.stores()[i].Unwatch(m.topic)
			}
		}
	})
}

// drawMember draws one of a few members, one of which has the highest bit.
func drawMember(rt *rapid.T) tally.Member {
	return rapid.SampledFrom([]tally.Member{1, 2, 3, 4, 5, 1<<63 + 7}).Draw(rt, "member")
}

// drawWrites draws writes that the topic's rule allows.
func drawWrites(rt *rapid.T, topic tally.Topic) []tally.Write {
	least, most := int64(0), int64(1)
	switch rule := catalog().Rule(topic); {
	case rule.Final():
		least = 1
	case rule.Kind == tally.Amount:
		most = rule.Max
	}
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) tally.Write {
		return tally.Write{
			Member:    drawMember(rt),
			Source:    tally.Source(rapid.Uint32Range(0, 2).Draw(rt, "source")),
			Amount:    rapid.Int64Range(least, most).Draw(rt, "amount"),
			MayCreate: rapid.IntRange(0, 3).Draw(rt, "may create") > 0,
		}
	}), 1, 8).Draw(rt, "writes")
}

// applyTo applies writes to a store and to the model.
func (m *model) applyTo(rt *rapid.T, store Store, writes []tally.Write) {
	got := apply(rt, store, m.topic, slices.Clone(writes)...)
	changed := false
	for i, write := range writes {
		want := m.write(write)
		if got.Writes[i] != want {
			rt.Fatalf("write %d to %s is %+v, want %+v", i, m.topic, got.Writes[i], want)
		}
		changed = changed || want.Changed
	}
	if changed {
		if got.Version <= m.version {
			rt.Fatalf("version of %s is %d after %d, though something changed", m.topic, got.Version, m.version)
		}
		m.changes++
	} else if m.exists && got.Version != m.version {
		rt.Fatalf("version of %s is %d after %d, though nothing changed", m.topic, got.Version, m.version)
	}
	if m.exists {
		m.observe(rt, got.Count, got.Version)
	}
}

// drawEdit draws an edit of m's topic, sometimes for a version that it may have.
func drawEdit(rt *rapid.T, m *model) tally.Edit {
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
		e.Members = rapid.SliceOfNDistinct(rapid.Custom(drawMember), 1, 4, rapid.ID).Draw(rt, "members")
	}
	if rapid.IntRange(0, 4).Draw(rt, "if version") == 0 {
		e.IfVersion = max(1, m.version-rapid.Int64Range(0, 1).Draw(rt, "behind"))
	}
	return e
}

// editIn applies an edit to a store and to the model.
func (m *model) editIn(rt *rapid.T, store Store, e tally.Edit) {
	existed, before := m.exists, tally.State{Change: tally.Change{Topic: m.topic}}
	if existed {
		before.Count, before.Version, before.Seed, before.Adjustment = m.count(), m.version, m.seed, m.adjustment
	} else if e.IfVersion != 0 {
		e.IfVersion = 1 // the topic has none
	}
	got := edit(rt, store, e)
	m.edit(e)
	if got.Before != before {
		rt.Fatalf("before the edit it was %v, want %v", got.Before, before)
	}
	after := tally.State{Change: tally.Change{Topic: m.topic}}
	if m.exists {
		after.Count, after.Version, after.Seed, after.Adjustment = m.count(), got.After.Version, m.seed, m.adjustment
	}
	changed := existed != m.exists || m.exists && (before.Count != after.Count || before.Seed != after.Seed || before.Adjustment != after.Adjustment)
	if got.After != after || got.Changed != changed {
		rt.Fatalf("after the edit it is %v, want %v; changed is %t", got.After, after, got.Changed)
	}
	if got.Changed {
		m.changes++
	} else if got.After.Version != before.Version {
		rt.Fatalf("version %d after %d, though the edit changed nothing", got.After.Version, before.Version)
	}
	if m.exists {
		m.observe(rt, got.After.Count, got.After.Version)
	}
}

// drawPortion draws a consistent portion. The sum of a window metric is at least the number
// of members, so that withdrawn contributions were counted.
func drawPortion(rt *rapid.T, m *model) tally.Portion {
	most := max(1, catalog().Rule(m.topic).Max)
	p := whole(m.topic, rapid.Int64Range(0, 9).Draw(rt, "seed"), rapid.Int64Range(-9, 9).Draw(rt, "adjustment"),
		rapid.MapOfN(rapid.Custom(drawMember), rapid.Int64Range(1, most), 0, 6).Draw(rt, "contributions"))
	if m.isWindow {
		p.Sum = rapid.Int64Range(6, 12).Draw(rt, "counted")
	}
	p.Adjustment = max(p.Adjustment, -p.Seed-p.Sum)
	p.Count = p.Seed + p.Adjustment + p.Sum
	p.Version = m.version + rapid.Int64Range(-3, 3).Draw(rt, "version")
	if m.version == 0 { // so that the members of a window metric are in the current window
		p.Version = time.Now().UnixMicro()
	}
	return p
}

// revertIn compares the journal with the model, and reverts some entries: the newest of each
// member counts, and each of a window metric.
func (m *model) revertIn(rt *rapid.T, store Store) {
	journal := recent(rt, store, m.topic)
	if !slices.EqualFunc(journal, m.entries, func(a, b tally.JournalEntry) bool { return a.Member == b.Member && a.Source == b.Source }) {
		rt.Fatalf("the journal of %s is %+v, want %+v", m.topic, journal, m.entries)
	}
	newest := map[tally.Member]string{}
	var selected []tally.JournalEntry
	for _, e := range journal {
		newest[e.Member] = e.Position
		if rapid.Bool().Draw(rt, "selected") {
			selected = append(selected, e)
		}
	}
	changed := revert(rt, store, selected)
	before := m.count()
	for _, e := range selected {
		if m.isWindow || newest[e.Member] == e.Position {
			m.revert(e)
		}
	}
	m.entries = slices.DeleteFunc(journal, func(e tally.JournalEntry) bool { return slices.Contains(selected, e) })
	if now, ok := changed[m.topic]; ok {
		m.changes += len(selected)
		m.observe(rt, now.Count, now.Version)
	} else if m.count() != before {
		rt.Fatalf("%d entries reverted changed nothing; want %d after %d", len(selected), m.count(), before)
	}
}
