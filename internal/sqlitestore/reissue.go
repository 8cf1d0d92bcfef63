package sqlitestore

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Reissue gives what is stored a version above what is held, where it is behind.
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
			if !isBehind(tally.Change{Topic: h.Topic, Count: r.count, Version: r.version}, h) {
				continue
			}
			if r.id == 0 {
				if r, err = w.create(h.Topic); err != nil {
					return nil, err
				}
			}
			r.version = tally.NextVersion(max(r.version, h.Version), now)
			if err := w.set(r); err != nil {
				return nil, err
			}
			changes = append(changes, tally.Change{Topic: h.Topic, Count: r.count, Version: r.version})
		}
		return changes, nil
	})
}

// isBehind tells whether what is stored would not replace what is held, though it
// is another. A topic that ended is not brought into being for those who hold its
// last count, 0.
func isBehind(stored, held tally.Change) bool {
	ended := stored.Version == 0 && held.Count == 0
	return stored.Version <= held.Version && stored != held && !ended
}
