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

// maxTakenBack is how many traces one transaction takes back: some milliseconds.
const maxTakenBack = 1000

// TakeBack takes back the contributions of traces, in transactions of some.
func (s *Store) TakeBack(ctx context.Context, traces []tally.Trace) (changes []tally.Change, err error) {
	places := make([]place, len(traces))
	for i := range traces {
		if places[i], err = parsePlace(traces[i].Place); err != nil {
			return nil, err
		}
	}
	for begin := 0; begin < len(traces); begin += maxTakenBack {
		end := min(begin+maxTakenBack, len(traces))
		// A copy for the writer, which may still be at work on it afterwards.
		some := slices.Clone(traces[begin:end])
		told := make(chan []tally.Change, 1)
		err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
			published, err := w.takeBack(some, places[begin:end])
			told <- published
			return published, err
		})
		if err != nil {
			return changes, err
		}
		changes = append(changes, <-told...)
	}
	return changes, nil
}

// takeBack takes back some traces, those of a topic in one change.
func (w *writer) takeBack(traces []tally.Trace, places []place) (changes []tally.Change, err error) {
	now := w.now()
	var order []tally.Topic
	topics := map[tally.Topic]*row{}
	before := map[tally.Topic]row{}
	for i, t := range traces {
		r := topics[t.Topic]
		if r == nil {
			found, err := w.find(t.Topic)
			if err != nil {
				return nil, err
			}
			if !tally.AdmitsEdits(found.mark, "") {
				return nil, tally.ErrFrozen
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
			return nil, err
		}
		if !there {
			continue
		}
		rule := w.catalog.Rule(t.Topic)
		amount, err := w.takeMember(rule, r.id, t.Member, time.Unix(t.Minute*60, 0))
		if err != nil {
			return nil, err
		}
		if rule.Kind == tally.Window {
			amount = 1 // whether the window still lasts or not
		}
		r.add(-min(amount, r.counted()))
	}
	for _, topic := range order {
		r := topics[topic]
		if *r == before[topic] {
			continue
		}
		r.version = tally.NextVersion(r.version, now.UnixMicro())
		if err := w.set(*r); err != nil {
			return nil, err
		}
		changes = append(changes, r.state(topic).Change)
	}
	return changes, nil
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

// marks are where the traces of members stand that are about to be withdrawn: they
// go with their contributions, since one that stayed could take back another time
// what a window counted.
type marks struct {
	topics  map[tally.Topic]map[tally.Member]bool // what was looked for
	ids     map[int64]tally.Topic
	through place // the last row that was looked at
	found   map[mark][]place
}

// mark is a member on a topic's id.
type mark struct {
	topic  int64
	member tally.Member
}

// tracesOf looks through the journal, which may take longer than the writer should
// be held.
func (s *Store) tracesOf(ctx context.Context, edits []tally.Edit) (m marks, err error) {
	m = marks{topics: map[tally.Topic]map[tally.Member]bool{}, ids: map[int64]tally.Topic{}, through: place{minute: -1}, found: map[mark][]place{}}
	for i := range edits {
		e := &edits[i]
		if e.Kind != tally.EditWithdraw {
			continue
		}
		members := m.topics[e.Topic]
		if members == nil {
			members = map[tally.Member]bool{}
			m.topics[e.Topic] = members
		}
		for _, member := range e.Members {
			members[member] = true
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
func (w *writer) forget(topic int64, members []tally.Member, m marks) error {
	for _, member := range members {
		for _, p := range m.found[mark{topic, member}] {
			if _, err := w.eraseTrace(topic, member, p); err != nil {
				return err
			}
		}
	}
	return nil
}
