package sqlitestore_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestStore_HungDisk(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "tally.db"), catalog(), sqlitestore.Options{})
	release := store.Occupy()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	batches := []tally.Batch{{Topic: childTopic(), Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	store.Apply(ctx, batches)
	for _, err := range []error{batches[0].Err, store.Reissue(ctx, []tally.Change{{Topic: childTopic(), Version: 1}})} {
		var coded *tally.Error
		if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call behind a hung writer: %v", err)
		}
	}
	release()
	store.Apply(context.Background(), []tally.Batch{{Topic: mustTopic(t, "likes", "next"), Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}})
	if got := store.Read(context.Background(), []tally.Query{{Topic: childTopic()}})[0]; got.Err != nil || got.Change.Version != 0 {
		t.Errorf("a refused write was applied after the disk recovered: %+v", got)
	}
}

// lagging is a sink that holds a newer value than the store, and records the state of the
// feed.
type lagging struct {
	mu    sync.Mutex
	held  tally.Change
	state []string
}

func (l *lagging) Push(change tally.Change) { l.Settle(change) }

func (l *lagging) Settle(read tally.Change) tally.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	if read.Version > l.held.Version {
		l.held = read
	}
	return l.held
}

func (l *lagging) Newest(tally.Topic) (tally.Change, bool) { return l.Settle(tally.Change{}), true }

func (l *lagging) Stale() { l.record("stale") }
func (l *lagging) Live()  { l.record("live") }

func (l *lagging) record(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = append(l.state, state)
}

// last returns the last state of the feed, and whether the sink holds the stored value.
func (l *lagging) last(states int) (state string, isCurrent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.state) == states {
		state = l.state[states-1]
	}
	return state, l.held.Count == 0
}

func TestFeed_StaleAndLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	sink := &lagging{held: tally.Change{Topic: childTopic(), Count: 5, Version: 7}}
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- store.Run(ctx, sink, nil) }() // ends with cancel
	defer func() {
		cancel()
		if err := <-running; err != nil {
			t.Error(err)
		}
	}()
	processtest.Eventually(t, "not live at first", func() bool { state, _ := sink.last(1); return state == "live" })

	db := tool(t, path) // keeps the store from reissuing
	defer db.Close()
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	store.Watch(childTopic())
	processtest.Eventually(t, "not stale while the file is locked", func() bool { state, _ := sink.last(2); return state == "stale" })
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	processtest.Eventually(t, "not live and current after the lock", func() bool { state, isCurrent := sink.last(3); return state == "live" && isCurrent })
}
