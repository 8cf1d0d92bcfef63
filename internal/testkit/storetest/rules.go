package storetest

import (
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// step is one write of a batch and what is to become of it.
type step struct {
	member tally.Member
	amount int64
	mayNot bool // may not create the topic

	changed, created, wouldCreate bool
}

// testRules shows what each rule makes of the writes of one or more batches.
func testRules(t *testing.T, open Factory) {
	const ann, bob = tally.Member(1), tally.Member(1<<63 + 7)
	type state struct {
		count    int64
		ann, bob int64 // their contributions afterwards
	}
	type batch struct {
		steps []step
		want  state
	}
	for _, test := range []struct {
		name    string
		metric  string
		batches []batch
	}{
		{"a toggle is on or off", "likes", []batch{
			{[]step{{member: ann, amount: 1, changed: true, created: true}}, state{1, 1, 0}},
			{[]step{{member: ann, amount: 1}}, state{1, 1, 0}},
			{[]step{{member: bob, amount: 1, changed: true}}, state{2, 1, 1}},
			{[]step{{member: ann, amount: 0, changed: true}}, state{1, 0, 1}},
			{[]step{{member: ann, amount: 0}}, state{1, 0, 1}},
			{[]step{{member: bob, amount: 0, changed: true}}, state{0, 0, 0}},
			{[]step{{member: bob, amount: 1, changed: true}}, state{1, 0, 1}},
		}},
		{"the writes of a batch apply in order", "likes", []batch{
			{[]step{
				{member: ann, amount: 1, changed: true, created: true},
				{member: ann, amount: 1},
				{member: bob, amount: 0},
				{member: bob, amount: 1, changed: true},
				{member: ann, amount: 0, changed: true},
				{member: ann, amount: 1, changed: true},
				{member: bob, amount: 0, changed: true},
			}, state{1, 1, 0}},
		}},
		{"what is liked and unliked in one batch has changed", "likes", []batch{
			{[]step{
				{member: ann, amount: 1, changed: true, created: true},
				{member: ann, amount: 0, changed: true},
			}, state{0, 0, 0}},
		}},
		{"an amount is a total", "claps", []batch{
			{[]step{{member: ann, amount: 7, changed: true, created: true}}, state{7, 7, 0}},
			{[]step{{member: ann, amount: 7}}, state{7, 7, 0}},
			{[]step{
				{member: ann, amount: 50, changed: true},
				{member: bob, amount: 3, changed: true},
				{member: ann, amount: 2, changed: true},
				{member: bob, amount: 3},
			}, state{5, 2, 3}},
			{[]step{{member: ann, amount: 0, changed: true}}, state{3, 0, 3}},
		}},
		{"once is for good", "visitors", []batch{
			{[]step{
				{member: ann, amount: 1, changed: true, created: true},
				{member: ann, amount: 1},
			}, state{1, 1, 0}},
			{[]step{{member: ann, amount: 1}, {member: bob, amount: 1, changed: true}}, state{2, 1, 1}},
		}},
		{"a window counts a visitor once", "days", []batch{
			{[]step{
				{member: ann, amount: 1, changed: true, created: true},
				{member: ann, amount: 1},
			}, state{1, 1, 0}},
			{[]step{{member: ann, amount: 1}, {member: bob, amount: 1, changed: true}}, state{2, 1, 1}},
		}},
		{"a write that may not create is left out until the topic exists", "likes", []batch{
			{[]step{{member: ann, amount: 1, mayNot: true, wouldCreate: true}}, state{0, 0, 0}},
			{[]step{
				{member: ann, amount: 1, mayNot: true, wouldCreate: true},
				{member: bob, amount: 1, changed: true, created: true},
				{member: ann, amount: 1, mayNot: true, changed: true},
			}, state{2, 1, 1}},
			{[]step{{member: bob, amount: 0, mayNot: true, changed: true}}, state{1, 1, 0}},
		}},
		{"so it is for amounts", "claps", []batch{
			{[]step{
				{member: ann, amount: 9, mayNot: true, wouldCreate: true},
				{member: bob, amount: 8, changed: true, created: true},
			}, state{8, 0, 8}},
		}},
		{"so it is for once", "visitors", []batch{
			{[]step{
				{member: ann, amount: 1, mayNot: true, wouldCreate: true},
				{member: bob, amount: 1, changed: true, created: true},
			}, state{1, 0, 1}},
		}},
		{"so it is for windows", "days", []batch{
			{[]step{
				{member: ann, amount: 1, mayNot: true, wouldCreate: true},
				{member: bob, amount: 1, changed: true, created: true},
			}, state{1, 0, 1}},
		}},
		{"taking back what was never given creates nothing", "likes", []batch{
			{[]step{{member: ann, amount: 0}, {member: bob, amount: 0, mayNot: true}}, state{0, 0, 0}},
			{[]step{{member: ann, amount: 1, mayNot: true, wouldCreate: true}}, state{0, 0, 0}},
			{[]step{{member: ann, amount: 0}, {member: ann, amount: 1, changed: true, created: true}}, state{1, 1, 0}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := fixture(t, open)
			topic := newTopic(t, test.metric)
			var last int64 // the version after the previous batch
			for i, batch := range test.batches {
				// Each instance in turn: what one did the other knows.
				store := f.instances()[i%len(f.instances())]
				var writes []tally.Write
				var anyChanged bool
				for _, s := range batch.steps {
					writes = append(writes, tally.Write{Member: s.member, Amount: s.amount, MayCreate: !s.mayNot})
					anyChanged = anyChanged || s.changed
				}
				got := apply(t, store, topic, writes...)
				for j, s := range batch.steps {
					w := got.Writes[j]
					if w.Changed != s.changed || w.Created != s.created || w.WouldCreate != s.wouldCreate {
						t.Errorf("batch %d, write %d: changed %t, created %t, would create %t; want %t, %t, %t",
							i, j, w.Changed, w.Created, w.WouldCreate, s.changed, s.created, s.wouldCreate)
					}
				}
				if got.Count != batch.want.count {
					t.Errorf("batch %d: count %d, want %d", i, got.Count, batch.want.count)
				}
				if grown := got.Version > last; grown != anyChanged || got.Version < last {
					t.Errorf("batch %d: version %d after %d, though changed is %t", i, got.Version, last, anyChanged)
				}
				last = got.Version
				for _, other := range f.instances() {
					a, b := read(t, other, topic, ann), read(t, other, topic, bob)
					if a.Mine != batch.want.ann || b.Mine != batch.want.bob {
						t.Errorf("after batch %d: contributions %d and %d, want %d and %d", i, a.Mine, b.Mine, batch.want.ann, batch.want.bob)
					}
					if a.Change != (tally.Change{Topic: topic, Count: got.Count, Version: got.Version}) {
						t.Errorf("after batch %d: read %v, applied %d at %d", i, a.Change, got.Count, got.Version)
					}
				}
			}
		})
	}
}
