package sqlitestore

import (
	"context"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// sweepEvery is the time between two looks for what has become too old.
	sweepEvery = time.Minute
	// maxSweepBatch is how many rows one transaction removes: some milliseconds.
	maxSweepBatch = 2000
)

// sweep removes, in small portions, contributions of topics that are gone, and
// what is older than it is kept. It goes on after a crash where it was.
func (s *Store) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-s.sweeps:
		case <-tick.C:
		case <-pause.C:
		case <-s.closing:
			return
		}
		began := time.Now()
		if s.sweepSome() {
			// Half of the writer's time is left to others.
			pause.Reset(time.Since(began))
		}
	}
}

// sweepSome removes a portion. It tells whether more may be left; what fails is
// tried again at the next look.
func (s *Store) sweepSome() (more bool) {
	var due bool
	err := s.db.QueryRow(`SELECT EXISTS (SELECT 1 FROM dropped)
		OR EXISTS (SELECT 1 FROM journal WHERE minute < ?) OR EXISTS (SELECT 1 FROM activity WHERE minute < ?)`,
		s.journalBegin(), s.activityBegin()).Scan(&due)
	if err != nil || !due {
		return false
	}
	err = s.update(context.Background(), func(w *writer) ([]tally.Change, error) {
		return nil, w.sweep(s.journalBegin(), s.activityBegin())
	})
	return err == nil
}

// journalBegin returns the first minute that is kept in the journal.
func (r *Reader) journalBegin() int64 { return minuteOf(r.now().Add(-r.journalRetention)) }

// activityBegin returns the first minute of which writes are kept.
func (r *Reader) activityBegin() int64 { return minuteOf(r.now().Add(-tally.ActivityRetention)) }

// minuteOf returns the minutes from 1970 to t.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

func (w *writer) sweep(journal, activity int64) error {
	if err := w.exec(`DELETE FROM journal WHERE (minute, n) IN
		(SELECT minute, n FROM journal WHERE minute < ? ORDER BY minute LIMIT ?)`, journal, maxSweepBatch); err != nil {
		return err
	}
	if err := w.exec(`DELETE FROM activity WHERE minute < ?`, activity); err != nil {
		return err
	}
	result, err := w.conn.ExecContext(context.Background(), `DELETE FROM contributions WHERE (topic, member) IN
		(SELECT topic, member FROM contributions WHERE topic = (SELECT min(topic) FROM dropped) LIMIT ?)`, maxSweepBatch)
	removed, err := rowsAffected(result, err)
	if err != nil {
		return fmt.Errorf("remove contributions of a topic that is gone: %w", err)
	}
	if removed == maxSweepBatch {
		return nil
	}
	// Those of a window end by themselves.
	return w.exec(`DELETE FROM dropped WHERE topic = (SELECT min(topic) FROM dropped)`)
}
