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

// maxOwnerReads bounds the connections that serve the owner's readings, which may be
// long. They are kept apart from those that visitors wait for.
const maxOwnerReads = 16

// ErrOlder says that an earlier release wrote the file, and that it was not opened
// for writing since.
var ErrOlder = errors.New("the database is of an earlier release; `tallycast serve` brings it up to date when it is started with this one")

// Reader is what the owner of the numbers may read, from one snapshot of the file a
// call. It takes no lock: a service may hold the file. It is safe for concurrent use.
type Reader struct {
	// fixed after construction
	path             string
	catalog          *tally.Catalog
	now              func() time.Time
	secret           []byte
	journalRetention time.Duration // how long the journal is; 0 shows all there is
	db               *sql.DB
	// conflict is between the catalog's rules and those in the file: nothing is read and
	// nothing written. Nil: there is none.
	conflict error

	readFault fault
}

// OpenReader opens the database at path to be read, beside a service that may hold
// it. It changes nothing and makes nothing.
// Errors: [ErrNewer], [ErrOlder], [ErrRule] and those of the file system, each naming the file.
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
	kept, err := storedRules(ctx, r.db)
	if err != nil {
		return err
	}
	r.catalog.AdoptRules(kept)
	for _, metric := range r.catalog.Metrics() {
		if _, conflict := kept.Conflict(metric, r.catalog.MetricRule(metric), true); conflict != nil {
			return conflict
		}
	}
	return nil
}

// checkExisting refuses what is not there, or is not for us.
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

// open opens the connections that read for the owner.
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

// reading runs what reads for the owner, and makes of its error what the caller is
// told.
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

// snapshot runs read on a connection of its own, within one transaction: all that it
// reads is of one moment.
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
