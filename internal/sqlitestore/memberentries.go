package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// memberEntries holds the positions of the journal entries of some members. The entries of
// a withdrawn member are erased with its contribution. In a metric with windows, the revert
// of an entry that remained would take the contribution back a second time.
type memberEntries struct {
	topics    map[tally.Topic]map[tally.Member]bool // the members
	ids       map[int64]tally.Topic
	last      position // of the last row that was read
	positions map[memberKey][]position
}

// memberKey is a member on a topic's id.
type memberKey struct {
	topic  int64
	member tally.Member
}

func newMemberEntries() *memberEntries {
	return &memberEntries{
		topics:    map[tally.Topic]map[tally.Member]bool{},
		ids:       map[int64]tally.Topic{},
		last:      position{minute: -1},
		positions: map[memberKey][]position{},
	}
}

// add adds a member whose entries load reads.
func (m *memberEntries) add(topic tally.Topic, member tally.Member) {
	members := m.topics[topic]
	if members == nil {
		members = map[tally.Member]bool{}
		m.topics[topic] = members
	}
	members[member] = true
}

// takesBack reports whether reverting the entry at p takes back a contribution: each entry
// in a window, else the newest of its member.
func (m *memberEntries) takesBack(rule tally.Rule, key memberKey, p position) bool {
	positions := m.positions[key] // the oldest first
	if rule.Kind == tally.Window {
		return slices.Contains(positions, p)
	}
	return len(positions) > 0 && positions[len(positions)-1] == p
}

// byTopic returns entries, with their positions, in the order of the ids of their topics, so that
// rows on the same page change in one transaction. Entries of one topic keep their order.
func byTopic(entries []tally.JournalEntry, positions []position) ([]tally.JournalEntry, []position) {
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(positions[i].topic, positions[j].topic) })
	sorted, sortedPositions := make([]tally.JournalEntry, len(entries)), make([]position, len(entries))
	for i, from := range order {
		sorted[i], sortedPositions[i] = entries[from], positions[from]
	}
	return sorted, sortedPositions
}

// withdrawnEntries returns the entries of the members that edits withdraw. It reads the
// journal before the transaction, since that may take longer than a transaction should.
func (s *Store) withdrawnEntries(ctx context.Context, edits []tally.Edit) (*memberEntries, error) {
	m := newMemberEntries()
	for i := range edits {
		if e := &edits[i]; e.Kind == tally.EditWithdraw {
			for _, member := range e.Members {
				m.add(e.Topic, member)
			}
		}
	}
	return m, s.loadEntries(ctx, m)
}

// loadEntries reads the entries of m from the journal.
func (s *Store) loadEntries(ctx context.Context, m *memberEntries) error {
	if len(m.topics) == 0 {
		return nil
	}
	return s.reading(ctx, "the journal", func() error {
		return snapshot(ctx, s.db, func(conn *sql.Conn) error { return m.load(ctx, conn) })
	})
}

// load reads the ids of the topics, which may be new, and the rows since the last load.
func (m *memberEntries) load(ctx context.Context, conn *sql.Conn) error {
	find, err := conn.PrepareContext(ctx, `SELECT id FROM topics WHERE site = ? AND metric = ? AND key = ?`)
	if err != nil {
		return err
	}
	defer find.Close()
	for topic := range m.topics {
		var id int64
		err := find.QueryRowContext(ctx, topic.Site(), topic.Metric(), topic.Key()).Scan(&id)
		if err == nil {
			m.ids[id] = topic
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if len(m.topics) == 0 {
		return nil
	}
	return m.readNewRows(ctx, conn)
}

// readNewRows reads the rows after the last one that was read. Rows of a topic that was deleted
// may still be there; it leaves them out.
func (m *memberEntries) readNewRows(ctx context.Context, conn *sql.Conn) error {
	return eachRow(ctx, conn, `SELECT minute, n, topic, entries FROM journal CROSS JOIN topics ON id = topic
		WHERE (minute, n) > (?, ?) ORDER BY minute, n`, []any{m.last.minute, m.last.n}, func(rows *sql.Rows) error {
		var id int64
		var entries sql.RawBytes
		if err := rows.Scan(&m.last.minute, &m.last.n, &id, &entries); err != nil {
			return err
		}
		topic, ok := m.ids[id]
		if !ok {
			return nil
		}
		for i := range len(entries) / entryBytes {
			if member, _ := entryAt(entries, i); m.topics[topic][member] {
				key := memberKey{id, member}
				m.positions[key] = append(m.positions[key], position{m.last.minute, m.last.n, i, id})
			}
		}
		return nil
	})
}
