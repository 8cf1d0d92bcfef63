package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// entryBytes is the length of a journal entry: member and source.
const entryBytes = 8 + 4

// rowsAtOnce is the number of rows that one statement stores if many topics changed, since a
// statement costs more than a row.
const rowsAtOnce = 16

// addJournalRow and addJournalRows insert one row and rowsAtOnce rows.
const addJournalRow = `INSERT INTO journal (minute, n, topic, entries) VALUES (?, ?, ?, ?)`

var addJournalRows = addJournalRow + strings.Repeat(`, (?, ?, ?, ?)`, rowsAtOnce-1)

// journalBuffer collects the journal rows of a transaction and numbers them within a minute.
type journalBuffer struct {
	entries []byte // of all rows
	begin   int    // of the next row, in entries
	values  []any  // minute, n, topic and entries of each row
	minute  int64
	n       int64 // of the next row in minute
}

// add adds a write to the next row.
func (j *journalBuffer) add(write *tally.Write) {
	j.entries = binary.BigEndian.AppendUint64(j.entries, uint64(write.Member))
	j.entries = binary.BigEndian.AppendUint32(j.entries, uint32(write.Source))
}

// reset drops the rows of an earlier transaction.
func (j *journalBuffer) reset() {
	clear(j.values)
	j.entries, j.begin, j.values = j.entries[:0], 0, j.values[:0]
}

// endRow ends the current row, if it has entries. topic is the id of its topic.
func (w *writer) endRow(topic int64, now time.Time) error {
	j := &w.buffer
	if len(j.entries) == j.begin {
		return nil
	}
	if minute := minuteOf(now); minute != j.minute {
		// The clock may have gone back to a minute that has rows.
		if _, err := w.get(`SELECT coalesce(max(n), -1) + 1 FROM journal WHERE minute = ?`, []any{minute}, &j.n); err != nil {
			return err
		}
		j.minute = minute
	}
	j.values = append(j.values, j.minute, j.n, topic, j.entries[j.begin:len(j.entries):len(j.entries)])
	j.n++
	j.begin = len(j.entries)
	return nil
}

// storeJournal stores the collected rows.
func (w *writer) storeJournal() error {
	const columns = 4
	for values := w.buffer.values; len(values) > 0; {
		query, n := addJournalRow, columns
		if len(values) >= columns*rowsAtOnce {
			query, n = addJournalRows, columns*rowsAtOnce
		}
		if err := w.exec(query, values[:n]...); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// position is the place of an entry in the journal, with the id of its topic.
type position struct {
	minute, n int64
	index     int // of the entry
	topic     int64
}

func (p position) String() string {
	text := make([]byte, 0, 40)
	for i, number := range [...]int64{p.minute, p.n, int64(p.index), p.topic} {
		if i > 0 {
			text = append(text, '.')
		}
		text = strconv.AppendInt(text, number, 10)
	}
	return string(text)
}

// row returns the position of the first entry of the same row.
func (p position) row() position {
	p.index = 0
	return p
}

// compare orders positions by age, the oldest first.
func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.minute, q.minute), cmp.Compare(p.n, q.n), p.index-q.index)
}

func parsePosition(text string) (p position, err error) {
	rest, index := text, int64(0)
	for _, number := range []*int64{&p.minute, &p.n, &index, &p.topic} {
		var first string
		first, rest, _ = strings.Cut(rest, ".")
		*number, _ = strconv.ParseInt(first, 10, 64) // compared below
	}
	if p.index = int(index); index < 0 || p.String() != text {
		return p, tally.Errorf(tally.CodeBadBody, "%q is not a position in the journal of an SQLite file", text)
	}
	return p, nil
}

// entryAt returns the entry at index, zeros if there is none or it was reverted.
func entryAt(entries []byte, index int) (tally.Member, tally.Source) {
	at := index * entryBytes
	if at+entryBytes > len(entries) {
		return 0, 0
	}
	return tally.Member(binary.BigEndian.Uint64(entries[at:])), tally.Source(binary.BigEndian.Uint32(entries[at+8:]))
}

// Journal passes the entries of one snapshot. It copies them first: SQLite cannot reuse the
// write-ahead log while a snapshot is read, and a caller that reverts takes long and writes much.
func (r *Reader) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	return r.reading(ctx, "the journal", func() error {
		conn, err := r.db.Conn(ctx)
		if err != nil {
			return err
		}
		// Closes the connection, and with it the table, which exists even after an error if ctx
		// ended late.
		defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }()
		query, args := r.journalQuery(scope, from, to)
		if _, err := conn.ExecContext(ctx, `CREATE TEMP TABLE found AS `+query, args...); err != nil {
			return err
		}
		return passEntries(ctx, conn, `SELECT * FROM found ORDER BY rowid`, nil, each)
	})
}

// SearchJournal is [Reader.Journal] for a caller that is quick. It passes the entries while it
// reads the snapshot.
func (r *Reader) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	return r.reading(ctx, "the journal", func() error {
		query, args := r.journalQuery(scope, from, to)
		return passEntries(ctx, r.db, query, args, each)
	})
}

// passEntries passes the entries of a query to each, in portions.
func passEntries(ctx context.Context, db rowQuerier, query string, args []any, each func([]tally.JournalEntry) error) error {
	var portion []tally.JournalEntry
	pass := stopping(each)
	err := eachRow(ctx, db, query, args, func(rows *sql.Rows) (err error) {
		if portion, err = appendEntries(portion, rows); err != nil || len(portion) < tally.MaxPortion {
			return err
		}
		err = pass(portion)
		portion = nil
		return err
	})
	if err != nil || len(portion) == 0 {
		return err
	}
	return pass(portion)
}

// journalQuery returns the query for the journal's rows of scope within its retention, topic by
// topic, and its arguments. The journal has no index by topic, and is small in comparison with
// the topics. So the query sorts the journal's rows by the id of their topic before it reads the
// topics.
func (r *Reader) journalQuery(scope tally.Scope, from, to int64) (query string, args []any) {
	if r.journalRetention > 0 {
		from = max(from, r.journalBegin())
	}
	within, scopeArgs := scopeCondition(scope, nil)
	query, args = `WITH recent AS MATERIALIZED (SELECT minute, n, topic, entries FROM journal WHERE minute BETWEEN ? AND ?`, []any{from, to}
	if scope.Exact {
		query, args = query+` AND topic IN (SELECT id FROM topics WHERE `+within+`)`, append(args, scopeArgs...)
	}
	return query + ` ORDER BY topic, minute, n)
		SELECT minute, n, id, site, metric, topics.key, entries FROM recent CROSS JOIN topics ON id = topic WHERE ` + within, append(args, scopeArgs...)
}

// appendEntries appends the entries of the current row to dst, except reverted ones.
func appendEntries(dst []tally.JournalEntry, rows *sql.Rows) ([]tally.JournalEntry, error) {
	var p position
	var site, metric, key string
	var entries sql.RawBytes
	if err := rows.Scan(&p.minute, &p.n, &p.topic, &site, &metric, &key, &entries); err != nil {
		return nil, err
	}
	topic, err := tally.NewTopic(site, metric, key)
	if err != nil {
		return nil, fmt.Errorf("stored topic %q: %w", site+"/"+metric+"/"+key, err)
	}
	for p.index = range len(entries) / entryBytes {
		if member, source := entryAt(entries, p.index); member != 0 {
			dst = append(dst, tally.JournalEntry{Topic: topic, Member: member, Minute: p.minute, Source: source, Position: p.String()})
		}
	}
	return dst, nil
}
