package owner_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// slowJournal is a store whose journal takes some time of its clock to read.
type slowJournal struct {
	fullStore
	clock  atomic.Int64 // nanoseconds
	takes  time.Duration
	passes atomic.Int64
	first  atomic.Int64 // minute of the last pass
}

func (s *slowJournal) now() time.Time { return time.Now().Add(time.Duration(s.clock.Load())) }

func (s *slowJournal) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if !scope.Exact {
		s.passes.Add(1)
		s.first.Store(from)
		s.clock.Add(int64(s.takes))
	}
	return s.fullStore.SearchJournal(ctx, scope, from, to, each)
}

// Dashboards that search for spikes all day take a bounded share of the time, no matter how long
// a search takes and how many there are.
func TestSpikes_RepeatedSearches(t *testing.T) {
	w := onSQLite(t)
	for takes, most := range map[time.Duration]int64{
		10 * time.Millisecond: 3 * 60, // each search
		time.Second:           60,     // one in 50 s
		4 * time.Second:       20,     // one in 200 s
	} {
		store := &slowJournal{fullStore: w.first, takes: takes}
		o := openWith(store, owner.Options{Now: store.now})
		for range 60 { // an hour
			var dashboards sync.WaitGroup
			for range 3 {
				dashboards.Go(func() {
					if _, err := o.Spikes(t.Context(), tally.Scope{}, 24*time.Hour); err != nil {
						t.Error(err)
					}
				})
			}
			dashboards.Wait()
			store.clock.Add(int64(time.Minute))
		}
		if n := store.passes.Load(); n > most || n < most/2 {
			t.Errorf("a search takes %s: %d searches in an hour, want %d to %d", takes, n, most/2, most)
		}
	}
}

// If no topic got many contributions, only the journal of the time that is searched is read.
func TestSpikes_Quiet(t *testing.T) {
	w := onSQLite(t)
	store := &slowJournal{fullStore: w.first}
	o := openWith(store, owner.Options{Now: store.now})
	o.contribute(t, newTopic("likes"), visitor(1), 1, botAddress)
	spikes, err := o.Spikes(t.Context(), tally.Scope{}, time.Hour)
	if ago := store.now().Unix()/60 - store.first.Load(); err != nil || len(spikes) > 0 || store.passes.Load() != 1 || ago > 61 {
		t.Errorf("%d spikes, error %v; %d passes, the last one over %d minutes", len(spikes), err, store.passes.Load(), ago)
	}
}

// After a revert the spikes are searched again.
func TestSpikes_AfterRevert(t *testing.T) {
	w := onSQLite(t)
	store := &slowJournal{fullStore: w.first, takes: time.Second}
	o := openWith(store, owner.Options{Now: store.now})
	page := newTopic("likes")
	for i := range 60 {
		o.contribute(t, page, visitor(i), 1, botAddress)
	}
	search := func() int {
		spikes, err := o.Spikes(t.Context(), tally.Scope{Site: "blog"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return len(spikes)
	}
	if first, again := search(), search(); first != 1 || again != 1 || store.passes.Load() != 2 {
		t.Errorf("%d spikes, then %d; the journal was read %d times", first, again, store.passes.Load())
	}
	if _, err := o.Revert(t.Context(), "test", owner.Selection{Topics: []tally.Topic{page}, From: hourAgo()}, false); err != nil {
		t.Fatal(err)
	}
	if n := search(); n != 0 {
		t.Errorf("%d spikes after the revert", n)
	}
}
