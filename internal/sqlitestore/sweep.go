package sqlitestore

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// sweepEvery is the time between two searches for expired rows.
	sweepEvery = time.Minute
	// maxSweepBatch bounds the rows that one transaction removes, for a few milliseconds.
	maxSweepBatch = 2000
)

// sweep stores new peaks of presence, and removes contributions of deleted topics, members of
// ended windows, and journal rows, activity and peaks of presence after their retention, in small
// transactions, until Close. It resumes after a crash.
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
		_ = s.storePeaks(context.Background()) // after an error the next sweep stores them
		began := time.Now()
		if s.sweepSome() {
			pause.Reset(time.Since(began)) // so that others get half of the writer's time
		}
	}
}

// sweepSome removes some rows and reports whether more may remain. After an error it
// reports false, and the next sweep tries again.
func (s *Store) sweepSome() (more bool) {
	var due bool
	err := s.db.QueryRow(`SELECT EXISTS (SELECT 1 FROM dropped)
		OR EXISTS (SELECT 1 FROM journal WHERE minute < ?) OR EXISTS (SELECT 1 FROM activity WHERE minute < ?)
		OR EXISTS (SELECT 1 FROM seen WHERE window_end <= ?)
		OR EXISTS (SELECT 1 FROM readers WHERE period = ? AND number < ?) OR EXISTS (SELECT 1 FROM readers WHERE period = ? AND number < ?)`,
		s.journalBegin(), s.activityBegin(), s.now().Unix(),
		tally.Hour, s.peaksBegin(tally.Hour), tally.Day, s.peaksBegin(tally.Day)).Scan(&due)
	if err != nil || !due {
		return false
	}
	err = s.update(context.Background(), func(w *writer) ([]tally.Change, error) {
		return nil, w.sweep(s.journalBegin(), s.activityBegin(), s.peaksBegin)
	})
	return err == nil
}

// journalBegin returns the first minute of the journal's retention.
func (r *Reader) journalBegin() int64 { return minuteOf(r.now().Add(-r.journalRetention)) }

// activityBegin returns the first minute of the activity's retention.
func (r *Reader) activityBegin() int64 { return minuteOf(r.now().Add(-tally.ActivityRetention)) }

// minuteOf returns the minutes from the Unix epoch to t.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// peaksBegin returns the number of the first period of the retention of presence peaks.
func (r *Reader) peaksBegin(period tally.Period) int64 {
	if r.historyRetention == 0 {
		return 0 // the history is off now; when it is on again, the peaks are still there
	}
	return firstNumber(period, r.historyRetention, r.now())
}

func (w *writer) sweep(journal, activity int64, peaks func(tally.Period) int64) error {
	if err := w.exec(`DELETE FROM journal WHERE (minute, n) IN
		(SELECT minute, n FROM journal WHERE minute < ? ORDER BY minute LIMIT ?)`, journal, maxSweepBatch); err != nil {
		return err
	}
	if err := w.exec(`DELETE FROM activity WHERE minute < ?`, activity); err != nil {
		return err
	}
	if err := w.exec(`DELETE FROM seen WHERE (window_end, topic, member) IN
		(SELECT window_end, topic, member FROM seen WHERE window_end <= ? LIMIT ?)`, w.now().Unix(), maxSweepBatch); err != nil {
		return err
	}
	for _, period := range periods {
		if err := w.exec(`DELETE FROM readers WHERE (topic, period, number) IN
			(SELECT topic, period, number FROM readers WHERE period = ? AND number < ? LIMIT ?)`,
			period, peaks(period), maxSweepBatch); err != nil {
			return err
		}
	}
	removed, err := w.execRows(`DELETE FROM contributions WHERE (topic, member) IN
		(SELECT topic, member FROM contributions WHERE topic = (SELECT min(topic) FROM dropped) LIMIT ?)`, maxSweepBatch)
	if err != nil || removed == maxSweepBatch {
		return err
	}
	if err := w.exec(`DELETE FROM history WHERE topic = (SELECT min(topic) FROM dropped)`); err != nil {
		return err
	}
	return w.exec(`DELETE FROM dropped WHERE topic = (SELECT min(topic) FROM dropped)`)
}
