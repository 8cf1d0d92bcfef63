package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// kinds are the metrics of the suite that remember contributions, one of each rule.
var kinds = []string{"likes", "claps", "visitors", "days"}

// testEdits shows what each edit makes of a topic that is missing and of one that
// has contributions, for each rule.
func testEdits(t *testing.T, open Factory) {
	f := owned(t, open)
	type numbers struct{ count, seed, adjustment int64 }
	for _, test := range []struct {
		name    string
		kind    tally.EditKind
		value   int64
		missing *numbers // what comes of a topic that was missing; nil: it stays so
		present numbers  // what comes of 2 contributions, seed 10 and adjustment -3
		changed bool     // whether that is another state
	}{
		{"seed", tally.EditSeed, 40, &numbers{40, 40, 0}, numbers{39, 40, -3}, true},
		{"seed of nothing", tally.EditSeed, 0, &numbers{0, 0, 0}, numbers{0, 0, -2}, true},
		{"the seed that is there", tally.EditSeed, 10, &numbers{10, 10, 0}, numbers{9, 10, -3}, false},
		{"adjustment", tally.EditAdjustment, 5, &numbers{5, 0, 5}, numbers{17, 10, 5}, true},
		{"adjustment to less than there is", tally.EditAdjustment, -50, &numbers{0, 0, 0}, numbers{0, 10, -12}, true},
		{"the adjustment that is there", tally.EditAdjustment, -3, &numbers{0, 0, 0}, numbers{9, 10, -3}, false},
		{"count", tally.EditCount, 100, &numbers{100, 0, 100}, numbers{100, 10, 88}, true},
		{"count of nothing", tally.EditCount, 0, &numbers{0, 0, 0}, numbers{0, 10, -12}, true},
		{"the count that is there", tally.EditCount, 9, &numbers{9, 0, 9}, numbers{9, 10, -3}, false},
		{"a large count", tally.EditCount, 1 << 50, &numbers{1 << 50, 0, 1 << 50}, numbers{1 << 50, 10, 1<<50 - 12}, true},
		{"base", tally.EditBase, 100, &numbers{100, 0, 100}, numbers{102, 10, 90}, true},
		{"base of nothing", tally.EditBase, 0, &numbers{0, 0, 0}, numbers{2, 10, -10}, true},
		{"the base that is there", tally.EditBase, 7, &numbers{7, 0, 7}, numbers{9, 10, -3}, false},
		{"reset", tally.EditReset, 0, nil, numbers{0, 0, 0}, true},
	} {
		for _, metric := range kinds {
			t.Run(test.name+" of "+metric, func(t *testing.T) {
				topic := newTopic(t, metric)
				got := edit(t, f.first, tally.Edit{Topic: topic, Kind: test.kind, Value: test.value})
				if got.Before != (tally.State{Change: tally.Change{Topic: topic}}) || got.Changed != (test.missing != nil) {
					t.Errorf("a topic that was missing: before %v, changed %t", got.Before, got.Changed)
				}
				if test.missing != nil {
					checkState(t, f, got.After, test.missing.count, test.missing.seed, test.missing.adjustment)
				}
				if exists(t, f.other, topic) != (test.missing != nil) {
					t.Error("a topic that was missing exists, or does not, against the contract")
				}

				topic = newTopic(t, metric)
				before := apply(t, f.first, topic, assert(1, 1), assert(2, 1))
				edits(t, f.other,
					tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: 10},
					tally.Edit{Topic: topic, Kind: tally.EditAdjustment, Value: -3})
				got = edit(t, f.other, tally.Edit{Topic: topic, Kind: test.kind, Value: test.value})
				if b := got.Before; b.Count != 9 || b.Seed != 10 || b.Adjustment != -3 || b.Version <= before.Version {
					t.Errorf("before is %v", b)
				}
				if got.Changed != test.changed {
					t.Errorf("changed is %t", got.Changed)
				}
				checkState(t, f, got.After, test.present.count, test.present.seed, test.present.adjustment)
				// Said again, it changes nothing.
				if again := edit(t, f.first, tally.Edit{Topic: topic, Kind: test.kind, Value: test.value}); test.kind != tally.EditReset && again.Changed {
					t.Errorf("said again it went from %v to %v", again.Before, again.After)
				}
				counts := apply(t, f.first, topic, assert(1, 1), assert(3, 1))
				if reset := test.kind == tally.EditReset; counts.Writes[0].Changed != reset || !counts.Writes[1].Changed {
					t.Errorf("afterwards one who had contributed and one who had not: changed %t and %t",
						counts.Writes[0].Changed, counts.Writes[1].Changed)
				}
			})
		}
	}
}

// checkState compares what an edit told with what is asked for and what is read.
func checkState(t *testing.T, f *ledgers, got tally.State, count, seed, adjustment int64) {
	t.Helper()
	if got.Count != count || got.Seed != seed || got.Adjustment != adjustment || got.Version == 0 {
		t.Errorf("it became %v; want count %d, seed %d, adjustment %d", got, count, seed, adjustment)
	}
	if stored := read(t, f.other, got.Topic, 0).Change; stored != got.Change {
		t.Errorf("the other instance reads %v after %v", stored, got)
	}
	if d := stateOf(t, f.other, got.Topic); d.State != got {
		t.Errorf("a dump tells %v after %v", d.State, got)
	}
}

func testIfVersion(t *testing.T, open Factory) {
	f := owned(t, open)
	topic := newTopic(t, "likes")
	first := apply(t, f.first, topic, assert(1, 1))
	apply(t, f.first, topic, assert(2, 1))
	for _, kind := range []tally.EditKind{tally.EditSeed, tally.EditAdjustment, tally.EditCount, tally.EditBase, tally.EditReset, tally.EditDelete, tally.EditWithdraw} {
		got := edit(t, f.other, tally.Edit{Topic: topic, Kind: kind, Value: 7, Members: []tally.Member{1}, IfVersion: first.Version})
		if got.Changed || got.After.Count != 2 {
			t.Errorf("edit %d of a version that is gone: %v", kind, got.After)
		}
	}
	now := read(t, f.first, topic, 1)
	if now.Change.Count != 2 || now.Mine != 1 {
		t.Errorf("edits of a version that is gone left %v", now)
	}
	if got := edit(t, f.other, tally.Edit{Topic: topic, Kind: tally.EditCount, Value: 7, IfVersion: now.Change.Version}); !got.Changed || got.After.Count != 7 {
		t.Errorf("an edit of the version that is there: %v", got.After)
	}
	missing := newTopic(t, "likes")
	if got := edit(t, f.first, tally.Edit{Topic: missing, Kind: tally.EditSeed, Value: 7, IfVersion: 1}); got.Changed || exists(t, f.first, missing) {
		t.Errorf("an edit of a version of a topic that is missing: %v", got.After)
	}
}

// testForbiddenEdits shows that an edit that is refused does not stop its neighbours.
func testForbiddenEdits(t *testing.T, open Factory) {
	f := owned(t, open)
	readers, likes := newTopic(t, "readers"), newTopic(t, "likes")
	list := []tally.Edit{
		{Topic: readers, Kind: tally.EditCount, Value: 3},
		{Topic: likes, Kind: tally.EditSeed, Value: 5},
		{Topic: likes, Kind: tally.EditSeed, Value: -1},
		{Topic: likes, Kind: tally.EditCount, Value: -1},
	}
	f.first.Edit(answerContext(t), list)
	for i, e := range list {
		if (e.Err != nil) != (i != 1) {
			t.Errorf("edit %d of %s: error %v", i, e.Topic, e.Err)
		}
	}
	if got := read(t, f.first, likes, 0).Change.Count; got != 5 {
		t.Errorf("count %d, want 5", got)
	}
	f.first.Edit(answerContext(t), nil)
}

func testNeverBelowZero(t *testing.T, open Factory) {
	f := owned(t, open)
	topic := newTopic(t, "claps")
	apply(t, f.first, topic, assert(1, 20), assert(2, 5))
	edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditCount, Value: 3}) // adjustment -22
	if got := apply(t, f.other, topic, assert(1, 0)); got.Count != 0 || !got.Writes[0].Changed {
		t.Errorf("20 taken back from 3 are %d", got.Count)
	}
	if d := stateOf(t, f.first, topic); d.Adjustment != -5 || d.counted != 5 {
		t.Errorf("the adjustment did not rise: %v", d)
	}
	if got := apply(t, f.other, topic, assert(3, 4)); got.Count != 4 {
		t.Errorf("4 given to 0 are %d", got.Count)
	}
	if got := edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditWithdraw, Members: []tally.Member{2, 3}}); got.After.Count != 0 || got.After.Adjustment != 0 {
		t.Errorf("all withdrawn left %v", got.After)
	}
}

func testWithdraw(t *testing.T, open Factory) {
	f := owned(t, open)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		apply(t, f.first, topic, assert(1, 1), assert(2, 1), assert(3, 1))
		withdraw := func(members ...tally.Member) tally.Edit {
			return edit(t, f.other, tally.Edit{Topic: topic, Kind: tally.EditWithdraw, Members: members})
		}
		if got := withdraw(3, 9, 1); !got.Changed || got.After.Count != 1 {
			t.Errorf("%s: two withdrawn left %v", metric, got.After)
		}
		for member, mine := range map[tally.Member]int64{1: 0, 2: 1, 3: 0} {
			if got := read(t, f.first, topic, member).Mine; got != mine {
				t.Errorf("%s: member %d contributes %d, want %d", metric, member, got, mine)
			}
		}
		for _, nobody := range [][]tally.Member{{3, 9, 1}, nil} {
			if got := withdraw(nobody...); got.Changed || got.After.Count != 1 {
				t.Errorf("%s: withdrawing who contributes nothing made %v", metric, got.After)
			}
		}
		if got := apply(t, f.first, topic, assert(1, 1)); !got.Writes[0].Changed || got.Count != 2 {
			t.Errorf("%s: who was withdrawn came again: %d", metric, got.Count)
		}
		if got := edit(t, f.first, tally.Edit{Topic: newTopic(t, metric), Kind: tally.EditWithdraw, Members: []tally.Member{1}}); got.Changed {
			t.Errorf("%s: withdrawing made a topic", metric)
		}
	}
	topic := newTopic(t, "likes")
	var writes []tally.Write
	var members []tally.Member
	for i := range tally.MaxBatchWrites {
		member := tally.Member(uint64(i+1) * 0x9e3779b97f4a7c15)
		writes, members = append(writes, assert(member, 1)), append(members, member)
	}
	apply(t, f.first, topic, writes...)
	apply(t, f.first, topic, assert(1, 1))
	if got := edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditWithdraw, Members: members}); got.After.Count != 1 {
		t.Errorf("as many as an edit may name withdrawn left %v", got.After)
	}
}

func testDelete(t *testing.T, open Factory) {
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		for i, r := range recorders {
			r.watch(t, f.instances()[i], topic)
		}
		last := apply(t, f.first, topic, assert(1, 1), assert(2, 1))
		edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: 7})
		got := edit(t, f.other, tally.Edit{Topic: topic, Kind: tally.EditDelete})
		if !got.Changed || got.Before.Count != 9 || got.After != (tally.State{Change: tally.Change{Topic: topic}}) {
			t.Errorf("%s: deleted from %v to %v", metric, got.Before, got.After)
		}
		for _, r := range recorders {
			// The end, not what was there before the first publication came.
			eventually(t, func() bool {
				held := r.heldOf(topic)
				return held.Count == 0 && held.Version > got.Before.Version
			}, func() string {
				return fmt.Sprintf("%s: %s holds %v of a topic that was deleted at version %d", metric, r.name, r.heldOf(topic), got.Before.Version)
			})
		}
		// Its end is read, not a version below those that viewers have seen.
		end := recorders[0].heldOf(topic)
		for _, instance := range f.instances() {
			if got := read(t, instance, topic, 1); got != (tally.Reading{Change: end}) {
				t.Errorf("%s: read %v of a topic that was deleted as %v", metric, got, end)
			}
		}
		if exists(t, f.first, topic) || len(dump(t, f.first, tally.ScopeOf(topic))) > 0 {
			t.Errorf("%s: a deleted topic is there", metric)
		}
		if again := edit(t, f.first, tally.Edit{Topic: topic, Kind: tally.EditDelete}); again.Changed {
			t.Errorf("%s: deleted twice", metric)
		}
		// It begins anew, and viewers of before take it.
		anew := apply(t, f.first, topic, assert(1, 1))
		if !anew.Writes[0].Created || anew.Count != 1 || anew.Version <= last.Version {
			t.Errorf("%s: anew it is %+v", metric, anew)
		}
		for _, r := range recorders {
			r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: anew.Version})
			r.grows(t, topic)
		}
	}
}

// testEmptyLarge resets and deletes topics of more members than a step may take, and
// fills them again at once, while the store may still be removing.
func testEmptyLarge(t *testing.T, open Factory) {
	const members = 12_000
	f := owned(t, open)
	member := func(i int) tally.Member { return tally.Member(uint64(i+1) * 0x9e3779b97f4a7c15) }
	for _, kind := range []tally.EditKind{tally.EditReset, tally.EditDelete} {
		topic := newTopic(t, "likes")
		fill := func(members int) {
			t.Helper()
			for from := 0; from < members; from += tally.MaxBatchWrites {
				var writes []tally.Write
				for i := from; i < min(from+tally.MaxBatchWrites, members); i++ {
					writes = append(writes, assert(member(i), 1))
				}
				if got := apply(t, f.first, topic, writes...); got.Count != int64(from+len(writes)) {
					t.Fatalf("count %d after %d likes", got.Count, from+len(writes))
				}
			}
		}
		fill(members)
		if got := edit(t, f.other, tally.Edit{Topic: topic, Kind: kind}); got.Before.Count != members || got.After.Count != 0 {
			t.Errorf("emptied from %v to %v", got.Before, got.After)
		}
		if got := read(t, f.first, topic, member(members-1)); got.Change.Count != 0 || got.Mine != 0 {
			t.Errorf("%v is read after the topic was emptied", got)
		}
		fill(3000)
		if d := stateOf(t, f.other, topic); d.counted != 3000 {
			t.Errorf("%d are counted of 3000 who came again", d.counted)
		}
	}
}

func testEditPushed(t *testing.T, open Factory) {
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	first := apply(t, f.first, topic, assert(1, 1))
	want := []tally.Change{{Topic: topic, Count: 1, Version: first.Version}}
	for _, e := range []tally.Edit{
		{Kind: tally.EditSeed, Value: 4},
		{Kind: tally.EditSeed, Value: 4},
		{Kind: tally.EditAdjustment, Value: -2},
		{Kind: tally.EditCount, Value: 11},
		{Kind: tally.EditWithdraw, Members: []tally.Member{1}},
		{Kind: tally.EditReset},
	} {
		for _, r := range recorders {
			r.reaches(t, want[len(want)-1])
		}
		e.Topic = topic
		if got := edit(t, f.other, e); got.Changed {
			want = append(want, got.After.Change)
		}
	}
	for _, r := range recorders {
		r.reaches(t, want[len(want)-1])
	}
	time.Sleep(quiet) // for what must not come
	for _, r := range recorders {
		if got := r.pushes(topic); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: pushed %v, want %v", r.name, got, want)
		}
	}
}

// testEditTogether has visitors like and owners edit at once: it adds up afterwards.
func testEditTogether(t *testing.T, open Factory) {
	const visitors = 200
	f := owned(t, open)
	recorders := runAll(t, f.Fixture)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	together(visitors, func(i int) {
		if i%10 != 0 {
			if err := tryApply(f.instances()[i%len(f.instances())], topic, assert(tally.Member(i), 1)); err != nil {
				t.Errorf("like %d: %v", i, err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), answer)
		defer cancel()
		list := []tally.Edit{{Topic: topic, Kind: tally.EditSeed, Value: 50}, {Topic: topic, Kind: tally.EditAdjustment, Value: int64(i)}}
		f.first.Edit(ctx, list)
		if err := errors.Join(list[0].Err, list[1].Err); err != nil {
			t.Errorf("edit %d: %v", i, err)
		}
	})
	d := stateOf(t, f.first, topic)
	if d.counted != visitors-visitors/10 || d.Seed != 50 || d.Adjustment%10 != 0 {
		t.Errorf("it became %v", d)
	}
	for _, r := range recorders {
		r.reaches(t, d.Change)
		r.grows(t, topic)
	}
}
