package owner_test

import (
	"context"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// hookedStore is a real store that calls a hook at one place.
type hookedStore struct {
	fullStore
	beforeDump func() // may be nil
	afterRead  func() // may be nil
}

func (s hookedStore) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	if s.beforeDump != nil {
		s.beforeDump()
	}
	return s.fullStore.Dump(ctx, scope, each)
}

func (s hookedStore) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	readings := s.fullStore.Read(ctx, queries)
	if s.afterRead != nil {
		s.afterRead()
	}
	return readings
}

// A visitor likes the target of a merge. The instance knows the new alias already, but looks
// for the visitor's contribution before the merge has copied it, and writes after the merge
// has ended. The visitor counts once.
func TestMerge_VisitorIsReadBeforeTheCopy(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		from, to := newTopic("likes"), newTopic("likes")
		open(w.first).like(t, from, visitor(1))
		open(w.first).like(t, to, visitor(2))
		copying, read, merged := make(chan struct{}), make(chan struct{}), make(chan struct{})
		merger := open(hookedStore{fullStore: w.first, beforeDump: func() {
			close(copying)
			<-read
		}})
		go func() { // ends with the merge
			defer close(merged)
			if _, err := merger.Merge(context.Background(), "test", []tally.Topic{from}, to); err != nil {
				t.Error(err)
			}
		}()
		<-copying
		first := true
		liker := open(hookedStore{fullStore: w.second, afterRead: func() {
			if first {
				first = false
				close(read)
				<-merged
			}
		}})
		liker.like(t, to, visitor(1))
		if got := open(w.first).state(t, to).Count; got != 2 {
			t.Errorf("2 visitors count as %d", got)
		}
	})
}

// A visitor is known under an alias of a topic. The owner resets the topic, which removes the
// alias, after an instance has read that and before it writes. The visitor counts once.
func TestReset_VisitorIsReadBefore(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		from, to := newTopic("likes"), newTopic("likes")
		plain := open(w.first)
		plain.like(t, from, visitor(1))
		plain.like(t, to, visitor(2))
		if _, err := plain.Merge(t.Context(), "test", []tally.Topic{from}, to); err != nil {
			t.Fatal(err)
		}
		first := true
		liker := open(hookedStore{fullStore: w.second, afterRead: func() {
			if first {
				first = false
				if err := plain.Edit(t.Context(), "test", []tally.Edit{{Topic: to, Kind: tally.EditReset}}); err != nil {
					t.Error(err)
				}
			}
		}})
		liker.like(t, to, visitor(1))
		open(w.first).like(t, to, visitor(1))
		if got := open(w.first).state(t, to).Count; got != 1 {
			t.Errorf("1 visitor counts as %d", got)
		}
	})
}
