package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// walSuffixes name the files that SQLite keeps beside a database: its write-ahead log and
// that log's index. Beside another database, SQLite would read them as its own.
var walSuffixes = []string{"-wal", "-shm"}

// RestoreResult describes what a [RestoreBackup] did.
type RestoreResult struct {
	Topics int64
	Newest time.Time // of the latest change of a topic; zero if there is no topic
	// Previous is the new name of the database that was replaced; empty if there was none.
	Previous string
}

// RestoreBackup replaces the database at to, which no process may hold, by a copy of the
// backup at from. The replaced database stays beside it under another name. Nothing
// changes until the copy is complete and verified; an interrupted call can be repeated.
// All versions become higher than those of the replaced database, which viewers may have
// seen. progress, which may be nil, receives bytes. Errors, which name the file:
// [ErrLocked], [ErrNewer] and those of the file system.
func RestoreBackup(ctx context.Context, from, to string, progress func(done, total int64)) (done RestoreResult, err error) {
	if err := checkBackup(ctx, from); err != nil {
		return done, err
	}
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
	partial, err := copyNextTo(ctx, from, to, progress)
	defer removeFile(partial)
	if err == nil {
		done, err = verifyBackup(ctx, partial)
	}
	if err == nil {
		err = raiseVersions(ctx, partial, max(time.Now().UnixMicro(), newestVersion(ctx, partial), newestVersion(ctx, to)))
	}
	if err != nil {
		return done, fmt.Errorf("restore %s: %w", from, err)
	}
	done.Previous, err = moveAside(to)
	if err == nil {
		err = os.Rename(partial, to)
	}
	if err == nil {
		err = syncFile(filepath.Dir(to))
	}
	if err != nil {
		return done, fmt.Errorf("restore %s to %s: %w", from, to, err)
	}
	return done, nil
}

// checkBackup returns an error if the file is not a database of ours, or is incomplete
// without its write-ahead log.
func checkBackup(ctx context.Context, path string) error {
	if info, err := os.Stat(path + walSuffixes[0]); err == nil && info.Size() > 0 {
		return fmt.Errorf("restore %s: a part of it is in %s; make one file of both with `tallycast backup`", path, path+walSuffixes[0])
	}
	return checkExisting(ctx, path)
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// copyNextTo copies the file at from to a synced temporary file in the directory of to.
func copyNextTo(ctx context.Context, from, to string, progress func(done, total int64)) (partial string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	out, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*.partial")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	const step = 4 << 20 // bytes between two reports of progress and checks of the context
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return out.Name(), err
		}
		n, err := io.CopyN(out, in, step)
		if done += n; progress != nil {
			progress(done, max(done, info.Size()))
		}
		if errors.Is(err, io.EOF) {
			return out.Name(), out.Sync()
		}
		if err != nil {
			return out.Name(), err
		}
	}
}

// verifyBackup reads the whole database at path and removes its write-ahead log.
func verifyBackup(ctx context.Context, path string) (found RestoreResult, err error) {
	db, err := sql.Open("sqlite", dsn(path, "mode=ro"))
	if err != nil {
		return found, err
	}
	defer func() {
		err = errors.Join(err, db.Close())
		for _, suffix := range walSuffixes {
			_ = os.Remove(path + suffix)
		}
	}()
	var check string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&check); err != nil {
		return found, explain(err)
	}
	if check != "ok" {
		return found, fmt.Errorf("the backup is damaged: %s", check)
	}
	var newest int64 // version: microseconds
	if err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(max(version), 0) FROM topics`).Scan(&found.Topics, &newest); err != nil {
		return found, explain(err)
	}
	if newest > 0 {
		found.Newest = time.UnixMicro(newest)
	}
	return found, nil
}

// newestVersion returns the highest version that the database at path ever issued, or 0 if
// it cannot be read. It ignores values of a damaged file that are not valid versions.
func newestVersion(ctx context.Context, path string) (newest int64) {
	access := "mode=ro"
	if info, err := os.Stat(path + walSuffixes[0]); err != nil || info.Size() == 0 {
		access = "mode=ro&immutable=1" // leaves no files beside it
	}
	db, err := sql.Open("sqlite", dsn(path, access))
	if err != nil {
		return 0
	}
	defer db.Close()
	const most = 2 * tally.MaxValue
	_ = db.QueryRowContext(ctx, `SELECT max(
		coalesce((SELECT max(version) FROM topics WHERE version <= ?1), 0),
		coalesce((SELECT value FROM meta WHERE name = 'last_version' AND value <= ?1), 0))`, int64(most)).Scan(&newest)
	return newest
}

// raiseVersions gives all topics versions above least, in the order of their present ones,
// and makes new topics begin above these.
func raiseVersions(ctx context.Context, path string, least int64) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "_txlock=immediate", pragma("journal_mode", "delete")))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(explain(err), tx.Rollback())
		}
	}()
	result, err := tx.ExecContext(ctx, `UPDATE topics SET version = ? + place
		FROM (SELECT id AS ordered, row_number() OVER (ORDER BY version, id) AS place FROM topics) WHERE id = ordered`, least)
	raised, err := rowsAffected(result, err)
	if err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('last_version', ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, least+raised); err != nil {
		return err
	}
	return tx.Commit()
}

// moveAside renames the database at path, if it exists, with its write-ahead log. The log
// goes first: it must never be beside another database.
func moveAside(path string) (kept string, err error) {
	kept = path + time.Now().UTC().Format(".before-20060102T150405.000Z")
	for _, suffix := range walSuffixes {
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	err = os.Link(path, kept) // the name is never without a database
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		err = os.Rename(path, kept) // a file system without links
	}
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return kept, err
}

// removeFile removes the temporary file, if it still exists.
func removeFile(partial string) {
	if partial != "" {
		_ = os.Remove(partial)
	}
}
