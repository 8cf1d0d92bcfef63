package owner_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// One owner merges a page into another, which a second owner empties at the same time.
// Whatever the order of their calls, nobody whose like is left may like once more.
func TestAResetAmidAMergeForgetsNobodyWhoseLikeIsLeft(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for seed := range uint64(60) {
			resetInSomeOrder(t, w, seed)
			if t.Failed() {
				return
			}
		}
	})
}

func resetInSomeOrder(t *testing.T, w *world, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 11))
	plain := open(w.first)
	older, from, to := newTopic("likes"), newTopic("likes"), newTopic("likes")
	const visitors = 6
	for n := range visitors {
		plain.like(t, []tally.Topic{older, from, to}[n%3], visitor(n))
	}
	// What is there of older has a former name already.
	if _, err := plain.Merge(t.Context(), "before", []tally.Topic{older}, to); err != nil {
		t.Fatal(err)
	}
	s := &schedule{random: random}
	merger, resetter := &actor{name: "merger", speed: 1 << random.IntN(4)}, &actor{name: "resetter", speed: 1 << random.IntN(4)}
	s.play(map[*actor]func(){
		merger: func() {
			if _, err := open(steppedStore{w.first, merger}).Merge(t.Context(), "merger", []tally.Topic{from}, to); err != nil {
				t.Error(err)
			}
		},
		resetter: func() {
			o := open(steppedStore{w.second, resetter})
			for range 2 { // the second finds what the first left
				if err := o.Edit(t.Context(), "resetter", []tally.Edit{{Topic: to, Kind: tally.EditReset}}); err != nil {
					t.Error(err)
				}
			}
		},
	})
	// Everybody likes the page that is left, at an instance that has read the register.
	last := open(w.second)
	if _, err := last.Merge(t.Context(), "again", []tally.Topic{from}, to); err != nil && code(err) != tally.CodeNotFound {
		t.Fatal(err)
	}
	for n := range visitors {
		last.like(t, to, visitor(n))
	}
	if got := plain.state(t, to).Count; got != visitors {
		t.Errorf("drawn from %d: %d visitors count %d; after\n  %s", seed, visitors, got, strings.Join(s.order, "\n  "))
	}
}
