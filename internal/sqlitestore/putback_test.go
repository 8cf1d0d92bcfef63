package sqlitestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
)

// copyFile copies a file as a person does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestABackupIsPutBackOverWhatWasLeft(t *testing.T) {
	path := made(t)
	directory := t.TempDir()
	backup, to := filepath.Join(directory, "backup.db"), filepath.Join(directory, "tally.db")
	if err := sqlitestore.Backup(context.Background(), path, backup, false, nil); err != nil {
		t.Fatal(err)
	}
	want := query[int64](t, backup, `SELECT sum(count) FROM topics`)

	// Where nothing was.
	if done, err := sqlitestore.PutBack(context.Background(), backup, to, nil); err != nil || done.Kept != "" || done.Topics == 0 || time.Since(done.Newest) > time.Hour {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := query[int64](t, to, `SELECT sum(count) FROM topics`); got != want {
		t.Errorf("%d, want %d", got, want)
	}

	// Over a database that was damaged, and a log that is another's: read as its own it
	// would spoil what is put back.
	if err := os.WriteFile(to, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.WriteFile(to+suffix, []byte("of another"+suffix), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told := int64(0)
	done, err := sqlitestore.PutBack(context.Background(), backup, to, func(done, total int64) { told = done })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(to); err != nil || told != info.Size() {
		t.Errorf("%d bytes were told of, %v", told, err)
	}
	for suffix, was := range map[string]string{"": "no database", "-wal": "of another-wal"} {
		if text, err := os.ReadFile(done.Kept + suffix); string(text) != was {
			t.Errorf("%s has %q, %v", done.Kept+suffix, text, err)
		}
	}
	if _, err := os.Stat(to + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log is left: %v", err)
	}
	if got, check := query[int64](t, to, `SELECT sum(count) FROM topics`), query[string](t, to, `PRAGMA integrity_check`); got != want || check != "ok" {
		t.Errorf("%d, want %d; integrity check: %s", got, want, check)
	}
	if left, _ := filepath.Glob(filepath.Join(directory, "*.partial*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestWhatCannotBePutBackChangesNothing(t *testing.T) {
	path := made(t)
	directory := t.TempDir()
	backup, to := filepath.Join(directory, "backup.db"), filepath.Join(directory, "tally.db")
	if err := sqlitestore.Backup(context.Background(), path, backup, false, nil); err != nil {
		t.Fatal(err)
	}
	copyFile(t, backup, to)
	damaged, text, split := filepath.Join(directory, "damaged.db"), filepath.Join(directory, "numbers.jsonl"), filepath.Join(directory, "split.db")
	copyFile(t, backup, damaged)
	if err := os.Truncate(damaged, 8192); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte(`{"tallycast":"export"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, backup, split)
	if err := os.WriteFile(split+"-wal", []byte("the rest"), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, says := range map[string]string{
		damaged: "damaged.db", text: "numbers.jsonl", split: "tallycast backup", to: "the database itself", filepath.Join(directory, "missing.db"): "no such file",
	} {
		if done, err := sqlitestore.PutBack(context.Background(), from, to, nil); err == nil || done.Kept != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: kept %q, does not say %q: %v", from, done.Kept, says, err)
		}
	}
	store := open(t, to, catalog(), sqlitestore.Options{})
	if _, err := sqlitestore.PutBack(context.Background(), backup, to, nil); !errors.Is(err, sqlitestore.ErrLocked) {
		t.Errorf("over a database that is held: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := sqlitestore.PutBack(ended, backup, to, nil); err == nil {
		t.Error("it went on after its context ended")
	}
	if names, _ := filepath.Glob(filepath.Join(directory, "*.before-*")); len(names) > 0 {
		t.Errorf("%v was set aside", names)
	}
}
