package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// job is a transaction that waits for the writer.
type job struct {
	ctx context.Context
	// run returns the changes to publish after the commit. It may run after the caller of
	// update returned, so it uses no variable that the caller may change.
	run  func(w *writer) ([]tally.Change, error)
	done chan error // has capacity 1
}

// update runs a transaction on the writer's goroutine. It returns when the transaction is on
// disk and published, when it was rolled back, or when ctx ends. In the last case the
// transaction is applied only if its commit had begun.
func (s *Store) update(ctx context.Context, run func(w *writer) ([]tally.Change, error)) error {
	if err := ctx.Err(); err != nil {
		return s.unavailable("write", err)
	}
	if s.conflict != nil {
		return tally.Unavailable(s.conflict)
	}
	j := &job{ctx: ctx, run: run, done: make(chan error, 1)}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return s.unavailable("wait to write", ctx.Err())
	case <-s.closing:
		return s.unavailable("write", errClosed)
	}
	select {
	case err := <-j.done:
		if errors.Is(err, tally.ErrFrozen) {
			return tally.ErrFrozen
		}
		if err != nil {
			return s.unavailable("write", err)
		}
		return nil
	case <-ctx.Done():
		return s.unavailable("write (without waiting for its end)", ctx.Err())
	}
}

// write is the writer's goroutine; it ends with Close.
func (s *Store) write() {
	for {
		select {
		case j := <-s.jobs:
			changes, err := s.writer.transact(j)
			if err == nil {
				s.feed.publish(changes...) // they are stored, acknowledged or not
				s.gains.add(changes)
				// After the commit, which may have taken long.
				err = checkLease(s.leaseFile)
			}
			if !errors.Is(err, tally.ErrFrozen) { // which is no fault of the file
				s.writeFault.record(err)
			}
			if s.writer.sweepDue { // notify after the commit, which makes the rows visible
				s.writer.sweepDue = false
				notify(s.sweeps)
			}
			j.done <- err
		case <-s.closing:
			return
		}
	}
}

// writer is the connection that writes, with its prepared statements. One goroutine calls
// its methods, within a transaction.
type writer struct {
	// Fixed after construction.
	conn             *sql.Conn
	catalog          *tally.Catalog
	now              func() time.Time
	journalRetention time.Duration // 0: no journal
	historyRetention time.Duration // 0: no history
	finalVersions    *finalVersions

	sweepDue   bool          // the transaction left rows for the sweep
	commitTook time.Duration // the last commit
	numbering
	buffer journalBuffer
	rules  ruleRecorder

	statements map[string]*sql.Stmt // by their text
}

// statement returns the prepared statement of a query, whose text is constant.
func (w *writer) statement(query string) (*sql.Stmt, error) {
	if prepared := w.statements[query]; prepared != nil {
		return prepared, nil
	}
	prepared, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	w.statements[query] = prepared
	return prepared, nil
}

// exec runs a statement.
func (w *writer) exec(query string, args ...any) error {
	_, err := w.execRows(query, args...)
	return err
}

// execRows runs a statement and returns the number of rows that it inserted, changed or
// removed.
func (w *writer) execRows(query string, args ...any) (int64, error) {
	statement, err := w.statement(query)
	if err != nil {
		return 0, err
	}
	n, err := rowsAffected(statement.Exec(args...))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	return n, nil
}

// rowsAffected returns the number of rows that a statement inserted, changed or removed.
func rowsAffected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// get scans the first row of a query into values. It reports whether there is a row.
func (w *writer) get(query string, args []any, values ...any) (found bool, err error) {
	statement, err := w.statement(query)
	if err != nil {
		return false, err
	}
	err = statement.QueryRow(args...).Scan(values...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w", query, err)
	}
	return true, nil
}

// eachRow calls scan for each row of a query.
func (w *writer) eachRow(query string, args []any, scan func(rows *sql.Rows) error) error {
	statement, err := w.statement(query)
	if err != nil {
		return err
	}
	rows, err := statement.Query(args...)
	if err := scanRows(rows, err, scan); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// close closes the statements and the connection. An open statement would keep the file open,
// and SQLite would not make its last checkpoint.
func (w *writer) close() (err error) {
	for _, statement := range w.statements {
		err = errors.Join(err, statement.Close())
	}
	return errors.Join(err, w.conn.Close())
}

// transact runs j in a transaction. Only BEGIN waits, for locks of other programs, and uses
// the context; the other statements are short, and a context would cost each a goroutine.
func (w *writer) transact(j *job) (changes []tally.Change, err error) {
	if err := j.ctx.Err(); err != nil {
		return nil, err
	}
	begin, err := w.statement(`BEGIN IMMEDIATE`)
	if err != nil {
		return nil, err
	}
	if _, err := begin.ExecContext(j.ctx); err != nil {
		// The transaction may have begun just before the context ended.
		_ = w.exec(`ROLLBACK`)
		if j.ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errBusy, err)
		}
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			// This fails if SQLite rolled back already, as on a full disk.
			_ = w.exec(`ROLLBACK`)
		}
	}()
	w.rules.added = nil
	if changes, err = j.run(w); err != nil {
		return nil, err
	}
	if err := j.ctx.Err(); err != nil {
		return nil, err // nothing is applied after the deadline
	}
	began := time.Now()
	if err := w.exec(`COMMIT`); err != nil {
		return nil, err
	}
	w.commitTook = time.Since(began)
	w.rules.committed()
	return changes, nil
}
