package storetest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// model is what a store ought to know of the topics of one random run.
type model struct {
	mine    map[tally.Topic]map[tally.Member]int64
	count   map[tally.Topic]int64
	version map[tally.Topic]int64
	// changes counts the batches that were to be published.
	changes map[tally.Topic]int
}

// apply applies a write as tally/store.go tells it and returns what is to be
// reported of it.
func (m *model) apply(topic tally.Topic, w tally.Write) tally.Write {
	members := m.mine[topic]
	before := members[w.Member]
	after := w.Amount
	if after == before {
		return w
	}
	if members == nil {
		if !w.MayCreate {
			w.WouldCreate = true
			return w
		}
		w.Created = true
		members = map[tally.Member]int64{}
		m.mine[topic] = members
	}
	w.Changed = true
	members[w.Member] = after
	m.count[topic] += after - before
	return w
}

// testModel runs random assertions by some visitors on some topics through all
// instances, and compares with the model after each.
func testModel(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{
			mine:  map[tally.Topic]map[tally.Member]int64{},
			count: map[tally.Topic]int64{}, version: map[tally.Topic]int64{}, changes: map[tally.Topic]int{},
		}
		var topics []tally.Topic
		for _, metric := range []string{"likes", "claps", "visitors", "days", "likes"} {
			topic := newTopic(rt, metric)
			topics = append(topics, topic)
			for i, r := range recorders {
				r.watch(rt, f.instances()[i], topic)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				store := rapid.SampledFrom(f.instances()).Draw(rt, "instance")
				m.applyTo(rt, store, topic, drawWrites(rt, topic))
			},
			"read": func(rt *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				store := rapid.SampledFrom(f.instances()).Draw(rt, "instance")
				member := tally.Member(rapid.Uint64Range(1, 6).Draw(rt, "member"))
				got := read(rt, store, topic, member)
				want := tally.Reading{
					Change: tally.Change{Topic: topic, Count: m.count[topic], Version: m.version[topic]},
					Mine:   m.mine[topic][member],
				}
				if got != want {
					rt.Fatalf("read %v, want %v", got, want)
				}
			},
		})
		for i, r := range recorders {
			for _, topic := range topics {
				want := tally.Change{Topic: topic, Count: m.count[topic], Version: m.version[topic]}
				r.reaches(rt, want)
				r.grows(rt, topic)
				if n := len(r.pushes(topic)); n > m.changes[topic] {
					rt.Fatalf("%s: %d pushes of %s, of which %d batches changed something", r.name, n, topic, m.changes[topic])
				}
				f.instances()[i].Unwatch(topic)
			}
		}
	})
}

// drawWrites draws a batch that the topic's rule allows.
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
			Member:    tally.Member(rapid.Uint64Range(1, 6).Draw(rt, "member")),
			Amount:    rapid.Int64Range(least, most).Draw(rt, "amount"),
			MayCreate: rapid.IntRange(0, 3).Draw(rt, "may create") > 0,
		}
	}), 1, 8).Draw(rt, "writes")
}

// applyTo applies writes to store and to the model, and compares.
func (m *model) applyTo(rt *rapid.T, store tally.Store, topic tally.Topic, writes []tally.Write) {
	got := apply(rt, store, topic, append([]tally.Write(nil), writes...)...)
	changed := false
	for i, write := range writes {
		want := m.apply(topic, write)
		if got.Writes[i] != want {
			rt.Fatalf("write %d to %s is %s, want %s", i, topic, describe(got.Writes[i]), describe(want))
		}
		changed = changed || want.Changed
	}
	if got.Count != m.count[topic] {
		rt.Fatalf("count of %s is %d, want %d", topic, got.Count, m.count[topic])
	}
	if before := m.version[topic]; changed != (got.Version > before) || got.Version < before {
		rt.Fatalf("version of %s is %d after %d, though changed is %t", topic, got.Version, before, changed)
	}
	m.version[topic] = got.Version
	if changed {
		m.changes[topic]++
	}
}

func describe(w tally.Write) string { return fmt.Sprintf("%+v", w) }
