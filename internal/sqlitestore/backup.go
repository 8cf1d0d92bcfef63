package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// copiedPages is how many pages a step of a backup copies: 256 KB, less than a millisecond,
// after which it tells of its progress and heeds its context.
const copiedPages = 64

// Backup copies the database at from to a new file, which holds everything that was
// acknowledged before Backup was called, is complete when it gets its name, and may
// be opened as it is. It may be called beside a service that holds the file and
// goes on writing; it refuses to overwrite. progress, which may be nil, is told how
// many of how many bytes were copied.
func Backup(ctx context.Context, from, to string, progress func(done, total int64)) (err error) {
	if err := existing(ctx, from); err != nil {
		return err
	}
	if err := vacant(to); err != nil {
		return err
	}
	// What is in it is nobody else's business: the file is its owner's alone.
	file, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*.partial")
	if err != nil {
		return fmt.Errorf("back up to %s: %w", to, err)
	}
	partial := file.Name()
	defer func() {
		if err != nil {
			_ = os.Remove(partial)
		}
	}()
	if err := file.Close(); err != nil {
		return fmt.Errorf("back up to %s: %w", to, err)
	}
	reader := &Reader{path: from}
	if err := reader.open(); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	err = reader.snapshot(ctx, func(conn *sql.Conn) error { return copyPages(ctx, conn, partial, progress) })
	if err = errors.Join(err, reader.Close()); err != nil {
		return fmt.Errorf("back up %s to %s: %w", from, to, explain(err))
	}
	if err := finish(partial, to); err != nil {
		return fmt.Errorf("back up to %s: %w", to, err)
	}
	return nil
}

// vacant tells whether nothing has that name yet.
func vacant(to string) error {
	_, err := os.Lstat(to)
	switch {
	case err == nil:
		return fmt.Errorf("back up to %s: %w; a backup overwrites nothing", to, os.ErrExist)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("back up: %w", err)
	}
	return nil
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
			if more, err = backup.Step(copiedPages); err != nil {
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

// finish gives the finished file its name, unless something has got it meanwhile,
// and has both on disk when it returns.
func finish(partial, to string) error {
	if err := syncFile(partial); err != nil {
		return err
	}
	if err := os.Link(partial, to); err == nil {
		if err := os.Remove(partial); err != nil {
			return err
		}
	} else {
		// A file system without links, such as that of a memory stick.
		if err := vacant(to); err != nil {
			return err
		}
		if err := os.Rename(partial, to); err != nil {
			return err
		}
	}
	return syncFile(filepath.Dir(to))
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
