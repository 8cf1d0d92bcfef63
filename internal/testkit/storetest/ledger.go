package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Owned is an [Instance] that lets the owner of its numbers in. Those of a fixture
// for [RunLedger] are.
type Owned interface {
	Instance
	tally.Ledger
}

// week is how long the journal of the suite's stores is.
const week = 7 * 24 * time.Hour

// RunLedger runs the suite of [tally.Ledger] on stores made by open, which passes on
// [Options.Journal]. Where the fixture moves the clock ([Fixture.Advance]), that is
// the one by which the journal, pulses and activity go.
func RunLedger(t *testing.T, open Factory) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Factory)
	}{
		{"edits", testEdits},
		{"an edit of a version that is gone does nothing", testIfVersion},
		{"edits that cannot be", testForbiddenEdits},
		{"the adjustment rises where the count would be below 0", testNeverBelowZero},
		{"members are withdrawn", testWithdraw},
		{"a deleted topic is as if nobody had touched it", testDelete},
		{"a large topic is emptied", testEmptyLarge},
		{"each edit is pushed once", testEditPushed},
		{"edits while visitors write", testEditTogether},
		{"a dump", testDump},
		{"a dump ends with its caller's error", testDumpEnds},
		{"a dump while visitors write", testDumpTogether},
		{"a dump restored elsewhere", testRestore},
		{"a restore unites or replaces", testUnite},
		{"a portioned restore", testRestorePortions},
		{"a restore of what cannot be", testForbiddenPortions},
		{"lists", testLists},
		{"the journal", testJournal},
		{"a journal that is off", testNoJournal},
		{"the journal ends", testJournalEnds},
		{"journal entries are reverted", testRevert},
		{"only the newest entry of a member is reverted", testRevertNewest},
		{"the register", testRegister},
		{"entries of the register are swapped", testSwapRegister},
		{"marks of topics", testMark},
		{"the audit log", testAudit},
		{"activity", testActivity},
		{"usage", testUsage},
		{"no call of an owner outlives its deadline", testOwnersDeadline},
		{"what an owner did is there after reopening", testOwnersReopen},
		{"model", testLedgerModel},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// ledgers is a fixture whose instances are [Owned].
type ledgers struct {
	*Fixture
	first, other Owned
}

// owned opens a fixture with the suite's catalog and a journal.
func owned(t testing.TB, open Factory) *ledgers {
	t.Helper()
	f := open(t, Options{Catalog: catalog(), Journal: week})
	return &ledgers{f, asOwned(t, f.Instance), asOwned(t, f.other())}
}

func asOwned(t testing.TB, instance Instance) Owned {
	t.Helper()
	o, ok := instance.(Owned)
	if !ok {
		t.Fatalf("a %T is no tally.Ledger", instance)
	}
	return o
}

// edit carries out one edit, which has no error.
func edit(t tester, store tally.Ledger, e tally.Edit) tally.Edit {
	t.Helper()
	return edits(t, store, e)[0]
}

// edits carries out some in one call, and checks what each tells of itself.
func edits(t tester, store tally.Ledger, list ...tally.Edit) []tally.Edit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	store.Edit(ctx, list)
	for i, e := range list {
		if e.Err != nil {
			t.Fatalf("edit %d of %s: %v", i, e.Topic, e.Err)
		}
		if e.Before.Topic != e.Topic || e.After.Topic != e.Topic {
			t.Fatalf("edit %d of %s went from %v to %v", i, e.Topic, e.Before, e.After)
		}
		if e.Kind != tally.EditDelete && e.Changed != (e.After.Version > e.Before.Version) || !e.Changed && e.Before != e.After {
			t.Fatalf("edit %d of %s went from %v to %v, though changed is %t", i, e.Topic, e.Before, e.After, e.Changed)
		}
	}
	return list
}

// dumped is a topic as a dump tells it.
type dumped struct {
	tally.State
	counted       int64
	contributions map[tally.Member]int64
}

func (d dumped) String() string {
	return fmt.Sprintf("%d = %d + %d + %d at %d by %v", d.Count, d.Seed, d.Adjustment, d.counted, d.Version, d.contributions)
}

// portions returns the portions of scope.
func portions(t tester, store interface {
	Dump(context.Context, tally.Scope, func(tally.Portion) error) error
}, scope tally.Scope) (all []tally.Portion) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	err := store.Dump(ctx, scope, func(p tally.Portion) error {
		p.Contributions = slices.Clone(p.Contributions)
		all = append(all, p)
		return nil
	})
	if err != nil {
		t.Fatalf("dump %v: %v", scope, err)
	}
	return all
}

// gather puts portions together, and checks that they are well formed.
func gather(t tester, all []tally.Portion) map[tally.Topic]dumped {
	t.Helper()
	topics := map[tally.Topic]dumped{}
	for i, p := range all {
		if len(p.Contributions) > tally.MaxPortion {
			t.Fatalf("a portion of %s has %d contributions", p.Topic, len(p.Contributions))
		}
		_, begun := topics[p.Topic]
		if p.First == begun || (!p.First && (i == 0 || all[i-1].Topic != p.Topic || all[i-1].Last)) {
			t.Fatalf("portion %d, of %s, does not follow: first is %t", i, p.Topic, p.First)
		}
		if i+1 == len(all) && !p.Last || i+1 < len(all) && p.Last != all[i+1].First {
			t.Fatalf("portion %d, of %s, is followed by another topic's: last is %t", i, p.Topic, p.Last)
		}
		d := dumped{p.State, p.Sum, map[tally.Member]int64{}}
		if begun {
			d.contributions = topics[p.Topic].contributions
		}
		for _, c := range p.Contributions {
			if _, twice := d.contributions[c.Member]; twice || c.Amount < 1 || c.Member == 0 {
				t.Fatalf("%s: member %x contributes %d, seen before: %t", p.Topic, c.Member, c.Amount, twice)
			}
			d.contributions[c.Member] = c.Amount
		}
		topics[p.Topic] = d
	}
	for topic, d := range topics {
		var sum int64
		for _, amount := range d.contributions {
			sum += amount
		}
		if d.Count != d.Seed+d.Adjustment+d.counted || d.Count < 0 || d.Seed < 0 {
			t.Fatalf("%s: %v do not add up", topic, d)
		}
		if windowed := catalog().Rule(topic).Kind == tally.Window; sum != d.counted && !windowed || sum > d.counted {
			t.Fatalf("%s: contributions are %d, counted %d", topic, sum, d.counted)
		}
	}
	return topics
}

// dump returns the topics of scope.
func dump(t tester, store tally.Ledger, scope tally.Scope) map[tally.Topic]dumped {
	t.Helper()
	return gather(t, portions(t, store, scope))
}

// stateOf returns what is stored of one topic, which exists.
func stateOf(t tester, store tally.Ledger, topic tally.Topic) dumped {
	t.Helper()
	d, ok := dump(t, store, tally.ScopeOf(topic))[topic]
	if !ok {
		t.Fatalf("there is no %s", topic)
	}
	return d
}

// restore stores portions without an error.
func restore(t tester, store tally.Ledger, replace bool, all ...tally.Portion) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	if err := store.Restore(ctx, replace, all); err != nil {
		t.Fatalf("restore %d portions: %v", len(all), err)
	}
}

// whole is the only portion of a topic. What was counted is what is contributed.
func whole(topic tally.Topic, seed, adjustment int64, contributions map[tally.Member]int64) tally.Portion {
	p := tally.Portion{First: true, Last: true}
	p.Topic, p.Seed, p.Adjustment, p.Version = topic, seed, adjustment, 1
	for _, member := range slices.Sorted(maps.Keys(contributions)) {
		p.Contributions = append(p.Contributions, tally.Contribution{Member: member, Amount: contributions[member]})
		p.Sum += contributions[member]
	}
	p.Count = seed + adjustment + p.Sum
	return p
}

// exists tells whether topic does, by a write that may not bring it into being.
func exists(t tester, store tally.Store, topic tally.Topic) bool {
	t.Helper()
	const stranger = tally.Member(0xfeed)
	return !apply(t, store, topic, tally.Write{Member: stranger, Amount: 1}).Writes[0].WouldCreate
}
