package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"modernc.org/sqlite"

	"github.com/tallycast/tallycast/internal/newfile"
)

// backupPages is the number of pages that a step of a backup copies before it reports
// progress and checks its context: 256 KB, less than a millisecond.
const backupPages = 64

// walSuffixes are the suffixes of the files that SQLite keeps beside a database: its
// write-ahead log and the index of that log. Beside another database, SQLite would read them as
// parts of that one.
var walSuffixes = []string{"-wal", "-shm"}

// hasLog reports whether the write-ahead log beside the database at path has content.
func hasLog(path string) bool {
	info, err := os.Stat(path + walSuffixes[0])
	return err == nil && info.Size() > 0
}

// Backup copies the database at from, to which a service may write at the same time, to the new
// file to. The copy contains everything acknowledged before the call, gets its name when it is
// complete, and can be opened as it is. With replace it replaces an existing file, unless that
// is one of the files of from. progress, which may be nil, is called with numbers of bytes.
// Errors: [os.ErrExist] without replace, and those of the file system.
func Backup(ctx context.Context, from, to string, replace bool, progress func(done, total int64)) (err error) {
	db, _, err := openExisting(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if hasLog(to) {
		return fmt.Errorf("back up to %s: %s exists and would be read as part of the backup; choose another name", to, to+walSuffixes[0])
	}
	file, err := newfile.Create(to, newfile.Options{Replace: replace, Keep: Files(from)})
	if err != nil {
		return err
	}
	defer file.Discard()
	if err := copyDatabase(ctx, db, file.Name(), progress); err != nil {
		return fmt.Errorf("back up %s to %s: %w", from, to, explain(err))
	}
	return file.Commit()
}

// Files returns the names of the files of a database at path, which may not all exist.
func Files(path string) []string {
	files := []string{path, path + lockSuffix}
	for _, suffix := range walSuffixes {
		files = append(files, path+suffix)
	}
	return files
}

// copyDatabase copies db to the empty file to. It copies one snapshot, since SQLite restarts a
// copy after another program's write. The caller syncs a complete file and removes an incomplete
// one.
func copyDatabase(ctx context.Context, db *sql.DB, to string, progress func(done, total int64)) error {
	return snapshot(ctx, db, func(conn *sql.Conn) error {
		var pageSize int64
		// Reading the schema begins the snapshot, which BEGIN alone does not.
		if err := conn.QueryRowContext(ctx, `SELECT page_size FROM pragma_page_size, (SELECT count(*) FROM sqlite_schema)`).Scan(&pageSize); err != nil {
			return err
		}
		return conn.Raw(func(driverConn any) (err error) {
			source, ok := driverConn.(interface {
				NewBackup(string) (*sqlite.Backup, error)
			})
			if !ok {
				return fmt.Errorf("the SQL driver (%T) cannot make backups", driverConn)
			}
			backup, err := source.NewBackup(dsn(to, pragma("journal_mode", "off"), pragma("synchronous", "off")))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, backup.Finish()) }()
			for more := true; more; {
				if err := ctx.Err(); err != nil {
					return err
				}
				if more, err = backup.Step(backupPages); err != nil {
					return err
				}
				if progress != nil {
					total := int64(backup.PageCount())
					progress((total-int64(backup.Remaining()))*pageSize, total*pageSize)
				}
			}
			return nil
		})
	})
}
