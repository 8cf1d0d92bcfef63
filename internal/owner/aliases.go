package owner

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// forgetAliases removes the aliases of the topics that edits reset or deleted, since no
// contribution under an alias is left.
func (s *Service) forgetAliases(ctx context.Context, edits []tally.Edit) error {
	emptied := map[string]tally.Edit{} // by the name of the setting that lists the aliases
	for _, e := range edits {
		if e.Err == nil && e.Changed && (e.Kind == tally.EditReset || e.Kind == tally.EditDelete) {
			emptied[tally.AliasSettings(e.Topic)[0]] = e
		}
	}
	if len(emptied) == 0 {
		return nil
	}
	settings, err := s.store.Settings(ctx, slices.Collect(maps.Keys(emptied))...)
	if err != nil {
		return err
	}
	var errs []error
	for name := range settings {
		errs = append(errs, s.forgetTopicAliases(ctx, emptied[name].Topic, emptied[name].After.Version))
	}
	return firstError(errs...)
}

// forgetTopicAliases removes the aliases of a topic that an edit left at version emptied,
// unless the topic changed since. A claim excludes merges meanwhile.
func (s *Service) forgetTopicAliases(ctx context.Context, topic tally.Topic, emptied int64) error {
	l, err := s.acquire(ctx, claim{To: topic.String()})
	if err != nil {
		return err
	}
	err = l.forgetAliases(ctx, topic, emptied)
	l.end(ctx, err)
	return err
}

func (l *lease) forgetAliases(ctx context.Context, topic tally.Topic, emptied int64) error {
	// A frozen topic takes no contribution under an alias between the check and the removal.
	if err := l.mark(ctx, topic, tally.FrozenMark(l.ID, "")); err != nil {
		return err
	}
	state, err := l.service.Get(ctx, topic)
	if err == nil && state.Version == emptied {
		err = l.removeAliases(ctx, topic)
	}
	if err != nil {
		return tally.Unavailable(errors.Join(err, l.release(ctx, topic)))
	}
	return l.release(ctx, topic)
}

// removeAliases removes the settings about the aliases of topic.
func (l *lease) removeAliases(ctx context.Context, topic tally.Topic) error {
	removed := map[string]string{}
	for _, name := range tally.AliasSettings(topic) {
		removed[name] = ""
	}
	return l.step(ctx, func(ctx context.Context) error {
		_, err := l.service.store.SwapSettings(ctx, nil, removed)
		return err
	})
}
