package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// A transaction of a revert adds topics for minRevertTime to maxRevertTime if another job
	// waits, and for maxUnawaitedTime if none does: the next job waits for the commit, which
	// takes about half as long.
	minRevertTime    = 4 * time.Millisecond
	maxRevertTime    = 10 * time.Millisecond
	maxUnawaitedTime = 20 * time.Millisecond
	// maxRevertBatch bounds the entries of one topic that a transaction reverts.
	maxRevertBatch = 200
)

// revert is the work of one call of Revert. entries and positions are in the order of the ids of
// their topics, so that the transaction changes rows of the same pages.
type revert struct {
	mode      tally.RevertMode
	entries   []tally.JournalEntry
	positions []position // of the entries
	found     *memberEntries
}

// revertStep is the result of one transaction of a revert.
type revertStep struct {
	end      int // of the entries that were reverted until now
	reverted []tally.JournalEntry
	changes  []tally.Change
}

// Revert implements [tally.JournalStore]. One call at a time takes back the contributions in the
// order of topics, and then erases the entries in the order of the journal: both at once would
// write a page of the journal for each entry. After a crash in between, the entries take back
// nothing more. Entries of a window are erased at once, since each counts. If ctx ends, Revert
// waits for its transaction, so that it returns all that is stored.
func (s *Store) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	if len(entries) == 0 {
		return nil, nil, nil
	}
	r, err := newRevert(entries, mode)
	if err != nil {
		return nil, nil, err
	}
	select {
	case s.reverting <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, s.unavailable("wait to revert in", ctx.Err())
	case <-s.closing:
		return nil, nil, s.unavailable("revert in", errClosed)
	}
	defer func() { <-s.reverting }()
	err = s.reading(ctx, "the journal", func() error {
		return snapshot(ctx, s.db, func(conn *sql.Conn) error { return r.found.readNewRows(ctx, conn) })
	})
	done := 0
	for done < len(r.entries) && err == nil {
		if err = ctx.Err(); err != nil {
			err = s.unavailable("revert in", err)
			break
		}
		steps := make(chan revertStep, 1)
		err = s.update(context.WithoutCancel(ctx), func(w *writer) ([]tally.Change, error) {
			step, err := w.revert(r, done)
			steps <- step
			return step.changes, err
		})
		if err == nil {
			step := <-steps
			done, reverted, changes = step.end, append(reverted, step.reverted...), append(changes, step.changes...)
		}
	}
	return reverted, changes, cmp.Or(err, s.eraseReverted(ctx, r, done))
}

// newRevert returns a copy of the entries for the writer, which may still use it after Revert
// returned.
func newRevert(entries []tally.JournalEntry, mode tally.RevertMode) (*revert, error) {
	order, positions := make([]int, len(entries)), make([]position, len(entries))
	for i, e := range entries {
		p, err := parsePosition(e.Position)
		if err != nil {
			return nil, err
		}
		order[i], positions[i] = i, p
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(positions[i].topic, positions[j].topic) })
	r := &revert{mode: mode, entries: make([]tally.JournalEntry, len(entries)), positions: make([]position, len(entries)), found: newMemberEntries()}
	for i, from := range order {
		r.entries[i], r.positions[i] = entries[from], positions[from]
		r.found.add(positions[from].topic, entries[from].Member)
	}
	// Entries from the first one on show which is the newest of each member.
	first := slices.MinFunc(positions, position.compare)
	r.found.last = position{minute: first.minute, n: first.n - 1}
	return r, nil
}

// mayContinue reports whether a transaction of a revert that began at a time may add more before
// its commit. If another job waits, the transaction adds for the time of a commit, for which that
// job waits in any case: a slow disk does not make reverts much slower.
func (w *writer) mayContinue(began time.Time) bool {
	took := time.Since(began)
	return took < min(max(w.commitTook, minRevertTime), maxRevertTime) || took < maxUnawaitedTime && !w.isAwaited()
}

// revert reverts entries of r from begin on, while [writer.mayContinue].
func (w *writer) revert(r *revert, begin int) (step revertStep, err error) {
	if err := r.found.readNewRows(context.Background(), w.conn); err != nil {
		return step, fmt.Errorf("read the journal: %w", err)
	}
	topics := map[int64]row{} // found, and not reverted yet
	for began := time.Now(); begin < len(r.entries) && (step.end == 0 || w.mayContinue(began)); begin = step.end {
		step.end = begin + 1
		for step.end < min(len(r.entries), begin+maxRevertBatch) && r.entries[step.end].Topic == r.entries[begin].Topic && r.positions[step.end].topic == r.positions[begin].topic {
			step.end++
		}
		id := r.positions[begin].topic
		if _, isFound := topics[id]; !isFound {
			if err := w.findNext(r, begin, topics); err != nil {
				return step, err
			}
		}
		stored := topics[id]
		delete(topics, id) // more entries of the topic need its state after this change
		if stored.id == 0 || stored.Topic != r.entries[begin].Topic {
			continue // the topic was renamed, reset or deleted since
		}
		if err := w.revertTopic(r, begin, step.end, stored, &step); err != nil {
			return step, err
		}
	}
	return step, nil
}

// findNext adds the topics of the next entries of r to topics.
func (w *writer) findNext(r *revert, begin int, topics map[int64]row) error {
	names := make(map[int64]tally.Topic, rowsAtOnce)
	ids := make([]any, rowsAtOnce) // the rest is NULL
	for i := begin; i < min(len(r.entries), begin+2*rowsAtOnce) && len(names) < rowsAtOnce; i++ {
		id := r.positions[i].topic
		if _, isKnown := names[id]; !isKnown {
			ids[len(names)] = id
			names[id] = r.entries[i].Topic
		}
	}
	return w.eachRow(findTopics, ids, func(rows *sql.Rows) error {
		var found row
		var name, options string
		err := rows.Scan(&found.id, &name, &found.Count, &found.Version, &found.Seed, &found.Adjustment, &options, &found.mark, &found.prior, &found.isComplete)
		if topic := names[found.id]; err == nil && topic.String() == name {
			found.Topic = topic
			err = parseOptions(w.catalog.Rule(topic), options, &found.State)
		}
		found.stored = found.State
		topics[found.id] = found
		return err
	})
}

// findTopics finds rowsAtOnce topics by their ids.
var findTopics = `SELECT id, site || '/' || metric || '/' || topics.key, count, version, seed, adjustment, options, coalesce(value, ''), prior, is_complete
	FROM topics LEFT JOIN register ON name = '` + markPrefix + `' || site || '/' || metric || '/' || topics.key
	WHERE id IN (?` + strings.Repeat(`, ?`, rowsAtOnce-1) + `)`

// revertTopic reverts the entries of r from begin to end, which are of one topic, in one change.
func (w *writer) revertTopic(r *revert, begin, end int, stored row, step *revertStep) error {
	if !tally.AdmitsEdits(stored.mark, "") {
		return tally.ErrFrozen
	}
	before, rule, now := stored, w.catalog.Rule(stored.Topic), w.now()
	taken := map[int64]int64{} // by minute, the sum of contributions
	for i := begin; i < end; i++ {
		e := r.entries[i]
		if rule.Kind == tally.Window {
			if erased, err := w.eraseRow([]memberPosition{{r.positions[i], e.Member}}); err != nil {
				return err
			} else if erased == 0 {
				continue
			}
		}
		if !r.found.takesBack(rule, memberKey{stored.id, e.Member}, r.positions[i]) {
			continue
		}
		amount, err := w.removeMember(rule, stored.id, e.Member, time.Unix(e.Minute*60, 0))
		if err != nil {
			return err
		}
		if rule.Kind == tally.Window {
			amount = 1 // even if the window has ended
		}
		taken[e.Minute] += rule.Counts(amount)
		stored.Replace(amount, 0)
		step.reverted = append(step.reverted, e)
	}
	if stored == before {
		return nil
	}
	stored.Version = tally.NextVersion(stored.Version, now.UnixMicro())
	if err := w.set(&stored); err != nil {
		return err
	}
	step.changes = append(step.changes, stored.Change)
	if r.mode == tally.RevertPast {
		return w.lowerRecords(&stored, taken)
	}
	return nil
}

// eraseReverted erases the first n entries of r, except those of windows.
func (s *Store) eraseReverted(ctx context.Context, r *revert, n int) error {
	var entries []memberPosition
	for i, e := range r.entries[:n] {
		if s.catalog.Rule(e.Topic).Kind != tally.Window {
			entries = append(entries, memberPosition{r.positions[i], e.Member})
		}
	}
	slices.SortFunc(entries, func(a, b memberPosition) int { return a.compare(b.position) })
	for len(entries) > 0 && ctx.Err() == nil { // else a repetition erases the others
		erased := make(chan int, 1)
		err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
			n, err := w.eraseRows(entries)
			erased <- n
			return nil, err
		})
		if err != nil {
			return err
		}
		entries = entries[<-erased:]
	}
	return nil
}

// memberPosition is a journal entry.
type memberPosition struct {
	position
	member tally.Member
}

// eraseRows erases entries, which are in the order of the journal, while [writer.mayContinue]. It
// returns how many of them are done.
func (w *writer) eraseRows(entries []memberPosition) (done int, err error) {
	for began := time.Now(); done < len(entries) && (done == 0 || w.mayContinue(began)); {
		begin := done
		for done++; done < len(entries) && entries[done].row() == entries[begin].row(); done++ {
		}
		if _, err := w.eraseRow(entries[begin:done]); err != nil {
			return 0, err
		}
	}
	return done, nil
}

// eraseRow overwrites entries of one row with zeros. It returns how many of them existed, with
// that topic and member.
func (w *writer) eraseRow(entries []memberPosition) (erased int, err error) {
	var stored []byte
	p := entries[0]
	found, err := w.get(`SELECT entries FROM journal WHERE minute = ? AND n = ? AND topic = ?`, []any{p.minute, p.n, p.topic}, &stored)
	if err != nil || !found {
		return 0, err
	}
	for _, e := range entries {
		if member, _ := entryAt(stored, e.index); member == e.member && member != 0 {
			clear(stored[e.index*entryBytes:][:entryBytes])
			erased++
		}
	}
	if erased == 0 {
		return 0, nil
	}
	return erased, w.exec(`UPDATE journal SET entries = ? WHERE minute = ? AND n = ?`, stored, p.minute, p.n)
}

// eraseEntries erases the entries of members on the topic of that id.
func (w *writer) eraseEntries(topic int64, members []tally.Member, found *memberEntries) error {
	for _, member := range members {
		for _, p := range found.positions[memberKey{topic, member}] {
			if _, err := w.eraseRow([]memberPosition{{p, member}}); err != nil {
				return err
			}
		}
	}
	return nil
}
