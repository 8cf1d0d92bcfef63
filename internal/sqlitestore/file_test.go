package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// refused opens a file that must not be opened: the error contains its name and why, and the
// file does not change.
func refused(t *testing.T, path, why string) error {
	t.Helper()
	before, _ := os.ReadFile(path)
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err == nil {
		t.Fatalf("%s was opened; close: %v", path, store.Close())
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), why) {
		t.Errorf("the error is %q; want %s and %q in it", err, path, why)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Errorf("%s was changed", path)
	}
	return err
}

// made returns the path of a filled, closed database.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tally.db")
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fill(store, 4); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func execute(t testing.TB, path, statement string) {
	t.Helper()
	db := tool(t, path)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestOpen_ForeignFile(t *testing.T) {
	t.Run("a directory", func(t *testing.T) { refused(t, t.TempDir(), "directory") })
	t.Run("a text", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		if err := os.WriteFile(path, []byte("these are my notes, and not counts"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "not an SQLite database")
	})
	t.Run("another program's database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		execute(t, path, `CREATE TABLE topics (name TEXT)`)
		refused(t, path, "another program")
	})
	t.Run("Litestream's tables in a new file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new.db")
		execute(t, path, `CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)`)
		if _, err := fill(open(t, path, catalog(), sqlitestore.Options{}), 1); err != nil {
			t.Error(err)
		}
	})
	t.Run("a newer release's", func(t *testing.T) {
		path := made(t)
		execute(t, path, `PRAGMA user_version = 99`)
		if err := refused(t, path, "99"); !errors.Is(err, sqlitestore.ErrNewer) {
			t.Errorf("%v is not ErrNewer", err)
		}
	})
	t.Run("a newer release's, of which the log alone knows", func(t *testing.T) {
		path := made(t)
		db := tool(t, path)
		defer db.Close()
		if _, err := db.Exec(`PRAGMA user_version = 99`); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(path + "-wal")
		if err != nil || len(log) == 0 {
			t.Fatalf("the log has %d bytes, error %v", len(log), err)
		}
		if err := refused(t, path, "99"); !errors.Is(err, sqlitestore.ErrNewer) {
			t.Errorf("%v is not ErrNewer", err)
		}
		if after, _ := os.ReadFile(path + "-wal"); !bytes.Equal(log, after) {
			t.Error("the log was changed")
		}
	})
	t.Run("below a file", func(t *testing.T) {
		path := made(t)
		_, err := sqlitestore.Open(context.Background(), filepath.Join(path, "tally.db"), catalog(), sqlitestore.Options{})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("without a name", func(t *testing.T) { refused(t, "", "path") })
}

func TestOpen_CorruptFile(t *testing.T) {
	garbage := bytes.Repeat([]byte("garbage!"), 512) // a page
	damage := func(t *testing.T, path string, at int64, with []byte) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(with, at); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the schema", func(t *testing.T) {
		path := made(t)
		damage(t, path, 100, garbage[:2000])
		refused(t, path, "corrupt")
	})
	t.Run("cut off", func(t *testing.T) {
		path := made(t)
		if err := os.Truncate(path, 2000); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "corrupt")
	})
	t.Run("the contents", func(t *testing.T) {
		path := made(t)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		store := open(t, path, catalog(), sqlitestore.Options{})
		for at := int64(len(garbage)); at < info.Size(); at += int64(len(garbage)) {
			damage(t, path, at, garbage)
		}
		reading := store.Read(context.Background(), []tally.Query{{Topic: childTopic(), Member: 1}})[0]
		_, err = fill(store, 1)
		for _, err := range []error{reading.Err, err, store.Health().Err} {
			if err == nil || !strings.Contains(err.Error(), "corrupt") || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %v", err)
			}
		}
	})
}

func TestOpen_ReadOnlyFile(t *testing.T) {
	for _, test := range []struct {
		name            string
		file, directory os.FileMode
	}{{"the file", 0o444, 0o777}, {"the directory", 0o666, 0o555}, {"neither", 0o444, 0o555}} {
		t.Run(test.name, func(t *testing.T) {
			path := made(t)
			if err := os.Remove(path + ".lock"); err != nil {
				t.Fatal(err)
			}
			// The child must be able to reach the file.
			for directory := filepath.Dir(path); directory != filepath.Clean(os.TempDir()); directory = filepath.Dir(directory) {
				if err := os.Chmod(directory, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chmod(path, test.file), os.Chmod(filepath.Dir(path), test.directory)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o755) })
			c := start(t, roleNobody, path)
			if line := c.line(); !strings.Contains(line, path) || !strings.Contains(line, "permission denied") {
				t.Errorf("the process printed %q", line)
			}
		})
	}
}

func TestStore_FullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- store.Run(ctx, idle{}, nil) }() // ends with cancel
	defer func() {
		cancel()
		<-running
	}()
	pages, err := store.LimitPages(ctx, 20)
	if err != nil || pages != 20 {
		t.Fatalf("limit of %d pages, error %v", pages, err)
	}
	acknowledged, err := fill(store, 100)
	var coded *tally.Error
	if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable {
		t.Fatalf("after %d likes: %v", acknowledged, err)
	}
	for _, err := range []error{err, store.Health().Err} {
		if err == nil || !strings.Contains(err.Error(), "there is no room for it on the disk") || !strings.Contains(err.Error(), path) {
			t.Errorf("the error is %v", err)
		}
	}
	state := func() tally.Reading {
		return store.Read(context.Background(), []tally.Query{{Topic: childTopic()}})[0]
	}
	if got := state(); got.Err != nil || got.Change.Count != int64(acknowledged) {
		t.Errorf("%d likes were acknowledged, read %+v", acknowledged, got)
	}
	if _, err := store.LimitPages(ctx, math.MaxInt32); err != nil {
		t.Fatal(err)
	}
	// Health recovers without a write.
	processtest.Eventually(t, "health does not recover", func() bool { return store.Health().Err == nil })
	if _, err := fill(store, 30); err != nil {
		t.Error(err)
	}
	if got := state(); got.Change.Count != 30*tally.MaxBatchWrites {
		t.Errorf("count %d, want %d", got.Change.Count, 30*tally.MaxBatchWrites)
	}
}

// idle is a sink that ignores everything.
type idle struct{}

func (idle) Push(tally.Change)                       {}
func (idle) Settle(read tally.Change) tally.Change   { return read }
func (idle) Newest(tally.Topic) (tally.Change, bool) { return tally.Change{}, false }
func (idle) Stale()                                  {}
func (idle) Live()                                   {}

func TestOpen_AnotherSecret(t *testing.T) {
	path := made(t)
	_, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Secret: []byte("not the one in the file")})
	if !errors.Is(err, sqlitestore.ErrSecret) || !strings.Contains(err.Error(), "--secret") || !strings.Contains(err.Error(), path) {
		t.Errorf("the error is %v", err)
	}
	open(t, path, catalog(), sqlitestore.Options{}) // the refused store holds no lock
}

func TestOpen_SpecialCharacters(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "not", "yet")
	path := filepath.Join(directory, "100% odd?name=1#ü&_pragma=x.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	if _, err := fill(store, 1); err != nil {
		t.Error(err)
	}
	for name, mode := range map[string]os.FileMode{directory: 0o700 | os.ModeDir, path: 0o600, path + "-wal": 0o600, path + ".lock": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v, error %v; want %v", name, info.Mode(), err, mode)
		}
	}
}

func TestClose_OneFile(t *testing.T) {
	path := made(t)
	if info, err := os.Stat(path + "-wal"); err == nil {
		t.Errorf("a write-ahead log of %d bytes remains", info.Size())
	}
	for question, want := range map[string]string{
		`PRAGMA journal_mode`: "wal", `PRAGMA application_id`: "1413565529", `PRAGMA user_version`: "7",
		`SELECT site || ' ' || metric || ' ' || key || ' ' || count FROM topics`: "default likes killed 2048",
		`SELECT count(*) FROM contributions`:                                     "2048",
		`PRAGMA integrity_check`:                                                 "ok",
		`SELECT count(*) FROM pragma_foreign_key_check`:                          "0",
	} {
		if got := query[string](t, path, question); got != want {
			t.Errorf("%s is %s, want %s", question, got, want)
		}
	}
}

func TestStore_Closed(t *testing.T) {
	store, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "tally.db"), catalog(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Close(), store.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	_, writing := fill(store, 1)
	reading := store.Read(context.Background(), []tally.Query{{Topic: childTopic()}})[0].Err
	for _, err := range []error{writing, reading} {
		var coded *tally.Error
		if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable {
			t.Errorf("after Close: %v", err)
		}
	}
}
