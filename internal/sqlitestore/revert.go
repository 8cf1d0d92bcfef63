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

// maxReverted is how many journal entries one transaction reverts: some milliseconds.
const maxReverted = 1000

// Revert implements [tally.Ledger], in transactions of [maxReverted] entries.
func (s *Store) Revert(ctx context.Context, traces []tally.JournalEntry, preview bool) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	places := make([]place, len(traces))
	for i := range traces {
		if places[i], err = parsePlace(traces[i].Position); err != nil {
			return nil, nil, err
		}
	}
	found, err := s.entriesOf(ctx, traces, places)
	if err != nil {
		return nil, nil, err
	}
	if preview {
		return found.effective(s.catalog, traces, places), nil, nil
	}
	for begin := 0; begin < len(traces); begin += maxReverted {
		end := min(begin+maxReverted, len(traces))
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

// entriesOf finds the entries of the traces' members in the journal, from the first of
// the traces on: those that say which is the newest of each.
func (s *Store) entriesOf(ctx context.Context, traces []tally.JournalEntry, places []place) (*marks, error) {
	m := newMarks()
	for i := range traces {
		m.want(traces[i].Topic, traces[i].Member)
		if before := (place{minute: places[i].minute, n: places[i].n - 1}); i == 0 || before.compare(m.through) < 0 {
			m.through = before
		}
	}
	if len(m.topics) == 0 {
		return m, nil
	}
	return m, s.reading(ctx, "the journal", func() error {
		return s.snapshot(ctx, func(conn *sql.Conn) error { return m.look(ctx, conn) })
	})
}

// effective returns those of traces whose revert takes something back.
func (m *marks) effective(catalog *tally.Catalog, traces []tally.JournalEntry, places []place) (some []tally.JournalEntry) {
	ids := map[tally.Topic]int64{}
	for id, topic := range m.ids {
		ids[topic] = id
	}
	for i, t := range traces {
		if m.takes(catalog.Rule(t.Topic), mark{ids[t.Topic], t.Member}, places[i]) {
			some = append(some, t)
		}
	}
	return some
}

// takes reports whether a revert of the entry at p takes back what its member
// contributes: in a window each entry was counted, else it must be the newest.
func (m *marks) takes(rule tally.Rule, of mark, p place) bool {
	entries := m.found[of]
	if rule.Kind == tally.Window {
		return slices.Contains(entries, p)
	}
	return len(entries) > 0 && entries[len(entries)-1] == p
}

// revert reverts some entries, those of a topic in one change.
func (w *writer) revert(traces []tally.JournalEntry, places []place, entries *marks) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	// A topic that was reset meanwhile has another id, under which none of the entries is.
	if err := entries.read(context.Background(), w.conn); err != nil {
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
		there, err := w.eraseTrace(r.id, t.Member, places[i])
		if err != nil {
			return nil, nil, err
		}
		rule := w.catalog.Rule(t.Topic)
		if !there || !entries.takes(rule, mark{r.id, t.Member}, places[i]) {
			continue
		}
		amount, err := w.takeMember(rule, r.id, t.Member, time.Unix(t.Minute*60, 0))
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

// eraseTrace makes zeros of an entry. It tells whether it was there, of that topic
// and member.
func (w *writer) eraseTrace(topic int64, member tally.Member, p place) (there bool, err error) {
	var entries []byte
	err = w.getTraces.QueryRow(p.minute, p.n, topic).Scan(&entries)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	if found, _ := trace(entries, p.index); found != member || member == 0 {
		return false, nil
	}
	clear(entries[p.index*traceBytes:][:traceBytes])
	if _, err := w.setTraces.Exec(entries, p.minute, p.n); err != nil {
		return false, fmt.Errorf("erase a trace: %w", err)
	}
	return true, nil
}

// marks are the places of some members' entries in the journal. Entries of a member
// that is withdrawn go with its contribution, since one that stayed could take back
// another time what a window counted.
type marks struct {
	topics  map[tally.Topic]map[tally.Member]bool // members whose entries are wanted
	ids     map[int64]tally.Topic
	through place            // the last row that was read
	found   map[mark][]place // the oldest first
}

// mark is a member on a topic's id.
type mark struct {
	topic  int64
	member tally.Member
}

func newMarks() *marks {
	return &marks{topics: map[tally.Topic]map[tally.Member]bool{}, ids: map[int64]tally.Topic{}, through: place{minute: -1}, found: map[mark][]place{}}
}

// want adds a member whose entries are wanted.
func (m *marks) want(topic tally.Topic, member tally.Member) {
	members := m.topics[topic]
	if members == nil {
		members = map[tally.Member]bool{}
		m.topics[topic] = members
	}
	members[member] = true
}

// tracesOf looks through the journal, which may take longer than the writer should
// be held.
func (s *Store) tracesOf(ctx context.Context, edits []tally.Edit) (*marks, error) {
	m := newMarks()
	for i := range edits {
		if e := &edits[i]; e.Kind == tally.EditWithdraw {
			for _, member := range e.Members {
				m.want(e.Topic, member)
			}
		}
	}
	if len(m.topics) == 0 {
		return m, nil
	}
	return m, s.reading(ctx, "the journal", func() error {
		return s.snapshot(ctx, func(conn *sql.Conn) error { return m.look(ctx, conn) })
	})
}

// complete looks at the rows that came since.
func (w *writer) complete(m *marks) error {
	if len(m.topics) == 0 {
		return nil
	}
	return m.look(context.Background(), w.conn)
}

func (m *marks) look(ctx context.Context, conn *sql.Conn) error {
	if err := m.resolve(ctx, conn); err != nil {
		return err
	}
	return m.read(ctx, conn)
}

// resolve looks up the ids of the topics.
func (m *marks) resolve(ctx context.Context, conn *sql.Conn) error {
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

// read reads the rows after the last one that was read.
func (m *marks) read(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, `SELECT minute, n, topic, entries FROM journal WHERE (minute, n) > (?, ?) ORDER BY minute, n`,
		m.through.minute, m.through.n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var entries sql.RawBytes
		if err := rows.Scan(&m.through.minute, &m.through.n, &id, &entries); err != nil {
			return err
		}
		topic, ok := m.ids[id]
		if !ok {
			continue
		}
		for i := range len(entries) / traceBytes {
			if member, _ := trace(entries, i); m.topics[topic][member] {
				at := mark{id, member}
				m.found[at] = append(m.found[at], place{m.through.minute, m.through.n, i})
			}
		}
	}
	return rows.Err()
}

// forget erases the traces of members on the topic of that id.
func (w *writer) forget(topic int64, members []tally.Member, m *marks) error {
	for _, member := range members {
		for _, p := range m.found[mark{topic, member}] {
			if _, err := w.eraseTrace(topic, member, p); err != nil {
				return err
			}
		}
	}
	return nil
}
