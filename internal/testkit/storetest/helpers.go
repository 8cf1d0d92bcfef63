package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// edit applies one edit, which must not fail.
func edit(t tester, store tally.Editor, e tally.Edit) tally.Edit {
	t.Helper()
	return edits(t, store, e)[0]
}

// edits applies edits in one call, none of which may fail, and checks that their results
// are consistent.
func edits(t tester, store tally.Editor, list ...tally.Edit) []tally.Edit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
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

// dumped is a topic in a dump.
type dumped struct {
	tally.State
	sum           int64
	contributions map[tally.Member]int64
}

func (d dumped) String() string {
	return fmt.Sprintf("%d = %d + %d + %d at %d by %v", d.Count, d.Seed, d.Adjustment, d.sum, d.Version, d.contributions)
}

// portions returns the portions of scope.
func portions(t tester, store tally.Dumper, scope tally.Scope) (all []tally.Portion) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
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

// gather joins the portions of each topic, and checks their form.
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
		rule := catalog().Rule(topic)
		sums := make([]int64, max(1, d.Options.Len()))
		for _, amount := range d.contributions {
			rule.Add(sums, amount)
		}
		if rule.Kind != tally.Window && !slices.Equal(d.Sums(), sums) {
			t.Fatalf("%s: %v, but its contributions are %v by option", topic, d, sums)
		}
		var sum int64
		for _, n := range sums {
			sum += n
		}
		checkOptions(t, d.Change)
		checkOptions(t, tally.Change{Topic: topic, Count: d.Seed, Options: d.SeedOptions})
		checkOptions(t, tally.Change{Topic: topic, Count: d.Adjustment, Options: d.AdjustmentOptions})
		if d.Count != d.Seed+d.Adjustment+d.sum || d.Count < 0 || d.Seed < 0 {
			t.Fatalf("%s: %v do not add up", topic, d)
		}
		if sum != d.sum && rule.Kind != tally.Window || sum > d.sum {
			t.Fatalf("%s: the sum of contributions is %d, dumped %d", topic, sum, d.sum)
		}
	}
	return topics
}

// dump returns the topics of scope.
func dump(t tester, store tally.Dumper, scope tally.Scope) map[tally.Topic]dumped {
	t.Helper()
	return gather(t, portions(t, store, scope))
}

// stateOf dumps one topic, which must exist.
func stateOf(t tester, store tally.Dumper, topic tally.Topic) dumped {
	t.Helper()
	d, ok := dump(t, store, tally.ScopeOf(topic))[topic]
	if !ok {
		t.Fatalf("%s does not exist", topic)
	}
	return d
}

// restore restores portions, which must not fail.
func restore(t tester, store tally.Restorer, replace bool, all ...tally.Portion) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := store.Restore(ctx, replace, all); err != nil {
		t.Fatalf("restore %d portions: %v", len(all), err)
	}
}

// wholePortion returns the only portion of a topic with these contributions. In a choice metric
// seed and adjustment are those of the first option.
func wholePortion(topic tally.Topic, seed, adjustment int64, contributions map[tally.Member]int64) tally.Portion {
	p := tally.Portion{First: true, Last: true}
	rule := catalog().Rule(topic)
	p.State = rule.EmptyState(topic)
	p.Seed, p.Adjustment, p.Version = seed, adjustment, 1
	sums := make([]int64, max(1, p.Options.Len()))
	if p.Options != "" {
		p.SeedOptions, p.AdjustmentOptions = editOf(topic, tally.Edit{Kind: tally.EditSeed, Value: seed}).Options, editOf(topic, tally.Edit{Kind: tally.EditSeed, Value: adjustment}).Options
	}
	for _, member := range slices.Sorted(maps.Keys(contributions)) {
		p.Contributions = append(p.Contributions, tally.Contribution{Member: member, Amount: contributions[member]})
		rule.Add(sums, contributions[member])
	}
	for _, sum := range sums {
		p.Sum += sum
	}
	p.Count = seed + adjustment + p.Sum
	return p
}

// exists reports whether topic exists, with a write that may not create it.
func exists(t tester, store tally.Applier, topic tally.Topic) bool {
	t.Helper()
	const unknown = tally.Member(0xfeed)
	return !apply(t, store, topic, tally.Write{Member: unknown, Amount: 1}).Writes[0].WouldCreate
}
