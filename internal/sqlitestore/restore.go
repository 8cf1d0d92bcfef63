package sqlitestore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxRestoreBatch bounds the portions and contributions of one transaction: some tens
// of milliseconds, for which visitors wait.
const maxRestoreBatch = 4 * tally.MaxPortion

// Restore stores portions, some in one transaction.
func (s *Store) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	for i := range portions {
		if err := s.catalog.ValidatePortion(&portions[i]); err != nil {
			return err
		}
	}
	for len(portions) > 0 {
		n, weight := 0, 0
		for n < len(portions) && (n == 0 || weight+1+len(portions[n].Contributions) <= maxRestoreBatch) {
			weight += 1 + len(portions[n].Contributions)
			n++
		}
		// A copy for the writer, which may still be at work on it afterwards.
		work := slices.Clone(portions[:n])
		for i := range work {
			work[i].Contributions = slices.Clone(work[i].Contributions)
		}
		if err := s.update(ctx, func(w *writer) ([]tally.Change, error) { return w.restore(replace, work) }); err != nil {
			return err
		}
		portions = portions[n:]
	}
	return nil
}

func (w *writer) restore(replace bool, portions []tally.Portion) (changes []tally.Change, err error) {
	now := w.now()
	for i := range portions {
		p := &portions[i]
		r, changed, err := w.restorePortion(replace, p, now)
		if err != nil {
			return nil, fmt.Errorf("restore %s: %w", p.Topic, err)
		}
		if changed {
			changes = append(changes, r.state(p.Topic).Change)
		}
	}
	return changes, nil
}

func (w *writer) restorePortion(replace bool, p *tally.Portion, now time.Time) (r row, changed bool, err error) {
	if r, err = w.find(p.Topic); err != nil {
		return r, false, err
	}
	if !tally.AdmitsEdits(r.mark, p.Mark) {
		return r, false, tally.ErrFrozen
	}
	missing := r.id == 0
	if missing {
		if r, err = w.create(p.Topic); err != nil {
			return r, false, err
		}
	} else if replace && p.First {
		if err := w.emptyTopic(&r); err != nil {
			return r, false, err
		}
		missing = true
	}
	before, counted := r, r.counted()
	if err := w.restoreBase(&r, p, missing || replace && p.First); err != nil {
		return r, false, err
	}
	added, err := w.mergeContributions(r.id, p, now)
	if err != nil {
		return r, false, err
	}
	counted += added
	if w.catalog.Rule(p.Topic).Kind == tally.Window && p.Last {
		counted = max(counted, p.Sum)
	}
	r.sum(counted)
	if r == before && !missing && r.version >= p.Version {
		return r, false, nil
	}
	r.version = max(r.version+1, p.Version)
	if p.Version == 0 {
		r.version = tally.NextVersion(before.version, now.UnixMicro())
	}
	return r, true, w.set(r)
}

// restoreBase gives the topic the seed and the adjustment of p, or the greater ones
// where it was there before. An adjustment below 0 comes with a new topic's last
// portion: before all contributions are there the sum might be below 0.
func (w *writer) restoreBase(r *row, p *tally.Portion, fresh bool) error {
	awaited := false
	if !fresh {
		err := w.conn.QueryRowContext(context.Background(), `SELECT EXISTS (SELECT 1 FROM restoring WHERE topic = ?)`, r.id).Scan(&awaited)
		if err != nil {
			return err
		}
	}
	r.seed = max(r.seed, p.Seed)
	switch {
	case !fresh && !awaited:
		r.adjustment = max(r.adjustment, p.Adjustment)
	case p.Last || p.Adjustment >= 0:
		r.adjustment = p.Adjustment
		if awaited {
			return w.exec(`DELETE FROM restoring WHERE topic = ?`, r.id)
		}
	case fresh:
		return w.exec(`INSERT INTO restoring (topic) VALUES (?)`, r.id)
	}
	return nil
}

// mergeContributions stores the contributions of p beside those that are there and returns what
// they add.
func (w *writer) mergeContributions(topic int64, p *tally.Portion, now time.Time) (added int64, err error) {
	if len(p.Contributions) == 0 {
		return 0, nil
	}
	ctx := context.Background()
	list := appendContributions(nil, p.Contributions)
	if rule := w.catalog.Rule(p.Topic); rule.Kind == tally.Window {
		// They are of the window in which the topic last changed, at the latest.
		end := rule.WindowEnd(now)
		if p.Version != 0 && rule.WindowEnd(time.UnixMicro(p.Version)) < end {
			return 0, nil
		}
		return 0, w.exec(`INSERT INTO seen (window_end, topic, member) SELECT ?, ?, value ->> 0 FROM json_each(?)
			WHERE true ON CONFLICT DO NOTHING`, end, topic, list)
	}
	// A member that stands in the list twice is one all the same.
	const sum = `SELECT coalesce(sum(amount), 0) FROM (SELECT DISTINCT value ->> 0 AS given FROM json_each(?))
		CROSS JOIN contributions ON topic = ? AND member = given`
	var before, after int64
	if err := w.conn.QueryRowContext(ctx, sum, list, topic).Scan(&before); err != nil {
		return 0, err
	}
	if err := w.exec(`INSERT INTO contributions (topic, member, amount) SELECT ?, value ->> 0, value ->> 1 FROM json_each(?)
		WHERE true ON CONFLICT DO UPDATE SET amount = excluded.amount WHERE excluded.amount > amount`, topic, list); err != nil {
		return 0, err
	}
	err = w.conn.QueryRowContext(ctx, sum, list, topic).Scan(&after)
	return after - before, err
}

// appendContributions appends them as a JSON array of [member, amount].
func appendContributions(dst []byte, contributions []tally.Contribution) string {
	dst = append(dst, '[')
	for i, c := range contributions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = strconv.AppendInt(dst, int64(c.Member), 10)
		dst = append(dst, ',')
		dst = strconv.AppendInt(dst, c.Amount, 10)
		dst = append(dst, ']')
	}
	return string(append(dst, ']'))
}
