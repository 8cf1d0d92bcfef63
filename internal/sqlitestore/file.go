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

// magic is how every SQLite file begins (sqlite.org/fileformat.html, 1.3).
const magic = "SQLite format 3\x00"

// resolvePath returns the one name by which a database is known, following links, so
// that two names of one file share a lock. It makes the directory if missing.
func resolvePath(path string) (string, error) {
	if path == "" {
		return "", errors.New("open: the database has no path")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	// What visitors did is nobody else's business on a shared machine.
	if err := os.MkdirAll(filepath.Dir(absolute), 0o700); err != nil {
		return "", fmt.Errorf("open %s: make its directory: %w", path, err)
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
		return "", fmt.Errorf("open %s: it is a directory; name a file in it, such as %s", path, filepath.Join(path, "tallycast.db"))
	}
	return real, nil
}

// checkFile makes the file if it is missing, and refuses what is not for us without
// changing a byte of it. It is called under the lock.
func checkFile(ctx context.Context, path string) error {
	head, err := openOrCreate(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if len(head) == 0 {
		return nil // new
	}
	if !bytes.Equal(head, []byte(magic)) {
		return fmt.Errorf("open %s: the file is no SQLite database", path)
	}
	return checkSchema(ctx, path)
}

// checkSchema tells why the database at path is not for us. It only reads.
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

// openOrCreate proves that the file can be written, makes it if it is missing, and
// returns its first bytes.
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

// dsn returns the driver's name of the file at path, with parameters.
func dsn(path string, parameters ...string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // of a relative one the first directory would be the URL's authority
	}
	name := url.URL{Scheme: "file", Path: path}
	// _error_rc: no stale messages of earlier errors in later ones.
	return name.String() + "?_error_rc=1&" + strings.Join(parameters, "&")
}

// pragma is a parameter of [dsn].
func pragma(name, value string) string {
	return "_pragma=" + url.QueryEscape(name+"("+value+")")
}
