package storetest

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// testModel runs random assertions, edits, restores and reverts through all stores, and
// compares each result with the model.
func testModel(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	rapid.Check(t, func(rt *rapid.T) {
		var models []*model
		for _, metric := range kinds {
			m := newModel(newTopic(rt, metric))
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
				m.observe(rt, now)
			},
			"revert": func(rt *rapid.T) {
				m, store := draw(rt)
				m.revertIn(rt, store)
			},
			"read": func(rt *rapid.T) {
				m, store := draw(rt)
				member := drawMember(rt)
				got := read(rt, store, m.topic, member)
				if m.exists && got != (tally.Reading{Change: m.state().Change, Mine: m.mine[member]}) ||
					!m.exists && (got.Change.Count != 0 || got.Change.Version < m.version || got.Mine != 0) {
					rt.Fatalf("read %v, want %d at %d, mine %d", got, m.count(), m.version, m.mine[member])
				}
				if mine, err := store.Contributions(callContext(t), []tally.Query{{Topic: m.topic, Member: member}}); err != nil || mine[0] != got.Mine {
					rt.Fatalf("contributions %v, error %v, want %d", mine, err, got.Mine)
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
	rule := catalog().Rule(topic)
	least, most := int64(0), rule.Max
	if rule.Final() {
		least = 1
	}
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) tally.Write {
		return tally.Write{
			Member:    drawMember(rt),
			Source:    tally.Source(rapid.Uint32Range(0, 2).Draw(rt, "source")),
			Amount:    rapid.Int64Range(least, most).Draw(rt, "amount"),
			MayCreate: rapid.IntRange(0, 3).Draw(rt, "may create") > 0,
			RefuseNew: rapid.IntRange(0, 3).Draw(rt, "refuse new") == 0,
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
		m.observe(rt, got.Change())
	}
}

// drawEdit draws an edit of m's topic, sometimes for a version that it may have.
func drawEdit(rt *rapid.T, m *model) tally.Edit {
	e := tally.Edit{
		Topic: m.topic,
		Kind:  rapid.SampledFrom([]tally.EditKind{tally.EditSeed, tally.EditAdjustment, tally.EditCount, tally.EditBase, tally.EditReset, tally.EditDelete, tally.EditWithdraw}).Draw(rt, "kind"),
		Value: rapid.Int64Range(0, 12).Draw(rt, "value"),
	}
	if e.Kind == tally.EditAdjustment {
		e.Value -= 6
	}
	if m.isChoice() && e.Creates() {
		values := make([]int64, m.rule.Max)
		for i := range values {
			values[i] = rapid.Int64Range(e.Value-4, e.Value).Draw(rt, "value of an option")
			if e.Kind != tally.EditAdjustment {
				values[i] = max(0, values[i])
			}
		}
		e.Value, e.Options = 0, tally.NewOptions(values)
	}
	if e.Kind == tally.EditWithdraw {
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
	existed, before := m.exists, m.rule.EmptyState(m.topic)
	if existed {
		before = m.state()
	} else if e.IfVersion != 0 {
		e.IfVersion = 1 // the topic has none
	}
	got := edit(rt, store, e)
	m.edit(e)
	if got.Before != before {
		rt.Fatalf("before the edit it was %v, want %v", got.Before, before)
	}
	after := m.rule.EmptyState(m.topic)
	if m.exists {
		after = m.state()
	}
	after.Version = before.Version
	changed := existed != m.exists || after != before
	if after.Version = got.After.Version; !m.exists {
		after.Version = 0
	}
	if got.After != after || got.Changed != changed {
		rt.Fatalf("after the edit it is %v, want %v; changed is %t", got.After, after, got.Changed)
	}
	if got.Changed {
		m.changes++
	} else if got.After.Version != before.Version {
		rt.Fatalf("version %d after %d, though the edit changed nothing", got.After.Version, before.Version)
	}
	if m.exists {
		m.observe(rt, got.After.Change)
	}
}

// drawPortion draws a consistent portion. The sum of a window metric is at least the number
// of members, so that withdrawn contributions were counted.
func drawPortion(rt *rapid.T, m *model) tally.Portion {
	contributions := rapid.MapOfN(rapid.Custom(drawMember), rapid.Int64Range(1, m.rule.Max), 0, 6).Draw(rt, "contributions")
	given := newModel(m.topic)
	for _, amount := range contributions {
		given.add(1, amount)
	}
	for i := range given.options {
		o := &given.options[i]
		if m.isWindow() {
			o.sum = rapid.Int64Range(6, 12).Draw(rt, "counted")
		}
		o.seed, o.adjustment = rapid.Int64Range(0, 9).Draw(rt, "seed"), rapid.Int64Range(-9, 9).Draw(rt, "adjustment")
	}
	given.raise()
	p := wholePortion(m.topic, 0, 0, contributions)
	p.State = given.state()
	p.Sum = p.State.Sum()
	p.Version = m.version + rapid.Int64Range(-3, 3).Draw(rt, "version")
	if m.version == 0 { // so that the members of a window metric are in the current window
		p.Version = time.Now().UnixMicro()
	}
	return p
}

// revertIn compares the journal with the model, and reverts some entries: the newest of each
// member counts, and each of a window metric. It returns those that took something back, and
// what they counted.
func (m *model) revertIn(rt *rapid.T, store Store) (reverted []tally.JournalEntry, amounts []int64) {
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
	before := m.state().Change
	for _, e := range selected {
		if m.isWindow() || newest[e.Member] == e.Position {
			reverted, amounts = append(reverted, e), append(amounts, m.revert(e))
		}
	}
	m.entries = slices.DeleteFunc(journal, func(e tally.JournalEntry) bool { return slices.Contains(selected, e) })
	if now, ok := changed[m.topic]; ok {
		m.changes += len(selected)
		m.observe(rt, now)
	} else if m.state().Change != before {
		rt.Fatalf("%d entries reverted changed nothing; want %v after %v", len(selected), m.state(), before)
	}
	return reverted, amounts
}
