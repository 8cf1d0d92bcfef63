package sqlitestore

import (
	"cmp"
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
	// err is the error of a job that joined a transaction and failed alone. The writer owns it.
	err error
}

// update runs a transaction on the writer's goroutine. It returns when the transaction is on
// disk and published, when it was rolled back, or when ctx ends. In the last case the
// transaction is applied only if run had returned.
func (s *Store) update(ctx context.Context, run func(w *writer) ([]tally.Change, error)) error {
	return s.updateUntil(ctx, ctx.Done(), run)
}

// updateUntil is update, but once the writer has the transaction it waits for the end until givenUp is closed,
// not until ctx ends. A nil channel never is.
func (s *Store) updateUntil(ctx context.Context, givenUp <-chan struct{}, run func(w *writer) ([]tally.Change, error)) error {
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
	case <-givenUp:
		return s.unavailable("write (without waiting for its end)", ctx.Err())
	}
}

// write is the writer's goroutine; it ends with Close.
func (s *Store) write() {
	for {
		j := s.writer.takeNext()
		if j == nil {
			select {
			case j = <-s.jobs:
			case <-s.closing:
				return
			}
		}
		jobs, changes, err := s.writer.transact(j)
		if err == nil {
			s.feed.publish(changes...) // they are stored, acknowledged or not
			s.gains.add(changes)
			// After the commit, which may have taken long.
			err = checkLease(s.leaseFile)
		}
		if s.writer.sweepDue { // notify after the commit, which makes the rows visible
			s.writer.sweepDue = false
			notify(s.sweeps)
		}
		for _, j := range jobs {
			err := cmp.Or(j.err, err)
			if !errors.Is(err, tally.ErrFrozen) { // which is no fault of the file
				s.writeFault.record(err)
			}
			j.done <- err
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

	jobs <-chan *job
	next *job // taken by isAwaited
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

// isAwaited reports whether another job waits. It takes that job, which then runs after the current
// one in the same transaction, so that it does not wait for two commits. Long jobs call isAwaited
// and end early.
func (w *writer) isAwaited() bool {
	if w.next == nil {
		select {
		case w.next = <-w.jobs:
		default:
		}
	}
	return w.next != nil
}

// takeNext returns the job that isAwaited took, nil if there is none.
func (w *writer) takeNext() *job {
	j := w.next
	w.next = nil
	return j
}

// transact runs j in a transaction, and in the same one the job that j found waiting with isAwaited.
// It returns the jobs that it ran and the changes to publish. If j fails, the other job does not
// run. Only BEGIN waits, for locks of other programs, and uses the context; the other statements
// are short, and a context would cost each a goroutine.
func (w *writer) transact(j *job) (jobs []*job, changes []tally.Change, err error) {
	jobs = []*job{j}
	if err := j.ctx.Err(); err != nil {
		return jobs, nil, err
	}
	begin, err := w.statement(`BEGIN IMMEDIATE`)
	if err != nil {
		return jobs, nil, err
	}
	if _, err := begin.ExecContext(j.ctx); err != nil {
		// The transaction may have begun just before the context ended.
		_ = w.exec(`ROLLBACK`)
		if j.ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errBusy, err)
		}
		return jobs, nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			// This fails if SQLite rolled back already, as on a full disk.
			_ = w.exec(`ROLLBACK`)
		}
	}()
	w.rules.added = nil
	if changes, err = w.run(j); err != nil {
		return jobs, nil, err
	}
	if next := w.takeNext(); next != nil {
		jobs = append(jobs, next)
		more, err := w.join(next)
		if err != nil {
			return jobs, nil, err
		}
		changes = append(changes, more...)
	}
	began := time.Now()
	if err := w.exec(`COMMIT`); err != nil {
		return jobs, nil, err
	}
	w.commitTook = time.Since(began)
	w.rules.committed()
	return jobs, changes, nil
}

// run runs a job within a transaction. Nothing is applied after its deadline.
func (w *writer) run(j *job) (changes []tally.Change, err error) {
	if changes, err = j.run(w); err != nil {
		return nil, err
	}
	return changes, j.ctx.Err()
}

// join runs j in the transaction of another job. If j fails, that undoes the changes of j alone and
// sets j.err. An error is one of the whole transaction.
func (w *writer) join(j *job) (changes []tally.Change, err error) {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil, nil
	}
	if err := w.exec(`SAVEPOINT next`); err != nil {
		return nil, err
	}
	rules := len(w.rules.added)
	if changes, j.err = w.run(j); j.err != nil {
		changes, w.rules.added = nil, w.rules.added[:rules]
		if err := w.exec(`ROLLBACK TO next`); err != nil {
			return nil, errors.Join(j.err, err) // j.err ended the transaction
		}
	}
	return changes, w.exec(`RELEASE next`)
}
