package sqlitestore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// pulses are those of this process, the only one that can be alive. They live in
// memory and end with it, so that an idle service leaves its disk alone.
type pulses struct {
	now func() time.Time // fixed

	mu   sync.Mutex
	last map[string]pulse // by instance
}

type pulse struct {
	status []byte
	at     time.Time
}

func newPulses(now func() time.Time) *pulses { return &pulses{now: now, last: map[string]pulse{}} }

func (p *pulses) note(instance string, status []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[instance] = pulse{slices.Clone(status), p.now()}
}

// alive returns those that are, and forgets the others.
func (p *pulses) alive() (alive []tally.Heartbeat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	maps.DeleteFunc(p.last, func(_ string, last pulse) bool { return now.Sub(last.at) >= tally.HeartbeatTTL })
	for instance, last := range p.last {
		alive = append(alive, tally.Heartbeat{Instance: instance, Status: slices.Clone(last.status)})
	}
	slices.SortFunc(alive, func(a, b tally.Heartbeat) int { return cmp.Compare(a.Instance, b.Instance) })
	return alive
}

// WriteHeartbeat stores a pulse; the file is written where there were writes.
func (s *Store) WriteHeartbeat(ctx context.Context, pulse tally.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return s.unavailable("tell a pulse to", err)
	}
	writes := maps.Clone(pulse.Writes)
	maps.DeleteFunc(writes, func(_ string, n int64) bool { return n == 0 })
	if len(writes) > 0 {
		err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
			minute := minuteOf(w.now())
			for site, n := range writes {
				if err := w.exec(`INSERT INTO activity (minute, site, writes) VALUES (?, ?, ?)
					ON CONFLICT DO UPDATE SET writes = writes + excluded.writes`, minute, site, n); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err != nil {
			return err
		}
	}
	s.pulses.note(pulse.Instance, pulse.Status)
	return nil
}

// Heartbeats returns the pulses of this process.
func (s *Store) Heartbeats(ctx context.Context) ([]tally.Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.unavailable("read pulses of", err)
	}
	return s.pulses.alive(), nil
}

// Activity returns the writes of each minute.
func (r *Reader) Activity(ctx context.Context, from int64) (activity []tally.Activity, err error) {
	err = r.reading(ctx, "the activity", func() error {
		rows, err := r.owners.QueryContext(ctx,
			`SELECT site, minute, writes FROM activity WHERE minute >= ? ORDER BY minute, site`, max(from, r.activityBegin()))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a tally.Activity
			if err := rows.Scan(&a.Site, &a.Minute, &a.Writes); err != nil {
				return err
			}
			activity = append(activity, a)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return activity, nil
}
