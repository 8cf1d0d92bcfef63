package sqlitestore

import (
	"context"
	"database/sql"

	"github.com/tallycast/tallycast/internal/tally"
)

// Dump reads one snapshot of the file on its own connection. It does not block writes, but
// SQLite cannot checkpoint its write-ahead log until Dump ends.
func (r *Reader) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return r.reading(ctx, "all topics", func() error {
		return snapshot(ctx, r.db, func(conn *sql.Conn) error {
			d := &dump{reader: r, conn: conn, each: stopping(each)}
			return d.run(ctx, scope)
		})
	})
}

// dump is the state of a running [Reader.Dump].
type dump struct {
	reader *Reader
	conn   *sql.Conn
	each   func(tally.Portion) error

	contributions, seen, past *sql.Stmt
}

// topicRow is a topic and its id.
type topicRow struct {
	id int64
	tally.State
}

func (d *dump) run(ctx context.Context, scope tally.Scope) (err error) {
	if d.contributions, err = d.conn.PrepareContext(ctx, `SELECT member, amount FROM contributions WHERE topic = ? ORDER BY member`); err != nil {
		return err
	}
	defer d.contributions.Close()
	if d.seen, err = d.conn.PrepareContext(ctx, `SELECT member, 1 FROM seen WHERE topic = ? AND window_end = ? ORDER BY member`); err != nil {
		return err
	}
	defer d.seen.Close()
	if d.past, err = d.conn.PrepareContext(ctx, pastQuery); err != nil {
		return err
	}
	defer d.past.Close()
	var last tally.Topic
	for {
		page, err := d.page(ctx, scope, last)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, topic := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.topic(topic); err != nil {
				return err
			}
		}
		last = page[len(page)-1].Topic
	}
}

// page returns the topics after last, or the first ones if last is zero.
func (d *dump) page(ctx context.Context, scope tally.Scope, last tally.Topic) (page []topicRow, err error) {
	listing := tally.Listing{Scope: scope, Limit: tally.MaxPortion}
	var cursor *tally.Cursor
	if last != (tally.Topic{}) {
		cursor = &tally.Cursor{Topic: last}
	}
	for _, after := range afterCursor(listing, cursor) {
		query, args := d.reader.listQuery(listing, after)
		err = eachRow(ctx, d.conn, query, args, func(rows *sql.Rows) error {
			id, state, err := d.reader.scanState(rows)
			page = append(page, topicRow{id, state})
			return err
		})
		if err != nil || len(page) > listing.Limit {
			break
		}
	}
	return page, err
}

// topic calls d.each with the portions of one topic.
func (d *dump) topic(t topicRow) (err error) {
	var rows *sql.Rows
	if rule := d.reader.catalog.Rule(t.Topic); rule.Kind == tally.Window {
		rows, err = d.seen.Query(t.id, rule.WindowEnd(d.reader.now()))
	} else {
		rows, err = d.contributions.Query(t.id)
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	portion := tally.Portion{State: t.State, Sum: t.Sum(), First: true}
	for rows.Next() {
		if len(portion.Contributions) == tally.MaxPortion {
			if err := d.each(portion); err != nil {
				return err
			}
			portion.First, portion.Contributions = false, nil
		}
		var member, amount int64
		if err := rows.Scan(&member, &amount); err != nil {
			return err
		}
		portion.Contributions = append(portion.Contributions, tally.Contribution{Member: tally.Member(member), Amount: amount})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if portion.Past, err = d.readPast(t); err != nil {
		return err
	}
	portion.Last = true
	return d.each(portion)
}

// pastQuery reads the history of a topic. Without records it returns one row.
const pastQuery = `SELECT prior, is_complete, period, number, gain, history.adjustment
	FROM topics LEFT JOIN history ON topic = topics.id WHERE topics.id = ? ORDER BY period, number`

// readPast returns the history of a topic; nil if no change was recorded.
func (d *dump) readPast(t topicRow) (p *tally.Past, err error) {
	var prior sql.NullInt64
	p = &tally.Past{}
	rows, err := d.past.Query(t.id)
	err = scanRows(rows, err, func(rows *sql.Rows) error {
		var period, number, gain, adjustment sql.NullInt64
		err := rows.Scan(&prior, &p.IsComplete, &period, &number, &gain, &adjustment)
		switch record := (tally.Record{Number: number.Int64, Sum: gain.Int64, Adjustment: adjustment.Int64}); tally.Period(period.Int64) {
		case tally.Hour:
			p.Hours = append(p.Hours, record)
		case tally.Day:
			p.Days = append(p.Days, record)
		}
		return err
	})
	if err != nil || !prior.Valid {
		return nil, err
	}
	p.AddState(&t.State, prior.Int64)
	return p, nil
}
