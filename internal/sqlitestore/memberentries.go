package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// memberEntries has the positions of the journal entries of some members. If a contribution is
// withdrawn, the entries of its member are erased too: in a metric with windows, the revert of
// a remaining entry would take the contribution back a second time.
type memberEntries struct {
	last      position                 // of the last row that was read
	positions map[memberKey][]position // has a key for each of the members
}

// memberKey is a member of the topic with an id.
type memberKey struct {
	topic  int64
	member tally.Member
}

func newMemberEntries() *memberEntries {
	return &memberEntries{last: position{minute: -1}, positions: map[memberKey][]position{}}
}

// add adds a member, whose entries later calls of readNewRows find.
func (m *memberEntries) add(topic int64, member tally.Member) {
	key := memberKey{topic, member}
	if _, ok := m.positions[key]; !ok {
		m.positions[key] = nil
	}
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

// withdrawnMembers returns the members that edits withdraw, by topic.
func withdrawnMembers(edits []tally.Edit) map[tally.Topic][]tally.Member {
	withdrawn := map[tally.Topic][]tally.Member{}
	for i := range edits {
		if e := &edits[i]; e.Kind == tally.EditWithdraw {
			withdrawn[e.Topic] = append(withdrawn[e.Topic], e.Members...)
		}
	}
	return withdrawn
}

// load adds the members of topics, whose ids may have changed since the last load, and reads the
// new rows.
func (m *memberEntries) load(ctx context.Context, conn *sql.Conn, topics map[tally.Topic][]tally.Member) error {
	if len(topics) == 0 {
		return nil
	}
	find, err := conn.PrepareContext(ctx, `SELECT id FROM topics WHERE site = ? AND metric = ? AND key = ?`)
	if err != nil {
		return err
	}
	defer find.Close()
	for topic, members := range topics {
		var id int64
		switch err := find.QueryRowContext(ctx, topic.Site(), topic.Metric(), topic.Key()).Scan(&id); {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return err
		}
		for _, member := range members {
			m.add(id, member)
		}
	}
	return m.readNewRows(ctx, conn)
}

// readNewRows reads the rows after the last one that was read.
func (m *memberEntries) readNewRows(ctx context.Context, conn *sql.Conn) error {
	return eachRow(ctx, conn, `SELECT minute, n, topic, entries FROM journal
		WHERE (minute, n) > (?, ?) ORDER BY minute, n`, []any{m.last.minute, m.last.n}, func(rows *sql.Rows) error {
		var id int64
		var entries sql.RawBytes
		if err := rows.Scan(&m.last.minute, &m.last.n, &id, &entries); err != nil {
			return err
		}
		for i := range len(entries) / entryBytes {
			member, _ := entryAt(entries, i)
			key := memberKey{id, member}
			if before, ok := m.positions[key]; ok {
				m.positions[key] = append(before, position{m.last.minute, m.last.n, i, id})
			}
		}
		return nil
	})
}
