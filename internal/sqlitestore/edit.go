package sqlitestore

import (
	"context"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxEditBatch bounds the edits and members of one transaction: some milliseconds.
const maxEditBatch = 1024

// Edit carries out the edits, several in one transaction.
func (s *Store) Edit(ctx context.Context, edits []tally.Edit) {
	for len(edits) > 0 {
		n, weight := 0, 0
		for n < len(edits) && (n == 0 || weight+1+len(edits[n].Members) <= maxEditBatch) {
			weight += 1 + len(edits[n].Members)
			n++
		}
		s.editBatch(ctx, edits[:n])
		edits = edits[n:]
	}
}

func (s *Store) editBatch(ctx context.Context, edits []tally.Edit) {
	// A copy for the writer, which may still be at work on it afterwards.
	work := slices.Clone(edits)
	for i := range work {
		work[i].Members = slices.Clone(work[i].Members)
	}
	withdrawn, err := s.withdrawnEntries(ctx, work)
	if err == nil {
		err = s.update(ctx, func(w *writer) ([]tally.Change, error) { return w.edit(work, withdrawn) })
	}
	for i := range edits {
		if err != nil {
			edits[i].Err = err
			continue
		}
		members := edits[i].Members
		edits[i] = work[i]
		edits[i].Members = members
	}
}

// edit carries out the edits and returns the changes to publish.
func (w *writer) edit(edits []tally.Edit, withdrawn *memberEntries) (changes []tally.Change, err error) {
	now := w.now()
	if err := w.loadNewEntries(withdrawn); err != nil {
		return nil, err
	}
	for i := range edits {
		e := &edits[i]
		e.Changed = false // another attempt may have filled it in
		if e.Err = w.catalog.ValidateEdit(e); e.Err != nil {
			continue
		}
		change, err := w.editTopic(e, withdrawn, now)
		if err != nil {
			return nil, err
		}
		if e.Changed {
			changes = append(changes, change)
		}
	}
	return changes, nil
}

// editTopic carries out one edit and fills in what became of it.
func (w *writer) editTopic(e *tally.Edit, withdrawn *memberEntries, now time.Time) (change tally.Change, err error) {
	r, err := w.find(e.Topic)
	if err != nil {
		return change, err
	}
	e.Before = r.state(e.Topic)
	e.After = e.Before
	if e.IfVersion != 0 && e.IfVersion != r.version {
		return change, nil
	}
	if !tally.AdmitsEdits(r.mark, e.Mark) {
		e.Err = tally.ErrFrozen
		return change, nil
	}
	missing := r.id == 0
	if missing {
		if e.Kind == tally.EditReset || e.Kind == tally.EditDelete || e.Kind == tally.EditWithdraw {
			return change, nil
		}
		if r, err = w.create(e.Topic); err != nil {
			return change, err
		}
	}
	before, counted := r, r.counted()
	switch e.Kind {
	case tally.EditSeed:
		r.seed = e.Value
	case tally.EditAdjustment:
		r.adjustment = e.Value
	case tally.EditCount:
		r.adjustment = e.Value - r.seed - counted
	case tally.EditBase:
		r.adjustment = e.Value - r.seed
	case tally.EditReset, tally.EditDelete:
		if err := w.emptyTopic(&r); err != nil {
			return change, err
		}
		before.id, counted = r.id, 0
	case tally.EditWithdraw:
		taken, err := w.withdraw(r.id, e, now)
		if err != nil {
			return change, err
		}
		if err := w.eraseEntries(r.id, e.Members, withdrawn); err != nil {
			return change, err
		}
		counted -= min(taken, counted)
	}
	r.sum(counted)
	if r == before && !missing && e.Kind != tally.EditDelete {
		return change, nil
	}
	r.version = tally.NextVersion(r.version, now.UnixMicro())
	e.Changed = true
	change = r.state(e.Topic).Change
	if e.Kind == tally.EditDelete {
		e.After = tally.State{Change: tally.Change{Topic: e.Topic}}
		w.finalVersions.add(e.Topic, r.version, now)
		return change, w.removeTopic(e.Topic, r)
	}
	e.After = r.state(e.Topic)
	return change, w.set(r)
}

// withdraw removes what members contribute and returns how much it was.
func (w *writer) withdraw(topic int64, e *tally.Edit, now time.Time) (taken int64, err error) {
	rule := w.catalog.Rule(e.Topic)
	for _, member := range e.Members {
		amount, err := w.removeMember(rule, topic, member, now)
		if err != nil {
			return 0, err
		}
		taken += amount
	}
	return taken, nil
}

// removeMember removes a member's contribution, or its being seen in the window of
// that time, and returns what it was.
func (w *writer) removeMember(rule tally.Rule, topic int64, member tally.Member, at time.Time) (int64, error) {
	if rule.Kind == tally.Window {
		return rowsAffected(w.removeSeen.Exec(rule.WindowEnd(at), topic, int64(member)))
	}
	return w.removeContribution(topic, int64(member))
}
