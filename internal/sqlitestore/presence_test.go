package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestPresence_VersionRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresence(time.Now, newFeed())
		topic, err := tally.NewTopic(tally.DefaultSite, "readers", "page")
		if err != nil {
			t.Fatal(err)
		}
		kept := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.shares)
		}
		p.set(10*time.Second, []tally.Share{{Topic: topic, Pages: 2}})
		first := p.read(topic)
		time.Sleep(11 * time.Second)
		ended := p.read(topic)
		if ended.Count != 0 || ended.Version <= first.Version || kept() != 1 {
			t.Errorf("%v after %v, %d kept", ended, first, kept())
		}
		time.Sleep(versionRetention)
		if kept() != 0 {
			t.Errorf("%d versions are kept after their retention", kept())
		}
		p.set(10*time.Second, []tally.Share{{Topic: topic, Pages: 1}})
		if again := p.read(topic); again.Count != 1 || again.Version <= ended.Version {
			t.Errorf("%v after the version of %v was removed", again, ended)
		}
	})
}

// Readers do not wait for the writer. The history has their peak at once, and the file after the
// writer is free, or after Close.
func TestPresence_DoesNotWaitForWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	var ahead atomic.Int64 // hours
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Hour) }
	open := func() *Store {
		store, err := Open(t.Context(), path, tally.NewCatalog(nil, tally.DefaultMetrics()), Options{History: tally.MaxHistory, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store := open()
	topic, err := tally.NewTopic(tally.DefaultSite, "readers", "page")
	if err != nil {
		t.Fatal(err)
	}
	began, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // ends with its transaction
		ended <- store.update(context.Background(), func(*writer) ([]tally.Change, error) {
			close(began)
			<-proceed
			return nil, nil
		})
	}()
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for i, pages := range []int64{3, 7, 2} {
		ahead.Store(int64(i / 2)) // in two hours: else the peak would not be stored
		if err := store.SetShares(ctx, time.Minute, []tally.Share{{Topic: topic, Pages: pages, MayRecord: true}}); err != nil {
			t.Fatal(err)
		}
	}
	peak := func() int64 {
		h := store.History(t.Context(), tally.Hour, []tally.Topic{topic})[0]
		if len(h.Records) != 2 {
			t.Fatalf("records %v, error %v", h.Records, h.Err)
		}
		return h.Records[0].Sum
	}
	if got := peak(); got != 7 {
		t.Errorf("the peak is %d before it is stored", got)
	}
	close(proceed)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open()
	defer store.Close()
	if got := peak(); got != 7 {
		t.Errorf("the peak is %d after the file was opened again", got)
	}
}

// Pages that do not exist do not fill the file: presence within one hour leaves nothing behind.
func TestPresence_WithinAnHour(t *testing.T) {
	var minutes atomic.Int64
	now := func() time.Time {
		return time.Date(2026, 11, 30, 10, 50, 0, 0, time.UTC).Add(time.Duration(minutes.Load()) * time.Minute)
	}
	catalog := tally.NewCatalog(nil, tally.DefaultMetrics())
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, Options{History: tally.MaxHistory, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stored := func() (n int) {
		t.Helper()
		err := errors.Join(store.storePeaks(t.Context()), store.db.QueryRow(`SELECT count(*) FROM readers`).Scan(&n))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mayRecord := true
	share := func(topics int, pages int64) {
		t.Helper()
		var shares []tally.Share
		for i := range topics {
			topic, err := tally.NewTopic(tally.DefaultSite, "readers", fmt.Sprintf("page-%d", i))
			if err != nil {
				t.Fatal(err)
			}
			shares = append(shares, tally.Share{Topic: topic, Pages: pages, MayRecord: mayRecord})
		}
		if err := store.SetShares(t.Context(), time.Minute, shares); err != nil {
			t.Fatal(err)
		}
	}
	share(20, 1)
	share(20, 2)
	if n := stored(); n != 0 {
		t.Errorf("%d peaks of topics that were present within an hour", n)
	}
	minutes.Add(11)
	mayRecord = false
	share(20, 1)
	if n := stored(); n != 0 {
		t.Errorf("%d peaks of topics whose shares may not begin a history", n)
	}
	mayRecord = true
	minutes.Add(60)
	share(1, 1)
	if n := stored(); n != 3 {
		t.Errorf("%d peaks of one topic that was present in two hours, want 3", n)
	}
	minutes.Add(24 * 60)
	mayRecord = false
	share(1, 1) // may continue it
	if n := stored(); n != 5 {
		t.Errorf("%d peaks of a topic that has some, want 5", n)
	}
}
