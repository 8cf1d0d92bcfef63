package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// job is a transaction that waits for the writer.
type job struct {
	ctx context.Context
	// run returns the changes to publish after the commit. It may run after its caller
	// returned, so it uses nothing of the caller's.
	run  func(w *writer) ([]tally.Change, error)
	done chan error // has capacity 1
}

// update runs a transaction on the writer's goroutine. It returns when the transaction is on
// disk and published, was rolled back, or ctx ended. In the last case the transaction is
// applied only if its commit had begun.
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
			if !errors.Is(err, tally.ErrFrozen) { // not a fault of the file
				s.writeFault.record(err)
			}
			if err == nil {
				s.feed.publish(changes...)
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
	// Fixed after prepare.
	conn             *sql.Conn
	catalog          *tally.Catalog
	now              func() time.Time
	journalRetention time.Duration // 0: no journal
	finalVersions    *finalVersions

	sweepDue bool // the transaction left rows for the sweep
	numbering
	buffer journalBuffer
	rules  ruleRecorder

	prepared []*sql.Stmt // all that follow

	begin, commit, rollback *sql.Stmt

	findTopic, makeTopic, setTopic *sql.Stmt

	addContribution, dropContribution *sql.Stmt
	contributed, setContribution      *sql.Stmt
	addSeen, removeSeen               *sql.Stmt
	addJournalRow, addJournalRows     *sql.Stmt
	getEntries, setEntries            *sql.Stmt
	probed                            *sql.Stmt
}

// prepare prepares the statements.
func (w *writer) prepare(ctx context.Context) error {
	for _, statement := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&w.begin, `BEGIN IMMEDIATE`},
		{&w.commit, `COMMIT`},
		{&w.rollback, `ROLLBACK`},
		// Always one row, of zeros for a missing topic, which may have a mark.
		{&w.findTopic, `SELECT coalesce(id, 0), coalesce(count, 0), coalesce(version, 0), coalesce(seed, 0), coalesce(adjustment, 0), coalesce(options, ''), coalesce(value, '')
			FROM (SELECT ?1 AS site, ?2 AS metric, ?3 AS key) AS asked
			LEFT JOIN topics USING (site, metric, key)
			LEFT JOIN register ON name = '` + markPrefix + `' || asked.site || '/' || asked.metric || '/' || asked.key`},
		{&w.makeTopic, `INSERT INTO topics (id, site, metric, key, count, version) VALUES (?, ?, ?, ?, 0, 0)`},
		{&w.setTopic, `UPDATE topics SET count = ?, version = ?, seed = ?, adjustment = ?, options = ? WHERE id = ?`},
		{&w.addContribution, `INSERT INTO contributions (topic, member, amount) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`},
		{&w.dropContribution, `DELETE FROM contributions WHERE topic = ? AND member = ? RETURNING amount`},
		{&w.contributed, `SELECT amount FROM contributions WHERE topic = ? AND member = ?`},
		{&w.setContribution, `UPDATE contributions SET amount = ? WHERE topic = ? AND member = ?`},
		{&w.addSeen, `INSERT INTO seen (window_end, topic, member) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`},
		{&w.addJournalRow, `INSERT INTO journal (minute, n, topic, entries) VALUES (?, ?, ?, ?)`},
		{&w.removeSeen, `DELETE FROM seen WHERE window_end = ? AND topic = ? AND member = ?`},
		{&w.addJournalRows, `INSERT INTO journal (minute, n, topic, entries) VALUES (?, ?, ?, ?)` +
			strings.Repeat(`, (?, ?, ?, ?)`, rowsAtOnce-1)},
		{&w.getEntries, `SELECT entries FROM journal WHERE minute = ? AND n = ? AND topic = ?`},
		{&w.setEntries, `UPDATE journal SET entries = ? WHERE minute = ? AND n = ?`},
		{&w.probed, `INSERT INTO meta (name, value) VALUES ('probed', ?) ON CONFLICT DO UPDATE SET value = excluded.value`},
	} {
		prepared, err := w.conn.PrepareContext(ctx, statement.query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", statement.query, err)
		}
		*statement.into = prepared
		w.prepared = append(w.prepared, prepared)
	}
	return w.loadNumbering(ctx)
}

// close closes the statements and the connection. An open statement would keep the file
// open, and SQLite from its last checkpoint.
func (w *writer) close() (err error) {
	for _, statement := range w.prepared {
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
	if _, err := w.begin.ExecContext(j.ctx); err != nil {
		// The transaction may have begun just before the context ended.
		_, _ = w.rollback.Exec()
		if j.ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errBusy, err)
		}
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			// This fails if SQLite rolled back already, as on a full disk.
			_, _ = w.rollback.Exec()
		}
	}()
	w.rules.added = nil
	if changes, err = j.run(w); err != nil {
		return nil, err
	}
	if err := j.ctx.Err(); err != nil {
		return nil, err // nothing is applied after the deadline
	}
	if _, err := w.commit.Exec(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	w.rules.committed()
	return changes, nil
}
