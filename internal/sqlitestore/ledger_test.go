package sqlitestore_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// edit applies an edit.
func edit(t *testing.T, store *sqlitestore.Store, e tally.Edit) tally.Edit {
	t.Helper()
	edits := []tally.Edit{e}
	store.Edit(context.Background(), edits)
	if edits[0].Err != nil {
		t.Fatal(edits[0].Err)
	}
	return edits[0]
}

// like applies one contribution.
func like(t *testing.T, store *sqlitestore.Store, topic tally.Topic, member tally.Member) tally.Batch {
	t.Helper()
	batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: member, Source: 7, Amount: 1, MayCreate: true}}}}
	store.Apply(context.Background(), batches)
	if batches[0].Err != nil {
		t.Fatal(batches[0].Err)
	}
	return batches[0]
}

// journal returns all entries.
func journal(t *testing.T, reader interface {
	Journal(context.Context, tally.Scope, int64, int64, func([]tally.JournalEntry) error) error
}) (entries []tally.JournalEntry) {
	t.Helper()
	err := reader.Journal(context.Background(), tally.Scope{}, 0, 1<<40, func(some []tally.JournalEntry) error {
		entries = append(entries, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// madeByVersion1 returns the path of a file of the first release.
func madeByVersion1(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.db")
	script, err := os.ReadFile("migration/0001_topics.sql")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, path, `PRAGMA journal_mode = wal`)
	execute(t, path, string(script)+`
		PRAGMA application_id = 1413565529;
		PRAGMA user_version = 1;
		INSERT INTO meta VALUES ('secret', x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff');
		INSERT INTO topics VALUES (3, 'default', 'likes', 'page', 2, 1700000000000001), (9, 'default', 'claps', 'page', 7, 1700000000000002);
		INSERT INTO contributions VALUES (3, 5, 1), (3, -6, 1), (9, 5, 7);`)
	return path
}

func TestOpen_FirstRelease(t *testing.T) {
	path := madeByVersion1(t)
	var log bytes.Buffer
	store := open(t, path, catalog(), sqlitestore.Options{Journal: week, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "from=1 to=7") {
		t.Errorf("the log does not say that the file is updated: %s", log.String())
	}
	if secret, err := store.Secret(); err != nil || secret[1] != 0x11 || len(secret) != 32 {
		t.Errorf("the secret is %x, error %v", secret, err)
	}
	likes, claps := mustTopic(t, "likes", "page"), mustTopic(t, "claps", "page")
	minus6 := ^tally.Member(5)
	readings := store.Read(context.Background(), []tally.Query{{Topic: likes, Member: minus6}, {Topic: claps, Member: 5}})
	for i, want := range []tally.Reading{
		{Change: tally.Change{Topic: likes, Count: 2, Version: 1700000000000001}, Mine: 1},
		{Change: tally.Change{Topic: claps, Count: 7, Version: 1700000000000002}, Mine: 7},
	} {
		if readings[i] != want {
			t.Errorf("read %v, want %v", readings[i], want)
		}
	}
	if got := like(t, store, likes, 5); got.Writes[0].Changed {
		t.Error("a known visitor is new")
	}
	if got := edit(t, store, tally.Edit{Topic: likes, Kind: tally.EditSeed, Value: 40}); got.After.Count != 42 || got.Before.Seed != 0 || got.Before.Adjustment != 0 {
		t.Errorf("seeded from %v to %v", got.Before, got.After)
	}
	if got := like(t, store, mustTopic(t, "likes", "new"), 1); got.Count != 1 {
		t.Errorf("a new topic is %+v", got)
	}
	if version := query[int](t, path, `PRAGMA user_version`); version != 7 {
		t.Errorf("its schema is %d", version)
	}
}

// TestSweep_EmptyTopic resets and deletes topics with more rows than one transaction of the
// sweep removes, and closes the store during the sweep.
func TestSweep_EmptyTopic(t *testing.T) {
	const batches = 5 // 2,560 rows
	path := filepath.Join(t.TempDir(), "tally.db")
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []tally.EditKind{tally.EditReset, tally.EditDelete} {
		if _, err := fill(store, batches); err != nil {
			t.Fatal(err)
		}
		if got := edit(t, store, tally.Edit{Topic: childTopic(), Kind: kind}); got.Before.Count != batches*tally.MaxBatchWrites || got.After.Count != 0 {
			t.Fatalf("emptied from %v to %v", got.Before, got.After)
		}
	}
	if err := store.Close(); err != nil { // during the sweep
		t.Fatal(err)
	}
	store = open(t, path, catalog(), sqlitestore.Options{})
	processtest.Eventually(t, "contributions of a topic that is gone stay", func() bool { return query[int](t, path, `SELECT EXISTS (SELECT 1 FROM contributions)`) == 0 })
	processtest.Eventually(t, "it is never done", func() bool { return query[int](t, path, `SELECT count(*) FROM dropped`) == 0 })
	if n := query[int](t, path, `SELECT count(*) FROM pragma_foreign_key_check`); n != 0 {
		t.Errorf("%d rows refer to missing topics", n)
	}
	if got := like(t, store, childTopic(), 1); got.Count != 1 || !got.Writes[0].Created {
		t.Errorf("filled again it is %+v", got)
	}
}

// TestEdit_NewIDAfterDelete deletes the newest topic, whose id SQLite would use again, while
// its journal and windows are still stored.
func TestEdit_NewIDAfterDelete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	for round := range 3 {
		store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Journal: week})
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range []string{"likes", "views"} {
			topic := mustTopic(t, metric, fmt.Sprint(round))
			if entries := journal(t, store); len(entries) != 0 {
				t.Fatalf("round %d: the journal of missing topics is %v", round, entries)
			}
			if got := like(t, store, topic, 1); !got.Writes[0].Changed || got.Count != 1 {
				t.Errorf("round %d: a new topic has a member of another: %+v", round, got)
			}
			if entries := journal(t, store); len(entries) != 1 || entries[0].Topic != topic {
				t.Errorf("round %d: the journal is %v", round, entries)
			}
			edit(t, store, tally.Edit{Topic: topic, Kind: tally.EditDelete})
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSweep_Journal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	now := newClock()
	for _, test := range []struct {
		name    string
		journal time.Duration
		rows    int // that remain
	}{{"kept", week, 300}, {"shorter", time.Hour, 100}, {"off", 0, 0}} {
		store, err := sqlitestore.Open(context.Background(), path, catalog(),
			sqlitestore.Options{Journal: test.journal, Now: now.read})
		if err != nil {
			t.Fatal(err)
		}
		if test.journal == week {
			for hour := range 3 {
				for member := range 100 {
					like(t, store, mustTopic(t, "likes", fmt.Sprint(hour)), tally.Member(member+1))
				}
				if hour < 2 {
					now.advance(2 * time.Hour)
				}
			}
		}
		if test.journal == 0 {
			now.advance(time.Minute)
			like(t, store, mustTopic(t, "likes", "without"), 1)
		}
		// The store sweeps when it is opened.
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		store = open(t, path, catalog(), sqlitestore.Options{Journal: test.journal, Now: now.read})
		processtest.Eventually(t, test.name+": the file keeps too much or too little", func() bool { return query[int](t, path, `SELECT count(*) FROM journal`) == test.rows })
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAuditLog_Immutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	if err := store.AppendAudit(context.Background(), tally.AuditEntry{At: time.Now(), Actor: "a", Action: "set"}); err != nil {
		t.Fatal(err)
	}
	db := tool(t, path)
	defer db.Close()
	for _, statement := range []string{`UPDATE audit SET actor = 'b'`, `DELETE FROM audit`} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s succeeded", statement)
		}
	}
}

// TestDump_ConcurrentWrites writes during a dump. The dump reads its snapshot, and SQLite
// checkpoints the write-ahead log afterwards.
func TestDump_ConcurrentWrites(t *testing.T) {
	const batches = 3
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	if _, err := fill(store, batches); err != nil {
		t.Fatal(err)
	}
	dumped := 0
	err := store.Dump(context.Background(), tally.Scope{}, func(p tally.Portion) error {
		if dumped == 0 {
			for member := range tally.Member(100) {
				like(t, store, childTopic(), member+1)
			}
			if got := edit(t, store, tally.Edit{Topic: childTopic(), Kind: tally.EditReset}); got.Before.Count != batches*tally.MaxBatchWrites+100 {
				t.Errorf("during the dump: %v", got.Before)
			}
		}
		dumped += len(p.Contributions)
		return nil
	})
	if err != nil || dumped != batches*tally.MaxBatchWrites {
		t.Errorf("%d of %d contributions were dumped, error %v", dumped, batches*tally.MaxBatchWrites, err)
	}
	processtest.Eventually(t, "the reset is not done", func() bool { return query[int](t, path, `SELECT EXISTS (SELECT 1 FROM contributions)`) == 0 })
	db := tool(t, path)
	defer db.Close()
	var busy, pages, folded int
	processtest.Eventually(t, "the log is held by a reader that is gone", func() bool {
		err := db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &folded)
		return err == nil && busy == 0
	})
}

// TestList_Index checks that SQLite uses an index for lists and dumps.
func TestList_Index(t *testing.T) {
	db := tool(t, made(t))
	defer db.Close()
	for _, statement := range []string{
		`SELECT id FROM topics WHERE true AND metric <> 'readers' AND (site, metric, topics.key) > ('a', 'b', 'c') ORDER BY site, metric, topics.key LIMIT 10`,
		`SELECT id FROM topics WHERE true AND site = 'a' AND metric = 'b' AND topics.key >= 'x' AND topics.key < 'y' AND (site, metric, topics.key) > ('a', 'b', 'xx') ORDER BY site, metric, topics.key LIMIT 10`,
		`SELECT member, amount FROM contributions WHERE topic = 7 ORDER BY member`,
		`SELECT member, 1 FROM seen WHERE topic = 7 AND window_end = 8 ORDER BY member`,
		`SELECT minute FROM journal WHERE minute < 7 ORDER BY minute LIMIT 10`,
	} {
		rows, err := db.Query(`EXPLAIN QUERY PLAN ` + statement)
		if err != nil {
			t.Fatal(err)
		}
		plan := details(t, rows)
		if slices.ContainsFunc(plan, func(step string) bool { return step[:4] == "SCAN" || step[:8] == "USE TEMP" }) {
			t.Errorf("%s: %q", statement, plan)
		}
	}
}

func details(t *testing.T, rows *sql.Rows) (plan []string) {
	t.Helper()
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	return plan
}

// TestEdit_UndeclaredMetric checks that topics of a metric that is not declared any more can
// be emptied and deleted: prune and forget work on all topics of the file.
func TestEdit_UndeclaredMetric(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	metrics := tally.DefaultMetrics()
	metrics["stars"] = tally.Rule{Kind: tally.Toggle, Max: 1}
	store := open(t, path, tally.NewCatalog(nil, metrics), sqlitestore.Options{Journal: week})
	stars := mustTopic(t, "stars", "page")
	like(t, store, stars, 1)
	like(t, store, stars, 2)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(t, path, catalog(), sqlitestore.Options{Journal: week})
	if got := edit(t, store, tally.Edit{Topic: stars, Kind: tally.EditWithdraw, Members: []tally.Member{1}}); !got.Changed || got.After.Count != 1 {
		t.Errorf("withdrawn: %+v", got)
	}
	if got := edit(t, store, tally.Edit{Topic: stars, Kind: tally.EditDelete}); !got.Changed || got.Before.Count != 1 {
		t.Errorf("deleted: %+v", got)
	}
}
