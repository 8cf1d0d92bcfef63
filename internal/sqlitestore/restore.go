package sqlitestore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxRestoreBatch bounds the portions and contributions of one transaction, during which
// visitors wait: tens of milliseconds.
const maxRestoreBatch = 4 * tally.MaxPortion

// Restore implements [tally.Restorer], several portions in one transaction.
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
		// A copy for the writer, which may still use it after Restore returned.
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
			changes = append(changes, r.Change)
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
	isNew := r.id == 0
	if isNew {
		err = w.create(&r)
	} else if replace && p.First {
		err, isNew = w.emptyTopic(&r), true
	}
	if err != nil {
		return r, false, err
	}
	before, sum := r, r.Sum()
	if err := w.restoreBase(&r, p, isNew); err != nil {
		return r, false, err
	}
	added, err := w.mergeContributions(r.id, p, now)
	if err != nil {
		return r, false, err
	}
	sum += added
	if w.catalog.Rule(p.Topic).Kind == tally.Window && p.Last {
		sum = max(sum, p.Sum)
	}
	r.SetSum(sum)
	if r == before && !isNew && r.Version >= p.Version {
		return r, false, nil
	}
	if p.Version == 0 {
		r.Version = tally.NextVersion(r.Version, now.UnixMicro())
	} else {
		r.Version = max(r.Version+1, p.Version)
	}
	return r, true, w.set(&r)
}

// restoreBase sets seed and adjustment to those of p, or to the greater ones if the topic
// existed. A new topic gets a negative adjustment with its last portion only: before, the
// sum of its contributions is incomplete, and the adjustment would rise.
func (w *writer) restoreBase(r *row, p *tally.Portion, isNew bool) error {
	isPending := false
	if !isNew {
		err := w.conn.QueryRowContext(context.Background(), `SELECT EXISTS (SELECT 1 FROM restoring WHERE topic = ?)`, r.id).Scan(&isPending)
		if err != nil {
			return err
		}
	}
	r.Seed = max(r.Seed, p.Seed)
	switch {
	case !isNew && !isPending:
		r.Adjustment = max(r.Adjustment, p.Adjustment)
	case p.Last || p.Adjustment >= 0:
		r.Adjustment = p.Adjustment
		if isPending {
			return w.exec(`DELETE FROM restoring WHERE topic = ?`, r.id)
		}
	case isNew:
		return w.exec(`INSERT INTO restoring (topic) VALUES (?)`, r.id)
	}
	return nil
}

// mergeContributions stores the greater amount of each member and returns the change of
// the sum.
func (w *writer) mergeContributions(topic int64, p *tally.Portion, now time.Time) (added int64, err error) {
	if len(p.Contributions) == 0 {
		return 0, nil
	}
	ctx := context.Background()
	list := appendContributions(nil, p.Contributions)
	if rule := w.catalog.Rule(p.Topic); rule.Kind == tally.Window {
		// Their window is not later than the one of the topic's last change.
		end := rule.WindowEnd(now)
		if p.Version != 0 && rule.WindowEnd(time.UnixMicro(p.Version)) < end {
			return 0, nil
		}
		return 0, w.exec(`INSERT INTO seen (window_end, topic, member) SELECT ?, ?, value ->> 0 FROM json_each(?)
			WHERE true ON CONFLICT DO NOTHING`, end, topic, list)
	}
	// The list may contain a member twice.
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
