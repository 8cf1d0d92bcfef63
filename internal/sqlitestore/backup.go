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

// Backup copies the database at from, to which a service may write at the same time, to
// the new file to. The copy contains everything acknowledged before the call, gets its
// name when it is complete, and can be opened as it is. With replace it replaces an
// existing file, unless that belongs to from. progress, which may be nil, receives bytes.
// Errors: [os.ErrExist] without replace, and those of the file system.
func Backup(ctx context.Context, from, to string, replace bool, progress func(done, total int64)) (err error) {
	if err := checkExisting(ctx, from); err != nil {
		return err
	}
	if info, err := os.Stat(to + walSuffixes[0]); err == nil && info.Size() > 0 {
		return fmt.Errorf("back up to %s: %s exists and would be read as part of the backup; choose another name", to, to+walSuffixes[0])
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

// Files returns the names of the files that a database at path may consist of.
func Files(path string) []string {
	files := []string{path, path + lockSuffix}
	for _, suffix := range walSuffixes {
		files = append(files, path+suffix)
	}
	return files
}

// copyPages copies the snapshot that the transaction of conn reads, so that writes of
// others do not restart the copy.
func copyPages(ctx context.Context, conn *sql.Conn, to string, progress func(done, total int64)) error {
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
		// The caller syncs a complete file and removes an incomplete one.
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

// syncFile syncs a file, or the names in a directory, to the disk.
func syncFile(name string) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}
