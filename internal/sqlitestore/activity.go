package sqlitestore

import (
	"context"
	"database/sql"
	"maps"

	"github.com/tallycast/tallycast/internal/tally"
)

// WriteHeartbeat adds the writes of a heartbeat to the activity. It ignores the status: no
// other instance uses the file.
func (s *Store) WriteHeartbeat(ctx context.Context, heartbeat tally.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return s.unavailable("write the activity to", err)
	}
	writes := maps.Clone(heartbeat.Writes)
	maps.DeleteFunc(writes, func(_ string, n int64) bool { return n == 0 })
	if len(writes) == 0 {
		return nil
	}
	// A heartbeat whose end is unknown would be counted again with the next one. So the call waits for the
	// commit, which may take longer than ctx.
	return s.updateUntil(ctx, nil, func(w *writer) ([]tally.Change, error) {
		minute := minuteOf(w.now())
		for site, n := range writes {
			if err := w.exec(`INSERT INTO activity (minute, site, writes) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET writes = writes + excluded.writes`, minute, site, n); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// Heartbeats returns none: no other instance uses the file.
func (s *Store) Heartbeats(context.Context) ([]tally.Heartbeat, error) { return nil, nil }

// Activity returns the writes of each minute.
func (r *Reader) Activity(ctx context.Context, from int64) (activity []tally.Activity, err error) {
	err = r.reading(ctx, "the activity", func() error {
		return eachRow(ctx, r.db, `SELECT site, minute, writes FROM activity WHERE minute >= ? ORDER BY minute, site`,
			[]any{max(from, r.activityBegin())}, func(rows *sql.Rows) error {
				var a tally.Activity
				err := rows.Scan(&a.Site, &a.Minute, &a.Writes)
				activity = append(activity, a)
				return err
			})
	})
	return activity, err
}
