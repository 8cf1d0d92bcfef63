package sqlitestore

import (
	"context"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Apply applies all batches in one transaction.
func (s *Store) Apply(ctx context.Context, batches []tally.Batch) {
	work := cloneBatches(batches)
	err := s.update(ctx, func(w *writer) ([]tally.Change, error) { return w.apply(work) })
	for i := range batches {
		if err != nil {
			batches[i].Err = err
			continue
		}
		b, done := &batches[i], &work[i]
		copy(b.Writes, done.Writes)
		b.SetState(done.Change())
		b.Err = done.Err
	}
}

// cloneBatches returns a copy for the writer, which may still use it after Apply returned.
func cloneBatches(batches []tally.Batch) []tally.Batch {
	total := 0
	for i := range batches {
		total += len(batches[i].Writes)
	}
	writes := make([]tally.Write, 0, total)
	clones := make([]tally.Batch, len(batches))
	for i := range batches {
		begin := len(writes)
		writes = append(writes, batches[i].Writes...)
		clones[i] = tally.Batch{Topic: batches[i].Topic, Mark: batches[i].Mark, Writes: writes[begin:len(writes):len(writes)]}
	}
	return clones
}

// apply applies the batches and returns the changes to publish.
func (w *writer) apply(batches []tally.Batch) ([]tally.Change, error) {
	now := w.now()
	changes := make([]tally.Change, 0, len(batches))
	w.buffer.reset()
	for i := range batches {
		b := &batches[i]
		rule := w.catalog.Rule(b.Topic)
		// Checked before any write, so that an invalid batch does not fail the others.
		if b.Err = validate(rule, b); b.Err != nil {
			continue
		}
		changed, err := w.applyBatch(rule, b, now)
		if err != nil {
			return nil, err
		}
		if changed {
			changes = append(changes, b.Change())
		}
	}
	return changes, w.storeJournal()
}

// validate returns an error unless the rule allows the writes.
func validate(rule tally.Rule, b *tally.Batch) error {
	for i := range b.Writes {
		if err := rule.Validate(b.Writes[i].Amount); err != nil {
			return err
		}
	}
	return nil
}

// applyBatch applies the writes of b in their order and sets their results. It reports
// whether a contribution changed.
func (w *writer) applyBatch(rule tally.Rule, b *tally.Batch, now time.Time) (changed bool, err error) {
	r, err := w.find(b.Topic)
	if err != nil {
		return false, err
	}
	if r.mark != b.Mark {
		b.Err = &tally.MarkError{Mark: r.mark}
		return false, nil
	}
	for i := range b.Writes {
		write := &b.Writes[i]
		// An earlier attempt may have set them.
		write.Changed, write.Added, write.Created, write.WouldAdd, write.WouldCreate = false, false, false, false, false
		if r.id == 0 {
			if write.Amount == 0 {
				continue // nothing to take back
			}
			if !write.MayCreate {
				write.WouldCreate = true
				continue
			}
			if write.RefuseNew {
				write.WouldAdd = true
				continue
			}
			if err = w.create(&r); err != nil {
				return false, err
			}
			write.Created = true
		}
		if write.RefuseNew && write.Amount > 0 {
			contributes, err := w.contributes(rule, r.id, write.Member, now)
			if err != nil {
				return false, fmt.Errorf("find a contribution to %s: %w", b.Topic, err)
			}
			if !contributes {
				write.WouldAdd = true
				continue
			}
		}
		before, err := w.contribute(rule, r.id, write, now)
		if err != nil {
			return false, fmt.Errorf("contribute to %s: %w", b.Topic, err)
		}
		if before == write.Amount {
			continue
		}
		write.Changed, write.Added, changed = true, before == 0, true
		r.Replace(before, write.Amount)
		isNew := write.Amount > before || rule.Kind == tally.Choice && write.Amount > 0
		if isNew && w.journalRetention > 0 {
			w.buffer.add(write)
		}
	}
	if changed {
		if err := w.endRow(r.id, now); err != nil {
			return false, err
		}
		r.Version = tally.NextVersion(r.Version, now.UnixMicro())
		if err := w.set(&r); err != nil {
			return false, err
		}
	}
	b.SetState(r.Change)
	return changed, nil
}

// contributes reports whether a member contributes to a topic, in a window metric within the
// current window.
func (w *writer) contributes(rule tally.Rule, topic int64, member tally.Member, now time.Time) (bool, error) {
	var found int64
	if rule.Kind == tally.Window {
		return w.get(`SELECT 1 FROM seen WHERE window_end = ? AND topic = ? AND member = ?`, []any{rule.WindowEnd(now), topic, int64(member)}, &found)
	}
	return w.get(`SELECT 1 FROM contributions WHERE topic = ? AND member = ?`, []any{topic, int64(member)}, &found)
}

// contribute stores one contribution and returns the amount before it.
func (w *writer) contribute(rule tally.Rule, topic int64, write *tally.Write, now time.Time) (before int64, err error) {
	member := int64(write.Member)
	switch {
	case rule.Kind == tally.Window:
		added, err := w.execRows(`INSERT INTO seen (window_end, topic, member) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, rule.WindowEnd(now), topic, member)
		return write.Amount - added, err
	case write.Amount == 0:
		return w.removeContribution(topic, member)
	}
	added, err := w.execRows(`INSERT INTO contributions (topic, member, amount) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, topic, member, write.Amount)
	switch {
	case err != nil || added != 0:
		return 0, err
	case rule.Max == 1:
		return write.Amount, nil
	}
	_, err = w.get(`SELECT amount FROM contributions WHERE topic = ? AND member = ?`, []any{topic, member}, &before)
	if err != nil || before == write.Amount {
		return before, err
	}
	return before, w.exec(`UPDATE contributions SET amount = ? WHERE topic = ? AND member = ?`, write.Amount, topic, member)
}

// removeContribution removes a contribution and returns its amount.
func (w *writer) removeContribution(topic, member int64) (before int64, err error) {
	_, err = w.get(`DELETE FROM contributions WHERE topic = ? AND member = ? RETURNING amount`, []any{topic, member}, &before)
	return before, err
}
