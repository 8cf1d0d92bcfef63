package sqlitestore

import (
	"context"
	"path/filepath"
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
	open := func() *Store {
		store, err := Open(t.Context(), path, tally.NewCatalog(nil, tally.DefaultMetrics()), Options{History: tally.MaxHistory})
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
	for _, pages := range []int64{3, 7, 2} {
		if err := store.SetShares(ctx, time.Minute, []tally.Share{{Topic: topic, Pages: pages}}); err != nil {
			t.Fatal(err)
		}
	}
	peak := func() int64 {
		h := store.History(t.Context(), tally.Hour, []tally.Topic{topic})[0]
		if len(h.Records) != 1 {
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
