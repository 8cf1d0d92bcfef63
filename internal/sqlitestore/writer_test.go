package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// A job that waits for a long one runs in the same transaction. Each fails alone.
func TestUpdate_JoinedJob(t *testing.T) {
	failure := errors.New("no")
	for name, want := range map[string]struct{ first, second error }{
		"both": {}, "the first fails": {first: failure}, "the second fails": {second: failure}, "the second is late": {second: context.Canceled},
	} {
		store := openJournal(t)
		tool, err := sql.Open("sqlite", dsn(store.path))
		if err != nil {
			t.Fatal(err)
		}
		defer tool.Close()
		count := func(metric string) (n int) {
			if err := tool.QueryRow(`SELECT count(*) FROM topics WHERE metric = ?`, metric).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		create := func(w *writer, metric string) ([]tally.Change, error) {
			topic, err := tally.NewTopic("default", metric, "page")
			if err != nil {
				return nil, err
			}
			return w.apply([]tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, second := make(chan struct{}), make(chan error, 1)
		go func() { // ends with its job
			<-began
			second <- store.update(ctx, func(w *writer) ([]tally.Change, error) {
				if want.first == nil && count("likes") != 0 {
					t.Errorf("%s: the first job was committed before the second one", name)
				}
				if _, err := create(w, "claps"); err != nil {
					return nil, err
				}
				if want.second == context.Canceled {
					cancel()
					return nil, nil
				}
				return nil, want.second
			})
		}()
		first := store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
			close(began)
			for !w.isAwaited() {
			}
			if _, err := create(w, "likes"); err != nil {
				return nil, err
			}
			return nil, want.first
		})
		if err := <-second; !errors.Is(err, want.second) || !errors.Is(first, want.first) {
			t.Errorf("%s: errors %v and %v", name, first, err)
		}
		if err := store.update(t.Context(), func(w *writer) ([]tally.Change, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		for metric, failed := range map[string]error{"likes": want.first, "claps": want.second} {
			stored, err := storedRules(t.Context(), tool)
			if err != nil {
				t.Fatal(err)
			}
			if isStored := failed == nil; (count(metric) == 1) != isStored || (stored[metric] != "") != isStored || store.writer.rules.stored[metric] != isStored {
				t.Errorf("%s: %d topics of %s, rules %v", name, count(metric), metric, stored)
			}
		}
	}
}

// If a job that joined a transaction fails and SQLite rolls back all of it, as on a full disk, both
// jobs fail for that reason.
func TestUpdate_JoinedJobEndsTransaction(t *testing.T) {
	store := openJournal(t)
	failure := errors.New("no")
	began, second := make(chan struct{}), make(chan error, 1)
	go func() { // ends with its job
		<-began
		second <- store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
			return nil, cmp.Or(w.exec(`ROLLBACK`), failure)
		})
	}()
	first := store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
		close(began)
		for !w.isAwaited() {
		}
		return nil, nil
	})
	if err := <-second; !errors.Is(first, failure) || !errors.Is(err, failure) {
		t.Errorf("errors %v and %v", first, err)
	}
}
