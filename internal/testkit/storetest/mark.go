package storetest

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// testSwapRegister checks that entries are set together, and only if what is expected is
// there; and that of many who expect the same one succeeds.
func testSwapRegister(t *testing.T, open Factory) {
	f := owned(t, open)
	swap := func(store Owned, expected, entries map[string]string, want bool) {
		t.Helper()
		if swapped, err := store.SwapSettings(answerContext(t), expected, entries); err != nil || swapped != want {
			t.Errorf("swap %v for %v: %t, error %v; want %t", expected, entries, swapped, err, want)
		}
	}
	both := map[string]string{"claim a": "1", "claim b": "1"}
	free := map[string]string{"claim a": "", "claim b": ""}
	swap(f.first, free, both, true)
	swap(f.first, free, both, true) // again, as where the answer was lost
	swap(f.other, free, map[string]string{"claim a": "2", "claim b": "2"}, false)
	swap(f.other, map[string]string{"claim b": "", "claim c": ""}, map[string]string{"claim b": "2", "claim c": "2"}, false)
	swap(f.other, map[string]string{"claim b": "1"}, map[string]string{"claim b": "3"}, true)
	swap(f.first, both, free, false)
	if got, err := f.first.Settings(answerContext(t)); err != nil || !maps.Equal(got, map[string]string{"claim a": "1", "claim b": "3"}) {
		t.Errorf("the register is %v, error %v", got, err)
	}
	swap(f.first, map[string]string{"claim a": "1", "claim b": "3"}, free, true)

	const swappers = 20
	winners := make(chan string, swappers)
	together(swappers, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), answer)
		defer cancel()
		name := string(rune('a' + i))
		store := f.instances()[i%len(f.instances())].(Owned)
		if swapped, err := store.SwapSettings(ctx, free, map[string]string{"claim a": name, "claim b": name}); err != nil {
			t.Errorf("swap: %v", err)
		} else if swapped {
			winners <- name
		}
	})
	close(winners)
	winner := <-winners
	if _, more := <-winners; more {
		t.Error("several swapped the same")
	}
	if got, err := f.other.Settings(answerContext(t)); err != nil || !maps.Equal(got, map[string]string{"claim a": winner, "claim b": winner}) {
		t.Errorf("the register is %v, error %v; %q swapped", got, err, winner)
	}
}

// testMark checks what topics with marks take, and that a mark is no topic.
func testMark(t *testing.T, open Factory) {
	f := owned(t, open)
	for _, metric := range []string{"likes", "claps", "views"} {
		t.Run(metric, func(t *testing.T) { testMarkOf(t, f, metric) })
	}
}

func testMarkOf(t *testing.T, f *ledgers, metric string) {
	touched, other := newTopic(t, metric), newTopic(t, metric)
	apply(t, f.first, touched, from(7, 1, 1))
	spike := recent(t, f.first, touched)
	mark := func(topic tally.Topic, from, to, want string) {
		t.Helper()
		if got, err := f.other.SwapMark(answerContext(t), topic, from, to); err != nil || got != want {
			t.Fatalf("the mark of %s from %q to %q is %q, error %v; want %q", topic, from, to, got, err, want)
		}
	}
	takes := func(topic tally.Topic, carried string, member tally.Member, stored string) {
		t.Helper()
		batches := []tally.Batch{{Topic: topic, Mark: carried, Writes: []tally.Write{assert(member, 1)}}, {Topic: newTopic(t, metric), Writes: []tally.Write{assert(1, 1)}}}
		f.first.Apply(answerContext(t), batches)
		var marked *tally.MarkError
		switch err := batches[0].Err; {
		case batches[1].Err != nil:
			t.Errorf("a batch beside one of another mark: %v", batches[1].Err)
		case stored == "" && err != nil, stored != "" && (!errors.As(err, &marked) || marked.Mark != stored):
			t.Errorf("a write with the mark %q to %s: %v; want the mark %q", carried, topic, err, stored)
		}
	}
	edits := func(carried string, want error, topics ...tally.Topic) {
		t.Helper()
		for _, topic := range topics {
			for _, e := range []tally.Edit{{Kind: tally.EditCount, Value: 5}, {Kind: tally.EditWithdraw, Members: []tally.Member{9}}} {
				e.Topic, e.Mark = topic, carried
				if carried != "" && e.Kind == tally.EditWithdraw {
					continue // no step of a merge
				}
				list := []tally.Edit{e}
				if f.first.Edit(answerContext(t), list); !errors.Is(list[0].Err, want) {
					t.Errorf("edit of kind %d with the mark %q of %s: %v, want %v", e.Kind, carried, topic, list[0].Err, want)
				}
			}
			p := whole(topic, 0, 0, map[tally.Member]int64{3: 1})
			p.Mark = carried
			if err := f.first.Restore(answerContext(t), false, []tally.Portion{p}); !errors.Is(err, want) {
				t.Errorf("a portion with the mark %q of %s: %v, want %v", carried, topic, err, want)
			}
		}
	}
	mark(touched, "", "", "")
	mark(touched, "x", "y", "")
	takes(touched, "unknown", 2, "") // a topic without a mark takes all

	mark(touched, "", "aliases", "aliases")
	mark(touched, "", "others", "aliases")
	takes(touched, "", 3, "aliases")
	takes(touched, "others", 3, "aliases")
	takes(touched, "aliases", 3, "")
	edits("", nil, touched)
	edits("aliases2", tally.ErrFrozen, touched)

	frozen := tally.FrozenMark("merge", "3")
	mark(touched, "aliases", frozen, frozen)
	mark(other, "", frozen, frozen) // does not exist
	for _, topic := range []tally.Topic{touched, other} {
		takes(topic, "", 4, frozen)
		takes(topic, "aliases", 4, frozen)
		edits("", tally.ErrFrozen, topic)
		edits(tally.FrozenMark("another", ""), tally.ErrFrozen, topic)
	}
	if _, _, err := f.first.Revert(answerContext(t), spike, false); !errors.Is(err, tally.ErrFrozen) {
		t.Errorf("reverting contributions to a frozen topic: %v", err)
	}
	if r := read(t, f.first, other, 0); r.Change.Version != 0 {
		t.Errorf("a mark made a topic: %+v", r)
	}
	page, err := f.first.List(answerContext(t), tally.Listing{Scope: tally.ScopeOf(other), Limit: 10})
	if err != nil || len(page.States) != 0 || len(dump(t, f.first, tally.ScopeOf(other))) != 0 {
		t.Errorf("a mark is listed as a topic: %+v, error %v", page, err)
	}
	edits(frozen, nil, touched, other)
	list := []tally.Edit{{Topic: touched, Kind: tally.EditDelete, Mark: frozen}}
	if f.first.Edit(answerContext(t), list); list[0].Err != nil || !list[0].Changed {
		t.Errorf("the end of a frozen topic: %+v", list[0])
	}
	takes(touched, "", 5, "") // the mark ended with the topic
	mark(touched, "", "", "")
	mark(other, frozen, "", "")
	takes(other, "", 6, "")
}
