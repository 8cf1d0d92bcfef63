package sqlitestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// copyFile copies a file without the store.
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

func TestRestoreBackup(t *testing.T) {
	path := made(t)
	directory := t.TempDir()
	backup, to := filepath.Join(directory, "backup.db"), filepath.Join(directory, "tally.db")
	if err := sqlitestore.Backup(context.Background(), path, backup, false, nil); err != nil {
		t.Fatal(err)
	}
	want := query[int64](t, backup, `SELECT sum(count) FROM topics`)

	// To a path without a file.
	if done, err := sqlitestore.RestoreBackup(context.Background(), backup, to, nil); err != nil || done.Previous != "" || done.Topics == 0 || time.Since(done.Newest) > time.Hour {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := query[int64](t, to, `SELECT sum(count) FROM topics`); got != want {
		t.Errorf("%d, want %d", got, want)
	}

	// Over a damaged database with the write-ahead log of another one, which would damage the
	// restored database.
	if err := os.WriteFile(to, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.WriteFile(to+suffix, []byte("of another"+suffix), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reported := int64(0)
	done, err := sqlitestore.RestoreBackup(context.Background(), backup, to, func(done, total int64) { reported = done })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(to); err != nil || reported != info.Size() {
		t.Errorf("%d bytes were reported, %v", reported, err)
	}
	for suffix, was := range map[string]string{"": "no database", "-wal": "of another-wal"} {
		if text, err := os.ReadFile(done.Previous + suffix); string(text) != was {
			t.Errorf("%s has %q, %v", done.Previous+suffix, text, err)
		}
	}
	if _, err := os.Stat(to + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a write-ahead log remains: %v", err)
	}
	if got, check := query[int64](t, to, `SELECT sum(count) FROM topics`), query[string](t, to, `PRAGMA integrity_check`); got != want || check != "ok" {
		t.Errorf("%d, want %d; integrity check: %s", got, want, check)
	}
	if left, _ := filepath.Glob(filepath.Join(directory, "*.partial*")); len(left) > 0 {
		t.Errorf("remaining files: %v", left)
	}
}

func TestRestoreBackup_Refused(t *testing.T) {
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
		if done, err := sqlitestore.RestoreBackup(context.Background(), from, to, nil); err == nil || done.Previous != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: moved aside to %q, %q is not in the error: %v", from, done.Previous, says, err)
		}
	}
	store := open(t, to, catalog(), sqlitestore.Options{})
	if _, err := sqlitestore.RestoreBackup(context.Background(), backup, to, nil); !errors.Is(err, sqlitestore.ErrLocked) {
		t.Errorf("over a locked database: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := sqlitestore.RestoreBackup(ended, backup, to, nil); err == nil {
		t.Error("it continued after its context ended")
	}
	for _, pattern := range []string{"*.before-*", "*.partial*"} {
		if names, _ := filepath.Glob(filepath.Join(directory, pattern)); len(names) > 0 {
			t.Errorf("files: %v", names)
		}
	}
}

// Viewers may have seen any version of the replaced database, which may not be readable. So a
// restore raises all versions above those that it finds and above the present time.
func TestRestoreBackup_RaisesVersions(t *testing.T) {
	path := made(t)
	directory := t.TempDir()
	backup := filepath.Join(directory, "backup.db")
	if err := sqlitestore.Backup(context.Background(), path, backup, false, nil); err != nil {
		t.Fatal(err)
	}
	const order = `SELECT group_concat(site || '/' || metric || '/' || key, ' ') FROM (SELECT * FROM topics ORDER BY version)`
	inOrder := query[string](t, backup, order)
	later := time.Now().Add(time.Hour).UnixMicro()
	for name, replaced := range map[string]func(path string){
		"nothing":   func(string) {},
		"a damaged": func(path string) { copyFile(t, backup, path); _ = os.Truncate(path, 8192) },
		"one that changed after the backup": func(path string) {
			copyFile(t, backup, path)
			execute(t, path, `UPDATE topics SET version = `+strconv.FormatInt(later, 10)+` WHERE id = (SELECT max(id) FROM topics)`)
		},
		"one that changed and was killed": func(path string) {
			// A second connection prevents the checkpoint of the write-ahead log.
			copyFile(t, backup, path)
			held := tool(t, path)
			t.Cleanup(func() { held.Close() })
			if _, err := held.Exec(`PRAGMA journal_mode = wal; UPDATE topics SET version = ` + strconv.FormatInt(later, 10)); err != nil {
				t.Fatal(err)
			}
		},
		"one of which a topic was deleted": func(path string) {
			copyFile(t, backup, path)
			execute(t, path, `INSERT INTO meta VALUES ('last_version', `+strconv.FormatInt(later, 10)+`), ('last_topic', 1)`)
		},
		"one with a version that is none": func(path string) {
			copyFile(t, backup, path)
			execute(t, path, `UPDATE topics SET version = 9000000000000000000 WHERE id = 1`)
		},
		"nothing, by a clock that goes behind": func(string) { execute(t, backup, `UPDATE topics SET version = version + 3600000000`) },
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "tally.db")
			replaced(to)
			least := time.Now().UnixMicro()
			if strings.HasPrefix(name, "one that changed") || strings.HasPrefix(name, "one of which") {
				least = later
			}
			if newest := query[int64](t, backup, `SELECT max(version) FROM topics`); newest > least {
				least = newest
			}
			done, err := sqlitestore.RestoreBackup(context.Background(), backup, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			if newest := query[int64](t, backup, `SELECT max(version) FROM topics`); done.Newest.UnixMicro() != newest {
				t.Errorf("the newest change of the backup is reported as %v, not as %v", done.Newest, time.UnixMicro(newest))
			}
			if _, err := os.Stat(done.Previous + "-shm"); done.Previous != "" && !strings.HasPrefix(name, "one that changed and was killed") && err == nil {
				t.Error("an index of a write-ahead log was created")
			}
			if lowest := query[int64](t, to, `SELECT min(version) FROM topics`); lowest <= least {
				t.Errorf("version %d, at most %d was pushed", lowest, least)
			}
			if got := query[string](t, to, order); got != inOrder {
				t.Errorf("in order of changes %s, want %s", got, inOrder)
			}
			highest := query[int64](t, to, `SELECT max(version) FROM topics`)
			if highest > later+int64(2*time.Hour/time.Microsecond) {
				t.Errorf("version %d", highest)
			}
			// A topic that is not in the backup begins above its replaced version.
			store := open(t, to, catalog(), sqlitestore.Options{})
			batch := []tally.Batch{{Topic: mustTopic(t, "likes", "not-in-the-backup"), Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
			if store.Apply(context.Background(), batch); batch[0].Err != nil || batch[0].Version <= least {
				t.Errorf("a new topic has version %d, %v; at most %d was pushed", batch[0].Version, batch[0].Err, least)
			}
		})
	}
}

// A copy of a new file, to which Litestream alone added its tables, is restored as an empty
// store.
func TestRestoreBackup_LitestreamTablesOnly(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "new.db"), filepath.Join(t.TempDir(), "tally.db")
	execute(t, from, `CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)`)
	if done, err := sqlitestore.RestoreBackup(context.Background(), from, to, nil); err != nil || done.Topics != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := fill(open(t, to, catalog(), sqlitestore.Options{}), 1); err != nil {
		t.Error(err)
	}
}

// The raised versions do not move changes to the time of the restore: history and gains stay.
func TestRestoreBackup_History(t *testing.T) {
	ctx, directory := context.Background(), t.TempDir()
	path, backup, to := filepath.Join(directory, "tally.db"), filepath.Join(directory, "backup.db"), filepath.Join(directory, "restored.db")
	topic := mustTopic(t, "likes", "old")
	options := sqlitestore.Options{History: tally.MaxHistory, Now: func() time.Time { return time.Now().AddDate(0, 0, -10) }}
	store := open(t, path, catalog(), options)
	batch := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	if store.Apply(ctx, batch); batch[0].Err != nil {
		t.Fatal(batch[0].Err)
	}
	if err := sqlitestore.Backup(ctx, path, backup, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitestore.RestoreBackup(ctx, backup, to, nil); err != nil {
		t.Fatal(err)
	}
	options.Now = nil
	store = open(t, to, catalog(), options)
	for _, period := range []tally.Period{tally.Hour, tally.Day} {
		h := store.History(ctx, period, []tally.Topic{topic})[0]
		if points := h.Points(false, period.Max()); h.Err != nil || len(points) < 2 || points[len(points)-2].Count != 1 {
			t.Errorf("by %s: %v, %v", period, points, h.Err)
		}
	}
	if gains, err := store.TopGains(ctx, topic.Site(), topic.Metric(), tally.Since7d, 10); err != nil || len(gains) != 0 {
		t.Errorf("in the last 7 days %v grew, %v", gains, err)
	}
}
