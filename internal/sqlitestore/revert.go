package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxRevertBatch bounds the journal entries that one transaction reverts, for some ten
// milliseconds: the likes wait.
const maxRevertBatch = 200

// Revert implements [tally.JournalStore], in transactions of [maxRevertBatch] entries.
func (s *Store) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	if len(entries) == 0 {
		return nil, nil, nil
	}
	found := newMemberEntries()
	positions := make([]position, len(entries))
	for i, e := range entries {
		if positions[i], err = parsePosition(e.Position); err != nil {
			return nil, nil, err
		}
		// Entries from the first one on show which is the newest of each member.
		found.add(e.Topic, e.Member)
		found.ids[positions[i].topic] = e.Topic
		if before := (position{minute: positions[i].minute, n: positions[i].n - 1}); i == 0 || before.compare(found.last) < 0 {
			found.last = before
		}
	}
	err = s.reading(ctx, "the journal", func() error {
		return snapshot(ctx, s.db, func(conn *sql.Conn) error { return found.readNewRows(ctx, conn) })
	})
	if err != nil {
		return nil, nil, err
	}
	entries, positions = byTopic(entries, positions)
	for begin := 0; begin < len(entries); begin += maxRevertBatch {
		end := min(begin+maxRevertBatch, len(entries))
		// A copy for the writer, which may still use it after Revert returned.
		batch := slices.Clone(entries[begin:end])
		type result struct {
			reverted []tally.JournalEntry
			changes  []tally.Change
		}
		results := make(chan result, 1)
		err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
			reverted, changes, err := w.revert(batch, positions[begin:end], found, mode)
			results <- result{reverted, changes}
			return changes, err
		})
		if err != nil {
			return reverted, changes, err
		}
		r := <-results
		reverted, changes = append(reverted, r.reverted...), append(changes, r.changes...)
	}
	return reverted, changes, nil
}

// revert reverts entries, those of a topic in one change.
func (w *writer) revert(entries []tally.JournalEntry, positions []position, found *memberEntries, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	// A topic that was reset since has another id, which none of the entries has.
	if err := found.readNewRows(context.Background(), w.conn); err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	now := w.now()
	var order []tally.Topic
	topics := map[tally.Topic]*row{}
	before := map[tally.Topic]row{}
	taken := map[tally.Topic]map[int64]int64{} // by minute, the sum of contributions
	for i, e := range entries {
		r := topics[e.Topic]
		if r == nil {
			stored, err := w.find(e.Topic)
			if err != nil {
				return nil, nil, err
			}
			if !tally.AdmitsEdits(stored.mark, "") {
				return nil, nil, tally.ErrFrozen
			}
			r = &stored
			topics[e.Topic], before[e.Topic] = r, stored
			order = append(order, e.Topic)
		}
		if r.id == 0 {
			continue
		}
		exists, err := w.eraseEntry(r.id, e.Member, positions[i])
		if err != nil {
			return nil, nil, err
		}
		rule := w.catalog.Rule(e.Topic)
		if !exists || !found.takesBack(rule, memberKey{r.id, e.Member}, positions[i]) {
			continue
		}
		amount, err := w.removeMember(rule, r.id, e.Member, time.Unix(e.Minute*60, 0))
		if err != nil {
			return nil, nil, err
		}
		if rule.Kind == tally.Window {
			amount = 1 // even if the window has ended
		}
		if taken[e.Topic] == nil {
			taken[e.Topic] = map[int64]int64{}
		}
		taken[e.Topic][e.Minute] += rule.Counts(amount)
		r.Replace(amount, 0)
		reverted = append(reverted, e)
	}
	for _, topic := range order {
		r := topics[topic]
		if *r == before[topic] {
			continue
		}
		r.Version = tally.NextVersion(r.Version, now.UnixMicro())
		if err := w.set(r); err != nil {
			return nil, nil, err
		}
		if mode == tally.RevertPast {
			if err := w.lowerRecords(r.id, taken[topic]); err != nil {
				return nil, nil, err
			}
		}
		changes = append(changes, r.Change)
	}
	return reverted, changes, nil
}

// eraseEntry overwrites an entry with zeros. It reports whether the entry existed and was
// of that topic and member.
func (w *writer) eraseEntry(topic int64, member tally.Member, p position) (exists bool, err error) {
	var entries []byte
	found, err := w.get(`SELECT entries FROM journal WHERE minute = ? AND n = ? AND topic = ?`, []any{p.minute, p.n, topic}, &entries)
	if err != nil || !found {
		return false, err
	}
	if stored, _ := entryAt(entries, p.index); stored != member || member == 0 {
		return false, nil
	}
	clear(entries[p.index*entryBytes:][:entryBytes])
	return true, w.exec(`UPDATE journal SET entries = ? WHERE minute = ? AND n = ?`, entries, p.minute, p.n)
}

// eraseEntries erases the entries of members on the topic of that id.
func (w *writer) eraseEntries(topic int64, members []tally.Member, found *memberEntries) error {
	for _, member := range members {
		for _, p := range found.positions[memberKey{topic, member}] {
			if _, err := w.eraseEntry(topic, member, p); err != nil {
				return err
			}
		}
	}
	return nil
}
