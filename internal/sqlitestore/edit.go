package sqlitestore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxEditBatch bounds the edits and members of one transaction, for a few milliseconds.
const maxEditBatch = 1024

// Edit applies the edits, several in one transaction.
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
	// A copy for the writer, which may still use it after Edit returned.
	work := slices.Clone(edits)
	for i := range work {
		work[i].Members = slices.Clone(work[i].Members)
	}
	withdrawn, found := withdrawnMembers(work), newMemberEntries()
	var err error
	if len(withdrawn) > 0 {
		// Before the transaction, since it may take longer than a transaction should.
		err = s.reading(ctx, "the journal", func() error {
			return snapshot(ctx, s.db, func(conn *sql.Conn) error { return found.load(ctx, conn, withdrawn) })
		})
	}
	if err == nil {
		err = s.update(ctx, func(w *writer) ([]tally.Change, error) {
			if err := found.load(context.Background(), w.conn, withdrawn); err != nil {
				return nil, err
			}
			return w.edit(work, found)
		})
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

// edit applies the edits and returns the changes to publish.
func (w *writer) edit(edits []tally.Edit, withdrawn *memberEntries) (changes []tally.Change, err error) {
	now := w.now()
	for i := range edits {
		e := &edits[i]
		e.Changed = false // an earlier attempt may have set it
		if e.Err = w.validateEdit(e); e.Err != nil {
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

// validateEdit returns an error unless e is allowed. A topic of a site or metric that is no
// longer declared can be emptied and deleted, as prune and forget do.
func (w *writer) validateEdit(e *tally.Edit) error {
	if e.Creates() {
		return w.catalog.ValidateEdit(e)
	}
	return e.Validate(w.catalog.Rule(e.Topic))
}

// editTopic applies one edit and sets its results.
func (w *writer) editTopic(e *tally.Edit, withdrawn *memberEntries, now time.Time) (change tally.Change, err error) {
	r, err := w.find(e.Topic)
	if err != nil {
		return change, err
	}
	e.Preview(r.State)
	before, after := e.Before, e.After
	e.After, e.Changed = before, false // unless it is applied
	if e.IfVersion != 0 && e.IfVersion != r.Version {
		return change, nil
	}
	if !tally.AdmitsEdits(r.mark, e.Mark) {
		e.Err = tally.ErrFrozen
		return change, nil
	}
	isNew := r.id == 0
	switch {
	case isNew && !e.Creates():
		return change, nil
	case isNew:
		err = w.create(&r)
	case e.Kind == tally.EditReset || e.Kind == tally.EditDelete:
		err = w.emptyTopic(&r)
	case e.Kind == tally.EditWithdraw:
		if err = w.withdraw(r.id, e, &after, now); err == nil {
			err = w.eraseEntries(r.id, e.Members, withdrawn)
		}
	}
	if err != nil || after == before && !isNew && e.Kind != tally.EditDelete {
		return change, err
	}
	after.Version = tally.NextVersion(r.Version, now.UnixMicro())
	r.State, e.Changed = after, true
	if e.Kind == tally.EditDelete {
		e.After = w.catalog.Rule(e.Topic).EmptyState(e.Topic)
		w.finalVersions.add(e.Topic, r.Version, now)
		return r.Change, w.removeTopic(&r)
	}
	e.After = r.State
	return r.Change, w.set(&r)
}

// withdraw removes the contributions of e.Members from the topic with that id and from state.
func (w *writer) withdraw(topic int64, e *tally.Edit, state *tally.State, now time.Time) error {
	rule := w.catalog.Rule(e.Topic)
	for _, member := range e.Members {
		amount, err := w.removeMember(rule, topic, member, now)
		if err != nil {
			return err
		}
		state.Replace(amount, 0)
	}
	return nil
}

// removeMember removes a member's contribution and returns its amount. In a window metric it
// is that of the window that contains at.
func (w *writer) removeMember(rule tally.Rule, topic int64, member tally.Member, at time.Time) (int64, error) {
	if rule.Kind == tally.Window {
		return w.execRows(`DELETE FROM seen WHERE window_end = ? AND topic = ? AND member = ?`, rule.WindowEnd(at), topic, int64(member))
	}
	if rule.Max == 1 { // RETURNING makes SQLite create a temporary table
		return w.execRows(`DELETE FROM contributions WHERE topic = ? AND member = ?`, topic, int64(member))
	}
	return w.removeContribution(topic, int64(member))
}
