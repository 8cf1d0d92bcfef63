package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/tallycast/tallycast/internal/tally"
)

// readStatements are the prepared statements of visitors' reads.
type readStatements struct {
	read, top, history, readers, gains, gainsOf *sql.Stmt
}

func (s *readStatements) prepare(ctx context.Context, db *sql.DB) (err error) {
	// The parameter is a JSON array of [site, metric, key, member, end of the window], so
	// that one statement reads a thousand topics from one snapshot. An unknown topic has no
	// row. The end is 0 for metrics without windows.
	s.read, err = db.PrepareContext(ctx, `
		SELECT asked.key, topics.count, topics.version, topics.options,
			CASE asked.value ->> 4
			WHEN 0 THEN (SELECT amount FROM contributions
				WHERE topic = topics.id AND member = asked.value ->> 3)
			ELSE (SELECT 1 FROM seen
				WHERE window_end = asked.value ->> 4 AND topic = topics.id AND member = asked.value ->> 3)
			END
		FROM json_each(?) AS asked
		CROSS JOIN topics ON site = asked.value ->> 0 AND metric = asked.value ->> 1 AND topics.key = asked.value ->> 2`)
	if err != nil {
		return fmt.Errorf("prepare to read: %w", err)
	}
	s.top, err = db.PrepareContext(ctx, `
		SELECT key, count, version, options FROM topics
		WHERE site = ? AND metric = ? AND count > 0 ORDER BY count DESC, key LIMIT ?`)
	if err != nil {
		return fmt.Errorf("prepare to read: %w", err)
	}
	if err := s.prepareHistory(ctx, db); err != nil {
		return err
	}
	return s.prepareGains(ctx, db)
}

// Read answers all queries from one snapshot of the file.
func (s *Store) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	readings := make([]tally.Reading, len(queries))
	err := s.reading(ctx, "topics", func() error { return s.read(ctx, queries, readings) })
	for i, query := range queries {
		if err != nil {
			readings[i] = tally.Reading{Err: err}
		}
		readings[i].Change.Topic = query.Topic
		if err == nil && readings[i].Change.Version == 0 {
			readings[i].Change.Version = s.finalVersions.get(query.Topic)
		}
	}
	return readings
}

// Contributions implements [tally.Ledger].
func (s *Store) Contributions(ctx context.Context, queries []tally.Query) ([]int64, error) {
	amounts := make([]int64, len(queries))
	for i, reading := range s.Read(ctx, queries) {
		if reading.Err != nil {
			return nil, reading.Err
		}
		amounts[i] = reading.Mine
	}
	return amounts, nil
}

func (s *Store) read(ctx context.Context, queries []tally.Query, readings []tally.Reading) error {
	asked := make([]byte, 1, 1+len(queries)*len(`["default","likes","a-page-of-usual-length",-1234567890123456789,0],`))
	asked[0] = '['
	indexes := make([]int, 0, len(queries)) // in readings, of the queries asked
	now := s.now()
	for i, query := range queries {
		rule := s.catalog.Rule(query.Topic)
		if rule.Kind == tally.Presence {
			readings[i].Change = s.presence.read(query.Topic)
			continue
		}
		readings[i].Change.Options = rule.NoOptions()
		var end int64
		if rule.Kind == tally.Window {
			end = rule.WindowEnd(now)
		}
		if len(indexes) > 0 {
			asked = append(asked, ',')
		}
		asked = appendQuery(asked, query, end)
		indexes = append(indexes, i)
	}
	if len(indexes) == 0 {
		return nil
	}
	rows, err := s.statements.read.QueryContext(ctx, string(append(asked, ']')))
	return scanRows(rows, err, func(rows *sql.Rows) error {
		var at int
		var change tally.Change
		var options string
		var mine sql.NullInt64
		if err := rows.Scan(&at, &change.Count, &change.Version, &options, &mine); err != nil {
			return err
		}
		change.Topic = queries[indexes[at]].Topic
		err := s.setOptions(&change, options)
		readings[indexes[at]] = tally.Reading{Change: change, Mine: mine.Int64}
		return err
	})
}

// setOptions sets the options of a change to those in the column options.
func (s *Store) setOptions(change *tally.Change, column string) error {
	state := tally.State{Change: *change}
	err := parseOptions(s.catalog.Rule(change.Topic), column, &state)
	change.Options = state.Options
	return err
}

// appendQuery appends one query in the form of the statement's parameter.
func appendQuery(dst []byte, query tally.Query, windowEnd int64) []byte {
	dst = append(dst, '[')
	for _, part := range [...]string{query.Topic.Site(), query.Topic.Metric(), query.Topic.Key()} {
		dst = tally.AppendJSONString(dst, part)
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(dst, int64(query.Member), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, windowEnd, 10)
	return append(dst, ']')
}

// Top implements [tally.Ranker] with an index; it is never behind.
func (s *Store) Top(ctx context.Context, site, metric string, limit int) (changes []tally.Change, err error) {
	err = s.reading(ctx, "the highest counts", func() error {
		if s.catalog.MetricRule(metric).Kind == tally.Presence {
			changes = s.presence.top(site, metric, limit)
			return nil
		}
		rows, err := s.statements.top.QueryContext(ctx, site, metric, max(0, limit))
		return scanRows(rows, err, func(rows *sql.Rows) error {
			var key, options string
			var change tally.Change
			err := rows.Scan(&key, &change.Count, &change.Version, &options)
			if err == nil {
				change.Topic, err = tally.NewTopic(site, metric, key)
			}
			if err == nil {
				err = s.setOptions(&change, options)
			}
			changes = append(changes, change)
			return err
		})
	})
	return changes, err
}
