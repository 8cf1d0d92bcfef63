package sqlitestore

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Reissue implements [tally.Store].
func (s *Store) Reissue(ctx context.Context, held []tally.Change) error {
	stored := make([]tally.Change, 0, len(held))
	for _, h := range held {
		if s.catalog.Rule(h.Topic).Kind == tally.Presence {
			s.presence.reissue(h)
		} else {
			stored = append(stored, h)
		}
	}
	if len(stored) == 0 {
		return nil
	}
	return s.update(ctx, func(w *writer) (changes []tally.Change, err error) {
		now := w.now().UnixMicro()
		for _, h := range stored {
			r, err := w.find(h.Topic)
			if err != nil {
				return nil, err
			}
			if !isBehind(r.Change, h) {
				continue
			}
			if r.id == 0 {
				if err = w.create(&r); err != nil {
					return nil, err
				}
			}
			r.Version = tally.NextVersion(max(r.Version, h.Version), now)
			if err := w.set(&r); err != nil {
				return nil, err
			}
			changes = append(changes, r.Change)
		}
		return changes, nil
	})
}

// isBehind reports whether stored differs from held, but a viewer that has held would ignore it
// because of its version. A deleted topic is not behind its final count 0.
func isBehind(stored, held tally.Change) bool {
	ended := stored.Version == 0 && held.Count == 0
	return stored.Version <= held.Version && stored != held && !ended
}
