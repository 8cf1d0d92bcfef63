package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxRevertBatch is how many journal entries one transaction reverts: some milliseconds.
const maxRevertBatch = 1000

// Revert implements [tally.Ledger], in transactions of [maxRevertBatch] entries.
func (s *Store) Revert(ctx context.Context, traces []tally.JournalEntry, preview bool) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	places := make([]position, len(traces))
	for i := range traces {
		if places[i], err = parsePosition(traces[i].Position); err != nil {
			return nil, nil, err
		}
	}
	found, err := s.revertedEntries(ctx, traces, places)
	if err != nil {
		return nil, nil, err
	}
	if preview {
		return found.filter(s.catalog, traces, places), nil, nil
	}
	for begin := 0; begin < len(traces); begin += maxRevertBatch {
		end := min(begin+maxRevertBatch, len(traces))
		// A copy for the writer, which may still be at work on it afterwards.
		some := slices.Clone(traces[begin:end])
		type result struct {
			reverted []tally.JournalEntry
			changes  []tally.Change
		}
		told := make(chan result, 1)
		err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
			taken, published, err := w.revert(some, places[begin:end], found)
			told <- result{taken, published}
			return published, err
		})
		if err != nil {
			return reverted, changes, err
		}
		r := <-told
		reverted, changes = append(reverted, r.reverted...), append(changes, r.changes...)
	}
	return reverted, changes, nil
}

// revertedEntries finds the entries of the traces' members in the journal, from the first of
// the traces on: those that say which is the newest of each.
func (s *Store) revertedEntries(ctx context.Context, traces []tally.JournalEntry, places []position) (*memberEntries, error) {
	m := newMemberEntries()
	for i := range traces {
		m.add(traces[i].Topic, traces[i].Member)
		if before := (position{minute: places[i].minute, n: places[i].n - 1}); i == 0 || before.compare(m.last) < 0 {
			m.last = before
		}
	}
	if len(m.topics) == 0 {
		return m, nil
	}
	return m, s.reading(ctx, "the journal", func() error {
		return s.snapshot(ctx, func(conn *sql.Conn) error { return m.load(ctx, conn) })
	})
}

// filter returns those of traces whose revert takes something back.
func (m *memberEntries) filter(catalog *tally.Catalog, traces []tally.JournalEntry, places []position) (some []tally.JournalEntry) {
	ids := map[tally.Topic]int64{}
	for id, topic := range m.ids {
		ids[topic] = id
	}
	for i, t := range traces {
		if m.takesBack(catalog.Rule(t.Topic), memberKey{ids[t.Topic], t.Member}, places[i]) {
			some = append(some, t)
		}
	}
	return some
}

// takesBack reports whether a revert of the entry at p takes back what its member
// contributes: in a window each entry was counted, else it must be the newest.
func (m *memberEntries) takesBack(rule tally.Rule, of memberKey, p position) bool {
	entries := m.found[of]
	if rule.Kind == tally.Window {
		return slices.Contains(entries, p)
	}
	return len(entries) > 0 && entries[len(entries)-1] == p
}

// revert reverts some entries, those of a topic in one change.
func (w *writer) revert(traces []tally.JournalEntry, places []position, entries *memberEntries) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	// A topic that was reset meanwhile has another id, under which none of the entries is.
	if err := entries.readNewRows(context.Background(), w.conn); err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	now := w.now()
	var order []tally.Topic
	topics := map[tally.Topic]*row{}
	before := map[tally.Topic]row{}
	for i, t := range traces {
		r := topics[t.Topic]
		if r == nil {
			found, err := w.find(t.Topic)
			if err != nil {
				return nil, nil, err
			}
			if !tally.AdmitsEdits(found.mark, "") {
				return nil, nil, tally.ErrFrozen
			}
			r = &found
			topics[t.Topic], before[t.Topic] = r, found
			order = append(order, t.Topic)
		}
		if r.id == 0 {
			continue
		}
		there, err := w.eraseEntry(r.id, t.Member, places[i])
		if err != nil {
			return nil, nil, err
		}
		rule := w.catalog.Rule(t.Topic)
		if !there || !entries.takesBack(rule, memberKey{r.id, t.Member}, places[i]) {
			continue
		}
		amount, err := w.removeMember(rule, r.id, t.Member, time.Unix(t.Minute*60, 0))
		if err != nil {
			return nil, nil, err
		}
		if rule.Kind == tally.Window {
			amount = 1 // whether the window still lasts or not
		}
		r.add(-min(amount, r.counted()))
		reverted = append(reverted, t)
	}
	for _, topic := range order {
		r := topics[topic]
		if *r == before[topic] {
			continue
		}
		r.version = tally.NextVersion(r.version, now.UnixMicro())
		if err := w.set(*r); err != nil {
			return nil, nil, err
		}
		changes = append(changes, r.state(topic).Change)
	}
	return reverted, changes, nil
}

// eraseEntry makes zeros of an entry. It tells whether it was there, of that topic
// and member.
func (w *writer) eraseEntry(topic int64, member tally.Member, p position) (there bool, err error) {
	var entries []byte
	err = w.getEntries.QueryRow(p.minute, p.n, topic).Scan(&entries)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	if found, _ := entryAt(entries, p.index); found != member || member == 0 {
		return false, nil
	}
	clear(entries[p.index*entryBytes:][:entryBytes])
	if _, err := w.setEntries.Exec(entries, p.minute, p.n); err != nil {
		return false, fmt.Errorf("erase a trace: %w", err)
	}
	return true, nil
}

// memberEntries are the places of some members' entries in the journal. Entries of a member
// that is withdrawn go with its contribution, since one that stayed could take back
// another time what a window counted.
type memberEntries struct {
	topics map[tally.Topic]map[tally.Member]bool // members whose entries are wanted
	ids    map[int64]tally.Topic
	last   position                 // the last row that was read
	found  map[memberKey][]position // the oldest first
}

// memberKey is a member on a topic's id.
type memberKey struct {
	topic  int64
	member tally.Member
}

func newMemberEntries() *memberEntries {
	return &memberEntries{topics: map[tally.Topic]map[tally.Member]bool{}, ids: map[int64]tally.Topic{}, last: position{minute: -1}, found: map[memberKey][]position{}}
}

// add adds a member whose entries are wanted.
func (m *memberEntries) add(topic tally.Topic, member tally.Member) {
	members := m.topics[topic]
	if members == nil {
		members = map[tally.Member]bool{}
		m.topics[topic] = members
	}
	members[member] = true
}

// withdrawnEntries looks through the journal, which may take longer than the writer should
// be held.
func (s *Store) withdrawnEntries(ctx context.Context, edits []tally.Edit) (*memberEntries, error) {
	m := newMemberEntries()
	for i := range edits {
		if e := &edits[i]; e.Kind == tally.EditWithdraw {
			for _, member := range e.Members {
				m.add(e.Topic, member)
			}
		}
	}
	if len(m.topics) == 0 {
		return m, nil
	}
	return m, s.reading(ctx, "the journal", func() error {
		return s.snapshot(ctx, func(conn *sql.Conn) error { return m.load(ctx, conn) })
	})
}

// loadNewEntries looks at the rows that came since.
func (w *writer) loadNewEntries(m *memberEntries) error {
	if len(m.topics) == 0 {
		return nil
	}
	return m.load(context.Background(), w.conn)
}

func (m *memberEntries) load(ctx context.Context, conn *sql.Conn) error {
	if err := m.resolveTopics(ctx, conn); err != nil {
		return err
	}
	return m.readNewRows(ctx, conn)
}

// resolveTopics looks up the ids of the topics.
func (m *memberEntries) resolveTopics(ctx context.Context, conn *sql.Conn) error {
	for topic := range m.topics {
		var id int64
		err := conn.QueryRowContext(ctx, `SELECT id FROM topics WHERE site = ? AND metric = ? AND key = ?`,
			topic.Site(), topic.Metric(), topic.Key()).Scan(&id)
		if err == nil {
			m.ids[id] = topic
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

// readNewRows reads the rows after the last one that was read.
func (m *memberEntries) readNewRows(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, `SELECT minute, n, topic, entries FROM journal WHERE (minute, n) > (?, ?) ORDER BY minute, n`,
		m.last.minute, m.last.n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var entries sql.RawBytes
		if err := rows.Scan(&m.last.minute, &m.last.n, &id, &entries); err != nil {
			return err
		}
		topic, ok := m.ids[id]
		if !ok {
			continue
		}
		for i := range len(entries) / entryBytes {
			if member, _ := entryAt(entries, i); m.topics[topic][member] {
				at := memberKey{id, member}
				m.found[at] = append(m.found[at], position{m.last.minute, m.last.n, i})
			}
		}
	}
	return rows.Err()
}

// eraseEntries erases the traces of members on the topic of that id.
func (w *writer) eraseEntries(topic int64, members []tally.Member, m *memberEntries) error {
	for _, member := range members {
		for _, p := range m.found[memberKey{topic, member}] {
			if _, err := w.eraseEntry(topic, member, p); err != nil {
				return err
			}
		}
	}
	return nil
}
