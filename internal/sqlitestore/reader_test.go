package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// beside opens a reader until the test ends.
func beside(t *testing.T, path string) *sqlitestore.Reader {
	t.Helper()
	reader, err := sqlitestore.OpenReader(context.Background(), path, catalog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	})
	return reader
}

func TestOpenReader_BesideStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{Journal: week})
	reader := beside(t, path)
	topic := mustTopic(t, "likes", "page")
	like(t, store, topic, 1)
	ctx := context.Background()
	err := errors.Join(
		tally.SetSetting(ctx, store, "name", "value"),
		store.AppendAudit(ctx, tally.AuditEntry{At: time.Now(), Actor: "a", Action: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	dumped := 0
	err = reader.Dump(ctx, tally.Scope{}, func(p tally.Portion) error {
		dumped += len(p.Contributions)
		like(t, store, mustTopic(t, "likes", "meanwhile"), 2)
		return nil
	})
	if err != nil || dumped != 1 {
		t.Errorf("%d contributions, error %v", dumped, err)
	}
	if page, err := reader.List(ctx, tally.Listing{Limit: 5}); err != nil || len(page.States) != 2 {
		t.Errorf("listed are %v, error %v", page, err)
	}
	if entries := journal(t, reader); len(entries) != 2 {
		t.Errorf("the journal is %v", entries)
	}
	if settings, err := reader.Settings(ctx); err != nil || settings["name"] != "value" {
		t.Errorf("the settings are %v, error %v", settings, err)
	}
	if entries, _, err := reader.AuditLog(ctx, "", 5); err != nil || len(entries) != 1 {
		t.Errorf("the audit log is %v, error %v", entries, err)
	}
	if usage, err := reader.Usage(ctx, 0); err != nil || len(usage.Sites) != 1 || usage.Sites[0].Contributions != 2 {
		t.Errorf("the usage is %v, error %v", usage, err)
	}
	mine, _ := store.Secret()
	if secret, err := reader.Secret(); err != nil || !bytes.Equal(secret, mine) {
		t.Errorf("another secret, error %v", err)
	}
}

func TestOpenReader_Refused(t *testing.T) {
	directory := t.TempDir()
	text := filepath.Join(directory, "notes.txt")
	empty := filepath.Join(directory, "empty.db")
	if err := errors.Join(os.WriteFile(text, []byte(strings.Repeat("notes ", 1000)), 0o600), os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	newer := made(t)
	execute(t, newer, `PRAGMA user_version = 99`)
	other := filepath.Join(directory, "other.db")
	execute(t, other, `CREATE TABLE topics (name TEXT)`)
	for path, want := range map[string]error{
		filepath.Join(directory, "missing.db"): os.ErrNotExist,
		directory:                              nil, text: nil, empty: nil, other: nil,
		newer:             sqlitestore.ErrNewer,
		madeByVersion1(t): sqlitestore.ErrOlder,
	} {
		reader, err := sqlitestore.OpenReader(context.Background(), path, catalog())
		if err == nil {
			t.Errorf("%s was opened; close: %v", path, reader.Close())
			continue
		}
		if !strings.Contains(err.Error(), path) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", path, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(directory, "missing.db")); err == nil {
		t.Error("a reader created a file")
	}
}
