package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// TestStore_Killed kills several processes, one after the other, that write to one file: no
// acknowledged like is lost, and each count is the sum of its contributions.
func TestStore_Killed(t *testing.T) {
	for _, role := range []string{roleWrite, roleRevert} {
		t.Run(role, func(t *testing.T) { testKilled(t, role) })
	}
}

func testKilled(t *testing.T, role string) {
	const rounds, likes = 3, 1000
	path := filepath.Join(t.TempDir(), "tally.db")
	var queries []tally.Query // of all acknowledged likes
	written := 0              // at most, in all rounds
	for round := range rounds {
		c := start(t, role, path)
		for n := range likes {
			var writer, like int
			if _, err := fmt.Sscan(c.line(), &writer, &like); err != nil {
				t.Fatalf("round %d, like %d: %v", round, n, err)
			}
			queries = append(queries, tally.Query{Topic: childTopic(), Member: memberOf(c.Process.Pid, writer, like)})
		}
		_ = c.Process.Kill()
		written += likes + writers // unacknowledged ones may have been applied
		for c.line() != "" {       // printed before the end
			written++
		}
		_ = c.Wait()
	}
	store := open(t, path, catalog(), sqlitestore.Options{})
	for from := 0; from < len(queries); from += 1000 {
		for i, reading := range store.Read(context.Background(), queries[from:min(from+1000, len(queries))]) {
			if reading.Err != nil || reading.Mine != 1 {
				t.Fatalf("acknowledged like %d is missing: %+v", from+i, reading)
			}
			if n := reading.Change.Count; n < int64(len(queries)) || n > int64(written) {
				t.Fatalf("the count is %d; %d likes were acknowledged, %d begun", n, len(queries), written)
			}
		}
	}
	if wrong := query[int](t, path, `SELECT count(*) FROM topics WHERE count <> (SELECT coalesce(sum(amount), 0) FROM contributions WHERE topic = id)`); wrong != 0 {
		t.Errorf("%d topics have another count than the sum of their contributions", wrong)
	}
	if got := query[string](t, path, `PRAGMA integrity_check`); got != "ok" {
		t.Errorf("integrity check: %s", got)
	}
}

// query reads the file as an SQLite tool does, while the store may be open.
func query[T any](t *testing.T, path, question string) (answer T) {
	t.Helper()
	db := tool(t, path)
	defer db.Close()
	if err := db.QueryRow(question).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

// tool opens the file as another program does.
func tool(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func TestOpen_SecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	c := start(t, roleHold, path)
	if line := c.line(); line != "open" {
		t.Fatal(line)
	}
	link := filepath.Join(t.TempDir(), "another name of it")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := sqlitestore.Open(context.Background(), name, catalog(), sqlitestore.Options{})
		if !errors.Is(err, sqlitestore.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", c.Process.Pid)) || !strings.Contains(err.Error(), path) {
			t.Errorf("a second process: %v", err)
		}
	}
	query[int](t, path, `SELECT count(*) FROM topics`) // readers are not locked out

	c.kill() // which releases its lock
	store := open(t, path, catalog(), sqlitestore.Options{})
	if _, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{}); !errors.Is(err, sqlitestore.ErrLocked) {
		t.Errorf("a second store in one process: %v", err)
	}
	if _, err := fill(store, 1); err != nil { // the refused store released nothing
		t.Error(err)
	}
}

func TestStore_LockedByAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	db := tool(t, path)
	defer db.Close()
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	batches := []tally.Batch{{Topic: childTopic(), Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	store.Apply(ctx, batches)
	var coded *tally.Error
	if !errors.As(batches[0].Err, &coded) || coded.Code != tally.CodeStoreUnavailable {
		t.Errorf("apply to a locked file: %v", batches[0].Err)
	}
	if readings := store.Read(context.Background(), []tally.Query{{Topic: childTopic()}}); readings[0].Err != nil || readings[0].Change.Count != 0 {
		t.Errorf("read of a locked file: %+v", readings[0])
	}
	health := func() error { return store.Health().Err }
	processtest.Eventually(t, "health says nothing of the lock", func() bool { return health() != nil })
	if err := health(); err != nil && !strings.Contains(err.Error(), "another program keeps the file locked") {
		t.Errorf("health: %v", err)
	}
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	store.Apply(context.Background(), batches)
	if batches[0].Err != nil || batches[0].Count != 1 || health() != nil {
		t.Errorf("after the lock: count %d, error %v, health %v", batches[0].Count, batches[0].Err, health())
	}
}

func TestStore_DiskError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	c := start(t, roleLimited, path)
	line := c.line()
	t.Log(line)
	if err := c.Wait(); err != nil || !strings.Contains(line, "the disk failed") || !strings.Contains(line, path) {
		t.Errorf("the process ended with %v and printed %q", err, line)
	}
}
