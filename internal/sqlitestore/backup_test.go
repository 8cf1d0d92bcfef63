package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// TestBackup_UnderLoad backs up while another process writes, destroys the file, and opens
// the backup.
func TestBackup_UnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fill(store, 50); err != nil { // several steps of a backup
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	c := start(t, roleWrite, path)
	var queries []tally.Query // of all likes acknowledged before
	for range 200 {
		var writer, like int
		if _, err := fmt.Sscan(c.line(), &writer, &like); err != nil {
			t.Fatal(err)
		}
		queries = append(queries, tally.Query{Topic: childTopic(), Member: memberOf(c.Process.Pid, writer, like)})
	}
	drained := make(chan struct{})
	go func() { // ends with the child
		defer close(drained)
		for c.lines.Scan() {
		}
	}()
	to := filepath.Join(t.TempDir(), "backup of 100%.db")
	steps, last := 0, int64(0)
	err = sqlitestore.Backup(context.Background(), path, to, false, func(done, total int64) {
		if done < last || done > total {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		steps, last = steps+1, done
	})
	_ = c.Process.Kill()
	<-drained
	_ = c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode() != 0o600 || info.Size() != last || steps < 2 {
		t.Errorf("%v, error %v; %d bytes were reported in %d steps", info, err, last, steps)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	restored := open(t, to, catalog(), sqlitestore.Options{})
	for i, reading := range restored.Read(context.Background(), queries) {
		if reading.Err != nil || reading.Mine != 1 {
			t.Fatalf("acknowledged like %d is missing: %+v", i, reading)
		}
	}
	count, sum := query[int64](t, to, `SELECT count FROM topics`), query[int64](t, to, `SELECT sum(amount) FROM contributions`)
	if check := query[string](t, to, `PRAGMA integrity_check`); count != sum || check != "ok" {
		t.Errorf("the count is %d, its contributions are %d; integrity check: %s", count, sum, check)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(to), "*.partial*")); len(names) > 0 {
		t.Errorf("remaining files: %v", names)
	}
}

func TestBackup_Refused(t *testing.T) {
	path := made(t)
	directory := t.TempDir()
	taken := filepath.Join(directory, "taken.db")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlitestore.Backup(context.Background(), path, taken, false, nil); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), taken) {
		t.Errorf("a backup to an existing file: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	to := filepath.Join(directory, "ended.db")
	calls := 0
	err := sqlitestore.Backup(ctx, path, to, false, func(int64, int64) {
		calls++
		cancel()
		// Another process creates a file of that name.
		_ = os.WriteFile(to, []byte("precious"), 0o600)
	})
	if err == nil || calls != 1 {
		t.Errorf("a backup whose context ended after %d steps: %v", calls, err)
	}
	for _, name := range []string{taken, to} {
		if text, err := os.ReadFile(name); string(text) != "precious" {
			t.Errorf("%s became %q, error %v", name, text, err)
		}
	}
	for what, err := range map[string]error{
		"of nothing":               sqlitestore.Backup(context.Background(), filepath.Join(directory, "missing.db"), filepath.Join(directory, "a"), false, nil),
		"of a text":                sqlitestore.Backup(context.Background(), taken, filepath.Join(directory, "a"), false, nil),
		"into a missing directory": sqlitestore.Backup(context.Background(), path, filepath.Join(directory, "no", "a"), false, nil),
	} {
		if err == nil {
			t.Errorf("created the backup %s", what)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(directory, "*")); len(names) != 2 {
		t.Errorf("files: %v", names)
	}
}
