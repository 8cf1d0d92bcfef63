package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// magic begins every SQLite file (sqlite.org/fileformat.html, 1.3).
const magic = "SQLite format 3\x00"

// resolvePath returns the canonical path of a database, following links, so that two names
// of one file share a lock. It creates the directory if it is missing.
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

// checkFile creates a missing file, and refuses one that is not ours without changing it.
// The caller holds the lock.
func checkFile(ctx context.Context, path string) error {
	head, err := openOrCreate(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if len(head) == 0 {
		return nil // new
	}
	if !bytes.Equal(head, []byte(magic)) {
		return fmt.Errorf("open %s: the file is not an SQLite database", path)
	}
	return checkSchema(ctx, path)
}

// checkSchema returns an error if the database at path is not ours. It only reads.
func checkSchema(ctx context.Context, path string) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "mode=ro"))
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	_, err = schemaVersion(ctx, db, len(scripts))
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return nil
}

// openOrCreate opens the file for writing, creates it if it is missing, and returns its
// first bytes.
func openOrCreate(path string) (head []byte, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which the caller names
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	head = make([]byte, len(magic))
	n, err := io.ReadFull(file, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
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
