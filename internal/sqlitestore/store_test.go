package sqlitestore_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/storetest"
)

// catalog is the catalog of a service without configuration.
func catalog() *tally.Catalog { return tally.NewCatalog(nil, tally.DefaultMetrics()) }

// open opens the database at path until the test ends.
func open(t testing.TB, path string, catalog *tally.Catalog, options sqlitestore.Options) *sqlitestore.Store {
	t.Helper()
	store, err := sqlitestore.Open(context.Background(), path, catalog, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close %s: %v", path, err)
		}
	})
	return store
}

// clock is a clock that a test moves. It is safe for concurrent use.
type clock struct{ ahead atomic.Int64 } // nanoseconds before the machine's clock

func newClock() *clock { return &clock{} }

func (c *clock) read() time.Time         { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func TestConformance(t *testing.T) { storetest.Run(t, openFixture) }

func TestConformance_History(t *testing.T) { storetest.RunHistory(t, openFixture) }

func openFixture(t testing.TB, options storetest.Options) *storetest.Fixture {
	path := filepath.Join(t.TempDir(), "data", "tally.db")
	now := newClock()
	again := func(t testing.TB) *sqlitestore.Store {
		t.Helper()
		return open(t, path, options.Catalog, sqlitestore.Options{Secret: options.Secret, Now: now.read, Journal: options.Journal, History: options.History, TopInterval: 5 * time.Millisecond})
	}
	store := again(t)
	return &storetest.Fixture{
		First:   store,
		Advance: now.advance,
		Reopen: func(t testing.TB) storetest.Store {
			t.Helper()
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			store = again(t)
			return store
		},
	}
}

// Peaks of presence leave after their retention, also those of topics that nobody opens again.
func TestSweep_PresencePeaks(t *testing.T) {
	t.Parallel()
	path, now := filepath.Join(t.TempDir(), "tally.db"), newClock()
	store := open(t, path, catalog(), sqlitestore.Options{Now: now.read, History: 2 * 24 * time.Hour})
	for _, key := range []string{"one", "two", "one", "two"} { // in two hours
		now.advance(31 * time.Minute)
		if err := store.SetShares(t.Context(), time.Minute, []tally.Share{{Topic: mustTopic(t, "readers", key), Pages: 1, MayRecord: true}}); err != nil {
			t.Fatal(err)
		}
	}
	processtest.Eventually(t, "the peaks are stored", func() bool { return query[int](t, path, `SELECT count(DISTINCT topic) FROM readers`) == 2 })
	now.advance(10 * 24 * time.Hour)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, catalog(), sqlitestore.Options{Now: now.read, History: 2 * 24 * time.Hour}) // sweeps at its start
	processtest.Eventually(t, "no peaks", func() bool { return query[int](t, path, `SELECT count(*) FROM readers`) == 0 })
}
