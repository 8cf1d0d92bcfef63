package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// resolvePath returns the canonical path of a database. It follows symbolic links, so that two
// names of one file share a lock. It creates the directory if it is missing.
func resolvePath(path string) (string, error) {
	if path == "" {
		return "", errors.New("open: the path of the database is empty")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	// Other users of the machine may not read what visitors did.
	if err := os.MkdirAll(filepath.Dir(absolute), 0o700); err != nil {
		return "", fmt.Errorf("open %s: create its directory: %w", path, err)
	}
	real, err := filepath.EvalSymlinks(absolute)
	if errors.Is(err, os.ErrNotExist) {
		directory, err := filepath.EvalSymlinks(filepath.Dir(absolute))
		if err != nil {
			return "", fmt.Errorf("open %s: %w", path, err)
		}
		return filepath.Join(directory, filepath.Base(absolute)), nil
	}
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	if info, err := os.Stat(real); err == nil && info.IsDir() {
		return "", fmt.Errorf("open %s: it is a directory; give the path of a file in it, such as %s", path, filepath.Join(path, "tallycast.db"))
	}
	return real, nil
}

// openOrCreate is openReadOnly for a file that will be written. It creates the file if it
// is missing. The caller holds the lock.
func openOrCreate(ctx context.Context, path string) (*sql.DB, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Unwrap(err))
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db, _, err := openReadOnly(ctx, path)
	return db, err
}

// openExisting is openReadOnly for a file that must exist and have content.
func openExisting(ctx context.Context, path string) (db *sql.DB, version int, err error) {
	info, err := os.Stat(path)
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed):
		return nil, 0, fmt.Errorf("open %s: %w", path, failed.Err)
	case err != nil:
		return nil, 0, fmt.Errorf("open %s: %w", path, err)
	case info.IsDir():
		return nil, 0, fmt.Errorf("open %s: it is a directory", path)
	case info.Size() == 0:
		return nil, 0, fmt.Errorf("open %s: the file is empty", path)
	}
	return openReadOnly(ctx, path)
}

// openReadOnly opens the database at path for reading and returns the version of its schema, 0
// for an empty file. It changes nothing. It returns an error if another program wrote the file.
func openReadOnly(ctx context.Context, path string) (db *sql.DB, version int, err error) {
	db, err = sql.Open("sqlite", dsn(path, "mode=ro", pragma("busy_timeout", busyMillis)))
	if err == nil {
		version, err = schemaVersion(ctx, db)
	}
	if err != nil {
		if db != nil {
			err = errors.Join(explain(err), db.Close())
		}
		return nil, 0, fmt.Errorf("open %s: %w", path, err)
	}
	return db, version, nil
}

// dsn returns the driver's data source name of the file at path.
func dsn(path string, parameters ...string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // the first directory of a relative path would be the URL's authority
	}
	name := url.URL{Scheme: "file", Path: path}
	// _error_rc keeps messages of earlier errors out of later ones.
	return name.String() + "?_error_rc=1&" + strings.Join(parameters, "&")
}

// pragma returns a parameter of [dsn].
func pragma(name, value string) string {
	return "_pragma=" + url.QueryEscape(name+"("+value+")")
}
