package owner_test

import (
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// One owner merges a topic into another while a second owner resets it. No visitor whose like
// remains counts twice.
func TestReset_DuringMerge(t *testing.T) { forSeeds(t, resetDuringMerge) }

func resetDuringMerge(t *testing.T, w *stores, seed uint64) bool {
	plain := openWith(w.first, owner.Options{LeaseTime: patientLease})
	older, from, to := newTopic("likes"), newTopic("likes"), newTopic("likes")
	const visitors = 6
	for n := range visitors {
		plain.like(t, []tally.Topic{older, from, to}[n%3], visitor(n))
	}
	// to has an alias before.
	if _, err := plain.Merge(t.Context(), "before", []tally.Topic{older}, to); err != nil {
		t.Fatal(err)
	}
	instance := func(store fullStore, n uint64) *instance {
		return openWith(steppedStore{store, newUnreliable(seed*8+n, 30), nil}, owner.Options{LeaseTime: shortLease})
	}
	var work sync.WaitGroup
	work.Go(func() { _, _ = instance(w.first, 1).Merge(t.Context(), "merger", []tally.Topic{from}, to) })
	work.Go(func() {
		o := instance(w.second, 2)
		for range 2 { // the second one finds what the first one left
			_ = o.Edit(t.Context(), "resetter", []tally.Edit{{Topic: to, Kind: tally.EditReset}})
		}
	})
	work.Wait()
	finishMerges(t, w, from, to)
	last := openWith(w.second, owner.Options{LeaseTime: patientLease})
	if _, err := last.Merge(t.Context(), "again", []tally.Topic{from}, to); err != nil && code(err) != tally.CodeNotFound {
		t.Fatal(err)
	}
	for n := range visitors {
		last.like(t, to, visitor(n))
	}
	if got := plain.state(t, to).Count; got != visitors {
		t.Errorf("%d visitors count as %d", visitors, got)
	}
	return true
}
