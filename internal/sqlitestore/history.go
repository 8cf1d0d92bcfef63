package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// periods are the periods whose records are stored.
var periods = [...]tally.Period{tally.Hour, tally.Day}

// past has the columns of a topic for its history.
type past struct {
	prior      sql.NullInt64 // NULL before the first recorded change
	isComplete bool
}

// newPast returns the past of a new or emptied topic.
func (w *writer) newPast(isComplete bool) past {
	if w.historyRetention == 0 {
		return past{}
	}
	return past{prior: sql.NullInt64{Valid: true}, isComplete: isComplete}
}

// firstNumber returns the number of the first period within the retention at now.
func firstNumber(period tally.Period, history time.Duration, now time.Time) int64 {
	return period.Number(now.UnixMicro()) - int64(period.Retention(history)) + 1
}

// record stores the former state of r as the record of the hour and of the day of its version,
// if the new version is in a later hour or day.
func (w *writer) record(r *row) error {
	before := r.stored
	r.stored = r.State
	if w.historyRetention == 0 || tally.Hour.Number(before.Version) >= tally.Hour.Number(r.Version) {
		return nil
	}
	if !r.prior.Valid {
		r.past = past{prior: sql.NullInt64{Int64: before.Sum(), Valid: true}}
	}
	if before.Version == 0 {
		return nil
	}
	for _, period := range periods {
		number := period.Number(before.Version)
		if number == period.Number(r.Version) {
			continue
		}
		if err := w.putRecord(r.id, period, tally.Record{Number: number, Sum: before.Sum() - r.prior.Int64, Adjustment: before.Adjustment}); err != nil {
			return err
		}
		// The newest record before the retention stays: the first periods continue it.
		if err := w.exec(`DELETE FROM history WHERE topic = ?1 AND period = ?2 AND number <
			(SELECT max(number) FROM history WHERE topic = ?1 AND period = ?2 AND number <= ?3)`,
			r.id, period, firstNumber(period, w.historyRetention, w.now())); err != nil {
			return err
		}
	}
	return nil
}

// putRecord stores a record, whose Sum is the gain.
func (w *writer) putRecord(topic int64, period tally.Period, r tally.Record) error {
	return w.exec(`INSERT INTO history (topic, period, number, gain, adjustment) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET gain = excluded.gain, adjustment = excluded.adjustment`,
		topic, period, r.Number, r.Sum, r.Adjustment)
}

// mergePast merges imported records into those of r. It ignores records of the period of r's
// version and later ones.
func (w *writer) mergePast(r *row, imported *tally.Past) error {
	for _, period := range periods {
		var own []tally.Record
		err := eachRow(context.Background(), w.conn, `SELECT number, gain, adjustment FROM history WHERE topic = ? AND period = ? ORDER BY number`,
			[]any{r.id, period}, func(rows *sql.Rows) error {
				var record tally.Record
				err := rows.Scan(&record.Number, &record.Sum, &record.Adjustment)
				own = append(own, record)
				return err
			})
		if err != nil {
			return err
		}
		for _, record := range tally.MergeRecords(own, imported.Records(period)) {
			if record.Number >= period.Number(r.Version) {
				break
			}
			if err := w.putRecord(r.id, period, record); err != nil {
				return err
			}
		}
	}
	return nil
}

// lowerRecords lowers the records of a topic since each reverted contribution. taken has the
// sums of these contributions by minute. All records are of periods before that of the topic's
// version.
func (w *writer) lowerRecords(r *row, taken map[int64]int64) error {
	for minute, sum := range taken {
		for _, period := range periods {
			number := minute * 60 / int64(period)
			if number >= period.Number(r.Version) {
				continue
			}
			if err := w.exec(`UPDATE history SET gain = gain - ? WHERE topic = ? AND period = ? AND number >= ?`, sum, r.id, period, number); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepareHistory prepares the statements of [Store.History].
func (s *readStatements) prepareHistory(ctx context.Context, db *sql.DB) (err error) {
	if s.history, err = db.PrepareContext(ctx, historyQuery); err == nil {
		s.readers, err = db.PrepareContext(ctx, readersQuery)
	}
	if err != nil {
		return fmt.Errorf("prepare to read histories: %w", err)
	}
	return nil
}

const (
	// historyQuery has the parameter of the query for topics, see [readStatements.prepare], and
	// the period. An unknown topic has no row. A topic without records has one row.
	historyQuery = `
		SELECT asked.key, count, version, seed, topics.adjustment, options, prior, is_complete, number, gain, history.adjustment
		FROM json_each(?) AS asked
		CROSS JOIN topics ON site = asked.value ->> 0 AND metric = asked.value ->> 1 AND topics.key = asked.value ->> 2
		LEFT JOIN history ON history.topic = topics.id AND period = ?`
	readersQuery = `SELECT number, greatest FROM readers WHERE topic = ? AND period = ? AND number >= ? ORDER BY number`
)

// History implements [tally.HistoryReader].
func (s *Store) History(ctx context.Context, period tally.Period, topics []tally.Topic) []tally.History {
	histories := make([]tally.History, len(topics))
	err := s.reading(ctx, "histories", func() error { return s.readHistories(ctx, period, topics, histories) })
	now := s.now().UnixMicro()
	for i, topic := range topics {
		h := &histories[i]
		if err != nil {
			*h = tally.History{Err: err}
		}
		h.Topic, h.Period, h.Now, h.Retention = topic, period, now, period.Retention(s.historyRetention)
		slices.SortFunc(h.Records, func(a, b tally.Record) int { return cmp.Compare(a.Number, b.Number) })
	}
	return histories
}

func (s *Store) readHistories(ctx context.Context, period tally.Period, topics []tally.Topic, histories []tally.History) error {
	asked, separator := []byte{}, byte('[')
	for i, topic := range topics {
		if s.catalog.Rule(topic).Kind == tally.Presence {
			if err := s.readReaders(ctx, period, topic, &histories[i]); err != nil {
				return err
			}
		}
		asked = appendQuery(append(asked, separator), tally.Query{Topic: topic}, 0)
		separator = ','
	}
	rows, err := s.statements.history.QueryContext(ctx, string(append(asked, ']')), period)
	return scanRows(rows, err, func(rows *sql.Rows) error {
		var at int
		var state tally.State
		var options string
		var past past
		var number, gain, adjustment sql.NullInt64
		if err := rows.Scan(&at, &state.Count, &state.Version, &state.Seed, &state.Adjustment, &options,
			&past.prior, &past.isComplete, &number, &gain, &adjustment); err != nil {
			return err
		}
		h := &histories[at]
		rule := s.catalog.Rule(topics[at])
		if rule.Kind == tally.Presence {
			return nil // the metric had another rule before
		}
		state.Topic = topics[at]
		if err := parseOptions(rule, options, &state); err != nil {
			return err
		}
		h.State, h.Prior = state, state.Sum()
		if s.historyRetention == 0 || !past.prior.Valid {
			return nil
		}
		h.Prior, h.IsComplete = past.prior.Int64, past.isComplete
		if number.Valid {
			h.Records = append(h.Records, tally.Record{Number: number.Int64, Sum: gain.Int64 + h.Prior, Adjustment: adjustment.Int64})
		}
		return nil
	})
}

// readReaders reads the history of a presence topic.
func (s *Store) readReaders(ctx context.Context, period tally.Period, topic tally.Topic, h *tally.History) error {
	h.State = tally.State{Change: s.presence.read(topic)}
	if s.historyRetention == 0 {
		return nil
	}
	now := s.now()
	first := firstNumber(period, s.historyRetention, now)
	pending := s.presence.pending(topic, period, first, period.Number(now.UnixMicro())) // before the stored ones, so that none is missed
	rows, err := s.statements.readers.QueryContext(ctx, topic.String(), period, first)
	if err := scanRows(rows, err, func(rows *sql.Rows) error {
		var r tally.Record
		err := rows.Scan(&r.Number, &r.Sum)
		h.Records = append(h.Records, r)
		return err
	}); err != nil {
		return err
	}
	for _, p := range pending {
		if i := slices.IndexFunc(h.Records, func(r tally.Record) bool { return r.Number == p.Number }); i >= 0 {
			h.Records[i].Sum = max(h.Records[i].Sum, p.Sum)
		} else {
			h.Records = append(h.Records, p)
		}
	}
	return nil
}

// peak is the greatest number of pages in a period.
type peak struct{ number, pages int64 }

// peakKey identifies a row of the table readers.
type peakKey struct {
	topic  tally.Topic
	period tally.Period
	number int64
}

// maxPendingPeaks bounds the peaks that are not stored yet, some MB. There are so many only if
// the file cannot be written for long. Further peaks are lost.
const maxPendingPeaks = 50_000

// pendingPeak is a peak that is not stored yet. So that pages which do not exist cannot fill the
// file, a topic gets a first row only if pages are present in a second hour and the share may
// begin a history.
type pendingPeak struct {
	pages    int64
	mayBegin bool // whether it may be the first row of the topic
}

// raisePeaks makes peaks of the shares that are above the present ones, and reports whether there
// are any to store.
func (p *presence) raisePeaks(shares []tally.Share, now time.Time) (raised bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, set := range shares {
		sh := p.shares[set.Topic]
		if sh == nil || set.Pages == 0 {
			continue
		}
		if hour := sh.peaks[0].number; set.MayRecord && !sh.isLasting && hour != 0 && hour != tally.Hour.Number(now.UnixMicro()) {
			sh.isLasting = true
			for i, period := range periods {
				raised = p.addPeakLocked(set.Topic, sh, period, sh.peaks[i]) || raised
			}
		}
		for i, period := range periods {
			number := period.Number(now.UnixMicro())
			if sh.peaks[i].number == number && sh.peaks[i].pages >= set.Pages {
				continue
			}
			sh.peaks[i] = peak{number, set.Pages}
			raised = p.addPeakLocked(set.Topic, sh, period, sh.peaks[i]) || raised
		}
	}
	return raised
}

// addPeakLocked makes a peak of a share pending, and reports whether there was room.
func (p *presence) addPeakLocked(topic tally.Topic, sh *share, period tally.Period, raised peak) bool {
	key := peakKey{topic, period, raised.number}
	before, isPending := p.pendingPeaks[key]
	if !isPending && len(p.pendingPeaks) >= maxPendingPeaks {
		return false
	}
	p.pendingPeaks[key] = pendingPeak{max(before.pages, raised.pages), sh.isLasting}
	return true
}

// storePeaks stores the pending peaks. After an error they stay pending.
func (s *Store) storePeaks(ctx context.Context) error {
	s.presence.mu.Lock()
	peaks := maps.Clone(s.presence.pendingPeaks)
	s.presence.mu.Unlock()
	if len(peaks) == 0 {
		return nil
	}
	if err := s.update(ctx, func(w *writer) ([]tally.Change, error) { return nil, w.raisePeaks(peaks) }); err != nil {
		return err
	}
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	maps.DeleteFunc(s.presence.pendingPeaks, func(key peakKey, pending pendingPeak) bool { return peaks[key] == pending })
	return nil
}

// raisePeaks raises stored peaks.
func (w *writer) raisePeaks(peaks map[peakKey]pendingPeak) error {
	for key, pending := range peaks {
		if err := w.exec(`INSERT INTO readers (topic, period, number, greatest)
			SELECT ?1, ?2, ?3, ?4 WHERE ?5 OR EXISTS (SELECT 1 FROM readers WHERE topic = ?1)
			ON CONFLICT DO UPDATE SET greatest = max(greatest, excluded.greatest)`,
			key.topic.String(), key.period, key.number, pending.pages, pending.mayBegin); err != nil {
			return err
		}
	}
	return nil
}

// pending returns the peaks of a topic in the periods from first to last that may not be stored
// yet.
func (p *presence) pending(topic tally.Topic, period tally.Period, first, last int64) (peaks []tally.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number := first; number <= last && len(p.pendingPeaks) > 0; number++ {
		if pending, isPending := p.pendingPeaks[peakKey{topic, period, number}]; isPending {
			peaks = append(peaks, tally.Record{Number: number, Sum: pending.pages})
		}
	}
	if sh := p.shares[topic]; sh != nil {
		if present := sh.peaks[slices.Index(periods[:], period)]; first <= present.number && present.number <= last {
			peaks = append(peaks, tally.Record{Number: present.number, Sum: present.pages})
		}
	}
	return peaks
}
