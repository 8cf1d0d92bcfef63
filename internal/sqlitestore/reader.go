package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxOwnerReads bounds the connections for the owner's reads, which may be long. Visitors'
// reads have other connections.
const maxOwnerReads = 16

// ErrOlder is the error if an earlier release wrote the file and no later one opened it for
// writing.
var ErrOlder = errors.New("the database is of an earlier release; starting `tallycast serve` of this release updates it")

// Reader serves the owner's reads, each from one snapshot of the file. It takes no lock, so
// that a service may hold the file. It is safe for concurrent use.
type Reader struct {
	// Fixed after construction.
	path             string
	catalog          *tally.Catalog
	now              func() time.Time
	secret           []byte
	journalRetention time.Duration // 0 shows all entries
	db               *sql.DB
	// conflict is one between the catalog's rules and those in the file; while it is not
	// nil, all reads and writes fail.
	conflict error

	readFault fault
}

// OpenReader opens the database at path for reading; a service may hold it. It changes and
// creates nothing. It also returns an error if a metric has another rule than its data.
// Errors, which name the file: [ErrNewer], [ErrOlder] and those of the file system.
func OpenReader(ctx context.Context, path string, catalog *tally.Catalog) (_ *Reader, err error) {
	if err := checkExisting(ctx, path); err != nil {
		return nil, err
	}
	r := &Reader{path: path, catalog: catalog, now: time.Now}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, errors.Join(explain(err), r.Close()))
		}
	}()
	scripts, err := migrations()
	if err != nil {
		return nil, err
	}
	version, err := schemaVersion(ctx, r.db, len(scripts))
	if err != nil {
		return nil, err
	}
	if version < len(scripts) {
		return nil, ErrOlder
	}
	if err := r.checkRules(ctx); err != nil {
		return nil, err
	}
	return r, r.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'secret'`).Scan(&r.secret)
}

// checkRules compares the catalog's rules with those in the file.
func (r *Reader) checkRules(ctx context.Context) error {
	stored, err := storedRules(ctx, r.db)
	if err != nil {
		return err
	}
	r.catalog.AdoptRules(stored)
	for _, metric := range r.catalog.Metrics() {
		if _, conflict := stored.Conflict(metric, r.catalog.MetricRule(metric), true); conflict != nil {
			return conflict
		}
	}
	return nil
}

// checkExisting returns an error if the file is missing or not ours.
func checkExisting(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed):
		return fmt.Errorf("open %s: %w", path, failed.Err)
	case err != nil:
		return fmt.Errorf("open %s: %w", path, err)
	case info.IsDir():
		return fmt.Errorf("open %s: it is a directory", path)
	case info.Size() == 0:
		return fmt.Errorf("open %s: the file is empty", path)
	}
	return checkSchema(ctx, path)
}

// open opens the connections for the owner's reads.
func (r *Reader) open() (err error) {
	r.db, err = sql.Open("sqlite", dsn(r.path,
		"mode=ro", pragma("busy_timeout", busyMillis), pragma("query_only", "on")))
	if err != nil {
		return err
	}
	r.db.SetMaxOpenConns(maxOwnerReads)
	r.db.SetMaxIdleConns(1)
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.db.Close() }

// Secret returns a copy of the key of the visitor hash.
func (r *Reader) Secret() ([]byte, error) { return slices.Clone(r.secret), nil }

// reading runs a read for the owner. It records its error and returns it as the store's.
func (r *Reader) reading(ctx context.Context, what string, read func() error) error {
	if r.conflict != nil {
		return tally.Unavailable(r.conflict)
	}
	err := ctx.Err()
	if err == nil {
		err = read()
		r.readFault.record(err)
	}
	if err != nil {
		return r.unavailable("read "+what+" from", err)
	}
	return nil
}

// rowQuerier is a connection, a pool of connections, or a transaction.
type rowQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// eachRow runs a query and calls scan for each row, until an error.
func eachRow(ctx context.Context, db rowQuerier, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	return scanRows(rows, err, scan)
}

// scanRows calls scan for each row of a query, whose error is err, and closes the rows.
func scanRows(rows *sql.Rows, err error, scan func(rows *sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// snapshot runs read on its own connection, in one transaction, so that it reads one
// snapshot of the file.
func (r *Reader) snapshot(ctx context.Context, read func(conn *sql.Conn) error) (err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		_, end := conn.ExecContext(context.Background(), "ROLLBACK")
		err = errors.Join(err, end)
	}()
	return read(conn)
}

// unavailable returns the error of an operation on the file that failed.
func (r *Reader) unavailable(operation string, err error) error {
	return tally.Unavailable(fmt.Errorf("%s %s: %w", operation, r.path, explain(err)))
}
