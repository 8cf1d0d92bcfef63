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

// backupPages is how many pages a step of a backup copies: 256 KB, less than a millisecond,
// after which it tells of its progress and heeds its context.
const backupPages = 64

// Backup copies the database at from to a new file, which holds everything that was
// acknowledged before Backup was called, is complete when it gets its name, and may
// be opened as it is. It may be called beside a service that holds the file and
// goes on writing. With replace a file that is called to is replaced, unless it belongs
// to from. progress, which may be nil, is told how many of how many bytes were copied.
// Errors: [os.ErrExist] without replace, and those of the file system.
func Backup(ctx context.Context, from, to string, replace bool, progress func(done, total int64)) (err error) {
	if err := checkExisting(ctx, from); err != nil {
		return err
	}
	if info, err := os.Stat(to + walSuffixes[0]); err == nil && info.Size() > 0 {
		return fmt.Errorf("back up to %s: %s is there and would be read as a part of the backup; choose another name", to, to+walSuffixes[0])
	}
	file, err := newfile.Create(to, newfile.Options{Replace: replace, Keep: Files(from)})
	if err != nil {
		return err
	}
	defer file.Discard()
	reader := &Reader{path: from}
	if err := reader.open(); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	err = reader.snapshot(ctx, func(conn *sql.Conn) error { return copyPages(ctx, conn, file.Name(), progress) })
	if err = errors.Join(err, reader.Close()); err != nil {
		return fmt.Errorf("back up %s to %s: %w", from, to, explain(err))
	}
	return file.Commit()
}

// Files returns the names of the files that a database at path consists of, whether
// they exist or not.
func Files(path string) []string {
	files := []string{path, path + lockSuffix}
	for _, suffix := range walSuffixes {
		files = append(files, path+suffix)
	}
	return files
}

// copyPages copies what the transaction of conn sees. Since that is of one moment,
// the copy need not begin anew when somebody writes.
func copyPages(ctx context.Context, conn *sql.Conn, to string, progress func(done, total int64)) error {
	var pageSize int64
	// The schema is read to begin the transaction, which waits for its first reading.
	if err := conn.QueryRowContext(ctx, `SELECT page_size FROM pragma_page_size, (SELECT count(*) FROM sqlite_schema)`).Scan(&pageSize); err != nil {
		return err
	}
	return conn.Raw(func(driverConn any) (err error) {
		source, ok := driverConn.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("the SQL driver (%T) makes no backups", driverConn)
		}
		// The file is synced at its end; a copy that breaks off is removed.
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
}

// syncFile has a file, or the names in a directory, written to the disk.
func syncFile(name string) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}
