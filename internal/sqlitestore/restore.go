package sqlitestore

import (
	"context"
	"database/sql"
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
		for i := range work {
			if work[i].Past != nil { // the gain may change even if the count does not
				s.gains.add([]tally.Change{{Topic: work[i].Topic}})
			}
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
	if p.NextMark != "" {
		if err := w.setSetting(markPrefix+p.Topic.String(), p.NextMark); err != nil {
			return r, false, err
		}
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
	before, sums := r, r.Sums()
	gained := int64(0)
	if r.prior.Valid {
		gained = r.Sum() - r.prior.Int64
	}
	if err := w.restoreBase(&r, p, isNew); err != nil {
		return r, false, err
	}
	rule := w.catalog.Rule(p.Topic)
	if err := w.mergeContributions(rule, r.id, p, sums, now); err != nil {
		return r, false, err
	}
	if rule.Kind == tally.Window && p.Last {
		sums[0] = max(sums[0], p.Sum)
	}
	r.SetSums(sums)
	changed = isNew || r != before || r.Version < p.Version
	if !changed && (p.Past == nil || w.historyRetention == 0) {
		return r, false, nil
	}
	if changed {
		if p.Version == 0 {
			r.Version = tally.NextVersion(r.Version, now.UnixMicro())
		} else {
			r.Version = max(r.Version+1, p.Version)
		}
		if err := w.record(&r); err != nil {
			return r, false, err
		}
	}
	if w.historyRetention > 0 { // restored contributions become prior ones, not gains
		isComplete, isUngained := !isNew && r.isComplete, gained == 0
		if p.Past != nil {
			if gained = max(gained, p.Past.Gain); isUngained || p.NextMark != "" {
				gained, isComplete = p.Past.Gain, p.Past.IsComplete
			}
			if p.NextMark != "" {
				if err := w.exec(`DELETE FROM history WHERE topic = ?`, r.id); err != nil {
					return r, false, err
				}
			}
			if err := w.mergePast(&r, p.Past); err != nil {
				return r, false, err
			}
		}
		r.past = past{prior: sql.NullInt64{Int64: r.Sum() - gained, Valid: true}, isComplete: isComplete}
	}
	return r, changed, w.set(&r)
}

// restoreBase sets seed and adjustment to those of p, or to the greater ones if the topic
// existed. A new topic gets a negative adjustment with its last portion only: before that, the
// sum of its contributions is incomplete, so the adjustment would be raised.
func (w *writer) restoreBase(r *row, p *tally.Portion, isNew bool) error {
	isPending := false
	if !isNew {
		if _, err := w.get(`SELECT EXISTS (SELECT 1 FROM restoring WHERE topic = ?)`, []any{r.id}, &isPending); err != nil {
			return err
		}
	}
	rule, restored := w.catalog.Rule(p.Topic), p.State
	rule.PadState(&restored)
	r.MergeSeed(&restored)
	switch {
	case !isNew && !isPending && p.NextMark == "":
		r.MergeAdjustment(&restored)
	case p.Last || !restored.LowersCount():
		r.Adjustment, r.AdjustmentOptions = restored.Adjustment, restored.AdjustmentOptions
		if isPending {
			return w.exec(`DELETE FROM restoring WHERE topic = ?`, r.id)
		}
	case isNew:
		return w.exec(`INSERT INTO restoring (topic) VALUES (?)`, r.id)
	}
	return nil
}

// mergeContributions stores the greater amount of each member, or in a choice metric the
// options of members that have none, and adds the changes to sums.
func (w *writer) mergeContributions(rule tally.Rule, topic int64, p *tally.Portion, sums []int64, now time.Time) error {
	if len(p.Contributions) == 0 {
		return nil
	}
	ctx := context.Background()
	list := appendContributions(nil, p.Contributions)
	switch rule.Kind {
	case tally.Window:
		// The portion has the members of the window in which the topic last changed, or of an
		// earlier one. If that window ended, they no longer count.
		end := rule.WindowEnd(now)
		if p.Version != 0 && rule.WindowEnd(time.UnixMicro(p.Version)) < end {
			return nil
		}
		return w.exec(`INSERT INTO seen (window_end, topic, member) SELECT ?, ?, value ->> 0 FROM json_each(?)
			WHERE true ON CONFLICT DO NOTHING`, end, topic, list)
	case tally.Choice:
		return eachRow(ctx, w.conn, `INSERT INTO contributions (topic, member, amount) SELECT ?, value ->> 0, value ->> 1 FROM json_each(?)
			WHERE true ON CONFLICT DO NOTHING RETURNING amount`, []any{topic, list}, func(rows *sql.Rows) error {
			var option int64
			err := rows.Scan(&option)
			rule.Add(sums, option)
			return err
		})
	}
	// The list may contain a member twice.
	const sum = `SELECT coalesce(sum(amount), 0) FROM (SELECT DISTINCT value ->> 0 AS given FROM json_each(?))
		CROSS JOIN contributions ON topic = ? AND member = given`
	var before, after int64
	if _, err := w.get(sum, []any{list, topic}, &before); err != nil {
		return err
	}
	if err := w.exec(`INSERT INTO contributions (topic, member, amount) SELECT ?, value ->> 0, value ->> 1 FROM json_each(?)
		WHERE true ON CONFLICT DO UPDATE SET amount = excluded.amount WHERE excluded.amount > amount`, topic, list); err != nil {
		return err
	}
	_, err := w.get(sum, []any{list, topic}, &after)
	sums[0] += after - before
	return err
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
