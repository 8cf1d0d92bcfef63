package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// openJournal opens a new database with a journal.
func openJournal(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog(nil, tally.DefaultMetrics()),
		Options{Journal: 24 * time.Hour, History: tally.MaxHistory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// assert makes members 1 to n contribute amount to a topic, in one transaction.
func assert(t *testing.T, store *Store, topic tally.Topic, n int, amount int64) {
	t.Helper()
	batches := []tally.Batch{{Topic: topic}}
	for member := range n {
		batches[0].Writes = append(batches[0].Writes, tally.Write{Member: tally.Member(member + 1), Source: 7, Amount: amount, MayCreate: true})
	}
	store.Apply(t.Context(), batches)
	if err := batches[0].Err; err != nil {
		t.Fatal(err)
	}
}

func allEntries(t *testing.T, store *Store) (all []tally.JournalEntry) {
	t.Helper()
	err := store.Journal(t.Context(), tally.Scope{}, 0, math.MaxInt64, func(entries []tally.JournalEntry) error {
		all = append(all, entries...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A revert that ended before it erased the entries can be repeated: the entries take back
// nothing that was contributed since.
func TestRevert_RepeatedBeforeErasure(t *testing.T) {
	store := openJournal(t)
	const visitors = 3
	for _, name := range []string{"default/likes/a", "default/claps/a", "default/rating/a", "default/views/a"} {
		topic, err := tally.ParseTopic(name)
		if err != nil {
			t.Fatal(err)
		}
		assert(t, store, topic, visitors, 1)
		entries := allEntries(t, store)
		r, err := newRevert(entries, tally.RevertPast)
		if err != nil {
			t.Fatal(err)
		}
		err = store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
			step, err := w.revert(r, 0)
			if step.end != visitors {
				t.Errorf("%s: %d entries are done", name, step.end)
			}
			return step.changes, err
		})
		if err != nil {
			t.Fatal(err)
		}
		assert(t, store, topic, 1, 1) // in a window this changes nothing if the visitor still counts
		for range 2 {
			if _, _, err := store.Revert(t.Context(), entries, tally.RevertPast); err != nil {
				t.Fatal(err)
			}
			if got := store.Read(t.Context(), []tally.Query{{Topic: topic, Member: 1}})[0]; got.Change.Count != 1 || got.Mine != 1 {
				t.Errorf("%s: after the repetition %+v", name, got)
			}
			if left := allEntries(t, store); len(left) != 1 || left[0].Member != 1 {
				t.Errorf("%s: the journal has %+v", name, left)
			}
		}
		if _, _, err := store.Revert(t.Context(), allEntries(t, store), tally.RevertPast); err != nil {
			t.Fatal(err)
		}
	}
}

// A revert changes each row of topics and journal a few times, however many contributions of one
// transaction it takes back.
func TestRevert_RowsChanged(t *testing.T) {
	store := openJournal(t)
	topic, err := tally.ParseTopic("default/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	const likes = 2 * maxRevertBatch
	assert(t, store, topic, likes, 1)
	changed := func() (rows int) {
		err := store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
			_, err := w.get(`SELECT total_changes()`, nil, &rows)
			return nil, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	before := changed()
	reverted, _, err := store.Revert(t.Context(), allEntries(t, store), tally.RevertPast)
	if err != nil || len(reverted) != likes {
		t.Fatalf("%d contributions were reverted, error %v", len(reverted), err)
	}
	const want = likes + 2 + 1 // contributions, changes of the topic, and the row of the journal
	if rows := changed() - before; rows != want {
		t.Errorf("%d rows changed, want %d", rows, want)
	}
}

// If the caller leaves while another job runs in the transaction of the revert, both are stored, and
// the caller gets all contributions that were taken back. The revert can be repeated.
func TestRevert_CancelledDuringJoinedJob(t *testing.T) {
	store := openJournal(t)
	const likes = 2000
	batches := make([]tally.Batch, likes)
	for i := range batches {
		topic, err := tally.NewTopic("default", "likes", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		batches[i] = tally.Batch{Topic: topic, Writes: []tally.Write{{Member: 1, Source: 7, Amount: 1, MayCreate: true}}}
	}
	store.Apply(t.Context(), batches)
	entries := allEntries(t, store)
	taken := func() (n int) {
		if err := store.db.QueryRow(`SELECT count(*) FROM topics WHERE metric = 'likes' AND count = 0`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	topic, err := tally.ParseTopic("default/claps/a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failure := errors.New("no")
	running, first, joined := make(chan bool), make(chan error, 1), make(chan error, 1)
	go func() { // ends with its job
		first <- store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
			close(running)
			for !w.isAwaited() { // by the first transaction of the revert
			}
			go func() { // ends with its job
				joined <- store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
					cancel()
					return w.apply([]tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}})
				})
			}()
			time.Sleep(20 * time.Millisecond) // until that job waits
			return nil, failure               // so that the revert begins a transaction
		})
	}()
	<-running // otherwise that job could join the revert, and wait for it
	reverted, changes, err := store.Revert(ctx, entries, tally.RevertPast)
	if !errors.Is(err, context.Canceled) || !errors.Is(<-first, failure) {
		t.Errorf("error %v", err)
	}
	if err := <-joined; err != nil {
		t.Error(err)
	}
	if n := taken(); n == 0 || n == likes || len(reverted) != n || len(changes) != n {
		t.Errorf("%d contributions and %d changes are reported, %d topics changed", len(reverted), len(changes), n)
	}
	if got := store.Read(t.Context(), []tally.Query{{Topic: topic}})[0]; got.Change.Count != 1 {
		t.Errorf("the other job stored %+v", got)
	}
	if _, _, err := store.Revert(t.Context(), entries, tally.RevertPast); err != nil || taken() != likes || len(allEntries(t, store)) != 1 {
		t.Errorf("after the repetition %d topics changed, error %v", taken(), err)
	}
}

// A revert finds many topics at once by their ids, and leaves those that were deleted since.
func TestRevert_DeletedTopics(t *testing.T) {
	store := openJournal(t)
	var topics []tally.Topic
	for i := range 3*rowsAtOnce + 1 {
		topic, err := tally.NewTopic("default", "likes", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, topic)
		assert(t, store, topic, 3, 1)
	}
	entries := allEntries(t, store)
	for i, topic := range topics {
		if i%3 > 0 {
			continue
		}
		edits := []tally.Edit{{Topic: topic, Kind: tally.EditDelete}}
		if store.Edit(t.Context(), edits); edits[0].Err != nil {
			t.Fatal(edits[0].Err)
		}
		if i%2 > 0 { // it exists again
			assert(t, store, topic, 3, 1)
		}
	}
	reverted, _, err := store.Revert(t.Context(), entries, tally.RevertPast)
	if want := 3 * 2 * rowsAtOnce; err != nil || len(reverted) != want {
		t.Errorf("%d contributions were reverted, want %d, error %v", len(reverted), want, err)
	}
	for i, topic := range topics {
		want := int64(0)
		if i%3 == 0 && i%2 > 0 {
			want = 3
		}
		if got := store.Read(t.Context(), []tally.Query{{Topic: topic}})[0]; got.Change.Count != want {
			t.Errorf("%s has count %d, want %d", topic, got.Change.Count, want)
		}
	}
	if steps := plan(t, store, findTopics, make([]any, rowsAtOnce)); !slices.Equal(steps, []string{
		"SEARCH topics USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH register USING PRIMARY KEY (name=?) LEFT-JOIN",
	}) {
		t.Errorf("the plan is %q", steps)
	}
}

// A caller of Journal that takes long does not keep SQLite from copying the whole write-ahead log
// into the file.
func TestJournal_CheckpointMeanwhile(t *testing.T) {
	store := openJournal(t)
	topic, err := tally.ParseTopic("default/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	const likes = tally.MaxPortion // the first portion is passed before the last row is read
	assert(t, store, topic, likes, 1)
	tool, err := sql.Open("sqlite", dsn(store.path))
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	passed := 0
	err = store.Journal(t.Context(), tally.Scope{}, 0, math.MaxInt64, func(entries []tally.JournalEntry) error {
		passed += len(entries)
		assert(t, store, topic, likes, 0)
		var busy, frames, copied int
		err := tool.QueryRow(`PRAGMA wal_checkpoint`).Scan(&busy, &frames, &copied)
		if busy != 0 || frames == 0 || copied != frames {
			t.Errorf("%d of %d frames were copied", copied, frames)
		}
		return err
	})
	if err != nil || passed != likes {
		t.Errorf("%d entries passed, error %v", passed, err)
	}
}

// A caller that stops waiting for Journal at any moment does not make later calls fail.
func TestJournal_Cancelled(t *testing.T) {
	store := openJournal(t)
	topic, err := tally.ParseTopic("default/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	assert(t, store, topic, 2000, 1)
	read := func(ctx context.Context) error {
		return store.Journal(ctx, tally.Scope{}, 0, math.MaxInt64, func([]tally.JournalEntry) error { return nil })
	}
	const moments = 300
	began := time.Now()
	if err := read(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	for i := range moments {
		ctx, cancel := context.WithTimeout(t.Context(), took*time.Duration(i)/moments)
		_ = read(ctx)
		cancel()
		if err := read(t.Context()); err != nil {
			t.Fatalf("after a call of %v: %v", took*time.Duration(i)/moments, err)
		}
	}
}

// A caller that stops waiting at any moment leaves no open transaction on a connection.
func TestSnapshot_Cancelled(t *testing.T) {
	store := openJournal(t)
	nothing := func(*sql.Conn) error { return nil }
	for i := range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends with the loop; timers are not as precise
			for began := time.Now(); time.Since(began) < time.Duration(i%200)*500*time.Nanosecond; {
			}
			cancel()
		}()
		_ = snapshot(ctx, store.db, nothing)
		<-ctx.Done()
		if err := snapshot(t.Context(), store.db, nothing); err != nil {
			t.Fatal(err)
		}
	}
}
