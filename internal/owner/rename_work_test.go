package owner_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// countedSettings counts what is read of the settings.
type countedSettings struct {
	fullStore
	all     atomic.Int64 // reads of all settings
	read    atomic.Int64 // settings that all reads returned
	entries atomic.Int64 // that reads by name returned
}

func (s *countedSettings) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	settings, err := s.fullStore.Settings(ctx, names...)
	s.read.Add(int64(len(settings)))
	if len(names) == 0 {
		s.all.Add(1)
	} else {
		s.entries.Add(int64(len(settings)))
	}
	return settings, err
}

// Each rename adds a setting that stays. The work of a rename does not grow with their number, except
// that the instance follows the settings once.
func TestRename_ReadsOfSettings(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		store := &countedSettings{fullStore: w.first}
		o := openWith(store, owner.Options{LeaseTime: time.Minute})
		const renames = 10
		for i := range renames {
			from, to := newTopic("likes"), newTopic("likes")
			o.like(t, from, visitor(1))
			store.all.Store(0)
			store.entries.Store(0)
			if _, err := o.Rename(t.Context(), "test", from, to); err != nil {
				t.Fatal(err)
			}
			// Its two claims, aliases and mark, each of them some times.
			if all, entries := store.all.Load(), store.entries.Load(); all > 1 || entries > 12 {
				t.Errorf("rename %d read all settings %d times, and %d by name", i, all, entries)
			}
		}
	})
}

// A visitor who contributed under the former name has a contribution under the new name: a
// change of it is not a new contribution.
func TestRename_ContributionIsNotNew(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		o := open(w.first)
		for _, metric := range []string{"likes", "claps", "rating"} {
			from, to := newTopic(metric), newTopic(metric)
			o.contribute(t, from, visitor(1), 1, readerAddress)
			if _, err := o.Rename(t.Context(), "test", from, to); err != nil {
				t.Fatal(err)
			}
			for _, amount := range []int64{1, o.service.Catalog().Rule(to).Max, 0} {
				for n, want := range map[int]error{1: nil, 2: tally.ErrWouldAdd} {
					if n == 2 && amount == 0 {
						want = nil // a withdrawal of nothing
					}
					result, err := o.service.Assert(t.Context(), tally.Assertion{
						Topic: to, Visitor: visitor(n), Amount: amount, Client: readerAddress, RefuseNew: true,
					})
					if err != want || result.Added {
						t.Errorf("%s: visitor %d asserts %d: added %t, %v", metric, n, amount, result.Added, err)
					}
				}
			}
			o.counts(t, to, 0)
		}
	})
}
