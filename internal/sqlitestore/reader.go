package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// Reader serves the owner's reads, each from one snapshot of the file. It takes no lock, so a
// service may have the file open. It is safe for concurrent use.
type Reader struct {
	// Fixed after construction.
	path             string
	catalog          *tally.Catalog
	now              func() time.Time
	secret           []byte
	journalRetention time.Duration // 0 shows all entries
	historyRetention time.Duration // 0: no history
	db               *sql.DB
	// conflict is the error if the catalog's rules conflict with the rules in the file.
	// While it is not nil, all reads and writes fail.
	conflict error

	readFault fault
}

// OpenReader opens the database at path for reading. A service may have it open. OpenReader
// changes and creates nothing. Errors, which name the file: [ErrNewer], [ErrOlder], a rule of
// a metric that conflicts with its data, and those of the file system.
func OpenReader(ctx context.Context, path string, catalog *tally.Catalog) (*Reader, error) {
	db, version, err := openExisting(ctx, path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, catalog: catalog, now: time.Now, historyRetention: tally.MaxHistory}
	r.use(db)
	if version < len(migrations) {
		err = ErrOlder
	} else if err = r.checkRules(ctx); err == nil {
		err = db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'secret'`).Scan(&r.secret)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(explain(err), r.Close()))
	}
	return r, nil
}

// use sets the connections for the owner's reads.
func (r *Reader) use(db *sql.DB) {
	r.db = db
	db.SetMaxOpenConns(maxOwnerReads)
	db.SetMaxIdleConns(1)
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

// Close closes the file.
func (r *Reader) Close() error { return r.db.Close() }

// Secret returns a copy of the key of the visitor hash.
func (r *Reader) Secret() ([]byte, error) { return slices.Clone(r.secret), nil }

// reading runs a read. It records the error in Health and returns it as an error of the store,
// unless it is a [stopError].
func (r *Reader) reading(ctx context.Context, what string, read func() error) error {
	if r.conflict != nil {
		return tally.Unavailable(r.conflict)
	}
	err := ctx.Err()
	if err == nil {
		err = read()
		if stopped, ok := errors.AsType[stopError](err); ok {
			return stopped.error
		}
		r.readFault.record(err)
	}
	if err != nil {
		return r.unavailable("read "+what+" from", err)
	}
	return nil
}

// stopError is an error of a caller's function. It ends a read that did not fail.
type stopError struct{ error }

// stopping wraps each so that its errors are [stopError]s.
func stopping[T any](each func(T) error) func(T) error {
	return func(value T) error {
		if err := each(value); err != nil {
			return stopError{err}
		}
		return nil
	}
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
func snapshot(ctx context.Context, db *sql.DB, read func(conn *sql.Conn) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// With ctx, the driver may return an error after the transaction began.
	if _, err := conn.ExecContext(context.Background(), "BEGIN"); err != nil {
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
