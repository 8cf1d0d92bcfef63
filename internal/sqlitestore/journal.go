package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// entryBytes is the length of an entry: member and source.
const entryBytes = 8 + 4

// rowsAtOnce is how many rows one statement stores where many topics changed: a
// statement costs more than a row.
const rowsAtOnce = 16

// journalBuffer gathers the rows of a transaction, and numbers them within a minute.
type journalBuffer struct {
	entries []byte // of all rows
	row     int    // where those of the row to come begin
	values  []any  // of the rows: minute, n, topic, entries
	minute  int64
	n       int64 // of the next row in that minute
}

// add adds a trace to the row to come.
func (j *journalBuffer) add(write *tally.Write) {
	j.entries = binary.BigEndian.AppendUint64(j.entries, uint64(write.Member))
	j.entries = binary.BigEndian.AppendUint32(j.entries, uint32(write.Source))
}

// reset forgets what a transaction left that was rolled back.
func (j *journalBuffer) reset() {
	clear(j.values)
	j.entries, j.row, j.values = j.entries[:0], 0, j.values[:0]
}

// endRow makes a row of what was noted, as done to the topic of that id.
func (w *writer) endRow(topic int64, now time.Time) error {
	j := &w.buffer
	if len(j.entries) == j.row {
		return nil
	}
	if minute := minuteOf(now); minute != j.minute {
		// The clock may have gone back to a minute that has rows.
		if err := w.conn.QueryRowContext(context.Background(),
			`SELECT coalesce(max(n), -1) + 1 FROM journal WHERE minute = ?`, minute).Scan(&j.n); err != nil {
			return fmt.Errorf("begin a minute of the journal: %w", err)
		}
		j.minute = minute
	}
	j.values = append(j.values, j.minute, j.n, topic, j.entries[j.row:len(j.entries):len(j.entries)])
	j.n++
	j.row = len(j.entries)
	return nil
}

// storeJournal stores the rows.
func (w *writer) storeJournal() error {
	const columns = 4
	for values := w.buffer.values; len(values) > 0; {
		statement, n := w.addJournalRow, columns
		if len(values) >= columns*rowsAtOnce {
			statement, n = w.addJournalRows, columns*rowsAtOnce
		}
		if _, err := statement.Exec(values[:n]...); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
		values = values[n:]
	}
	return nil
}

// position is where a trace stands.
type position struct {
	minute, n int64
	index     int // of the entry
}

func (p position) String() string { return fmt.Sprintf("%d.%d.%d", p.minute, p.n, p.index) }

// compare orders places by age, the oldest first.
func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.minute, q.minute), cmp.Compare(p.n, q.n), p.index-q.index)
}

func parsePosition(text string) (p position, err error) {
	if _, err = fmt.Sscanf(text, "%d.%d.%d", &p.minute, &p.n, &p.index); err == nil && (p.index < 0 || p.String() != text) {
		err = errors.New("not of this form")
	}
	if err != nil {
		return p, tally.Errorf(tally.CodeBadBody, "%q is no place in the journal of an SQLite file", text)
	}
	return p, nil
}

// entryAt returns the entry at index, 0 where there is none or none any more.
func entryAt(entries []byte, index int) (tally.Member, tally.Source) {
	at := index * entryBytes
	if at+entryBytes > len(entries) {
		return 0, 0
	}
	return tally.Member(binary.BigEndian.Uint64(entries[at:])), tally.Source(binary.BigEndian.Uint32(entries[at+8:]))
}

// Journal hands over traces of one snapshot.
func (r *Reader) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if r.journalRetention > 0 {
		from = max(from, r.journalBegin())
	}
	within, args := scopeCondition(scope, nil)
	var ended error // by each
	err := r.reading(ctx, "the journal", func() error {
		rows, err := r.db.QueryContext(ctx, `SELECT minute, n, site, metric, key, entries
			FROM journal JOIN topics ON id = topic WHERE minute BETWEEN ? AND ? AND `+within+`
			ORDER BY site, metric, topics.key, minute, n`, append([]any{from, to}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		ended, err = passEntries(rows, each)
		return err
	})
	if ended != nil {
		return ended
	}
	return err
}

// passEntries hands over what rows tell.
func passEntries(rows *sql.Rows, each func([]tally.JournalEntry) error) (ended, err error) {
	var portion []tally.JournalEntry
	for rows.Next() {
		var p position
		var site, metric, key string
		var entries sql.RawBytes
		if err := rows.Scan(&p.minute, &p.n, &site, &metric, &key, &entries); err != nil {
			return nil, err
		}
		topic, err := tally.NewTopic(site, metric, key)
		if err != nil {
			return nil, fmt.Errorf("stored topic %q: %w", site+"/"+metric+"/"+key, err)
		}
		for p.index = range len(entries) / entryBytes {
			member, source := entryAt(entries, p.index)
			if member == 0 {
				continue
			}
			portion = append(portion, tally.JournalEntry{Topic: topic, Member: member, Minute: p.minute, Source: source, Position: p.String()})
		}
		if len(portion) >= tally.MaxPortion {
			if err := each(portion); err != nil {
				return err, nil
			}
			portion = nil
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(portion) > 0 {
		return each(portion), nil
	}
	return nil, nil
}
