package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tallycast/tallycast/internal/newfile"
	"github.com/tallycast/tallycast/internal/tally"
)

// RestoreResult is the result of [RestoreBackup].
type RestoreResult struct {
	Topics int64
	Newest time.Time // of the latest change of a topic; zero if there is no topic
	// Previous is the new name of the database that was replaced; empty if there was none.
	Previous string
}

// RestoreBackup replaces the database at to, which no process may hold, with a copy of the
// backup at from. The replaced database gets another name. Nothing changes until the copy is
// complete and verified; an interrupted call can be repeated. All versions become higher than
// those of the replaced database, which viewers may have seen. progress, which may be nil, is
// called with numbers of bytes. Errors, which name the file: [ErrLocked], [ErrNewer] and those
// of the file system.
func RestoreBackup(ctx context.Context, from, to string, progress func(done, total int64)) (done RestoreResult, err error) {
	if hasLog(from) {
		return done, fmt.Errorf("restore %s: a part of it is in %s; make one file of both with `tallycast backup`", from, from+walSuffixes[0])
	}
	backup, version, err := openExisting(ctx, from)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, backup.Close()) }()
	if to, err = resolvePath(to); err != nil {
		return done, err
	}
	if sameFile(from, to) {
		return done, fmt.Errorf("restore %s: this is the database itself", from)
	}
	held, err := acquireLock(to)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, held.release()) }()
	file, err := newfile.Create(to, newfile.Options{Replace: true})
	if err != nil {
		return done, err
	}
	defer file.Discard()
	// Version 0 is a file that Litestream copied before the first start created our tables.
	if err = copyDatabase(ctx, backup, file.Name(), progress); err == nil && version > 0 {
		done, err = verifyAndRaise(ctx, file.Name(), version >= historySchema, max(time.Now().UnixMicro(), newestVersion(ctx, to)))
	}
	if err != nil {
		return done, fmt.Errorf("restore %s: %w", from, explain(err))
	}
	if done.Previous, err = moveAside(to); err != nil {
		return done, fmt.Errorf("restore %s to %s: %w", from, to, err)
	}
	return done, file.Commit()
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// historySchema is the version of the schema since which files have a history.
const historySchema = 5

// verifyAndRaise reads the whole copy of a backup at path. Then it gives all topics versions
// above least and above all that the backup issued, in the order of their present ones. New
// topics will get versions above these.
func verifyAndRaise(ctx context.Context, path string, hasHistory bool, least int64) (found RestoreResult, err error) {
	db, err := sql.Open("sqlite", dsn(path, "_txlock=immediate", pragma("journal_mode", "delete")))
	if err != nil {
		return found, err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	var check string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&check); err != nil {
		return found, err
	}
	if check != "ok" {
		return found, fmt.Errorf("the backup is damaged: %s", check)
	}
	var newest int64 // version: microseconds
	if err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(max(version), 0) FROM topics`).Scan(&found.Topics, &newest); err != nil {
		return found, err
	}
	if newest > 0 {
		found.Newest = time.UnixMicro(newest)
	}
	issued, err := newestIssued(ctx, db)
	if err != nil {
		return found, err
	}
	least = max(least, issued)
	return found, inTransaction(ctx, db, func(tx *sql.Tx) error {
		for _, period := range periods { // as record does before a version is raised
			if !hasHistory {
				break
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO history (topic, period, number, gain, adjustment)
				SELECT id, ?1, version / (?1 * 1000000), count - seed - adjustment - prior, adjustment FROM topics
				WHERE prior IS NOT NULL AND version / (?1 * 1000000) < ?2 / (?1 * 1000000)
				ON CONFLICT DO UPDATE SET gain = excluded.gain, adjustment = excluded.adjustment`, period, least); err != nil {
				return err
			}
		}
		raised, err := rowsAffected(tx.ExecContext(ctx, `UPDATE topics SET version = ? + place
			FROM (SELECT id AS ordered, row_number() OVER (ORDER BY version, id) AS place FROM topics) WHERE id = ordered`, least))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('last_version', ?)
			ON CONFLICT DO UPDATE SET value = excluded.value`, least+raised)
		return err
	})
}

// newestVersion returns the highest version that the database at path ever issued, or 0 if
// it cannot be read.
func newestVersion(ctx context.Context, path string) int64 {
	access := "mode=ro&immutable=1" // leaves no files beside it
	if hasLog(path) {
		access = "mode=ro"
	}
	db, err := sql.Open("sqlite", dsn(path, access))
	if err != nil {
		return 0
	}
	defer db.Close()
	newest, err := newestIssued(ctx, db)
	if err != nil {
		return 0
	}
	return newest
}

// newestIssued returns the highest version that a database ever issued. It ignores values
// of a damaged file that are not valid versions.
func newestIssued(ctx context.Context, db *sql.DB) (newest int64, err error) {
	const most = 2 * tally.MaxValue
	err = db.QueryRowContext(ctx, `SELECT max(
		coalesce((SELECT max(version) FROM topics WHERE version <= ?1), 0),
		coalesce((SELECT value FROM meta WHERE name = 'last_version' AND value <= ?1), 0))`, int64(most)).Scan(&newest)
	return newest, err
}

// moveAside gives the database at path, if it exists, and its write-ahead log another name,
// which it returns. It renames the log first, which must never be beside another database.
func moveAside(path string) (previous string, err error) {
	previous = path + time.Now().UTC().Format(".before-20060102T150405.000Z")
	for _, suffix := range walSuffixes {
		if err := os.Rename(path+suffix, previous+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	err = os.Link(path, previous) // not Rename, so that path always has a database
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		err = os.Rename(path, previous) // a file system without links
	}
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return previous, err
}
