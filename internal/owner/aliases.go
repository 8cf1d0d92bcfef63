package owner

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// forgetAliases removes the aliases of the topics that edits reset or deleted: no
// contribution under them is left.
func (s *Service) forgetAliases(ctx context.Context, edits []tally.Edit) error {
	var settings map[string]string
	var errs []error
	for _, e := range edits {
		if e.Err != nil || !e.Changed || e.Kind != tally.EditReset && e.Kind != tally.EditDelete {
			continue
		}
		if settings == nil {
			var err error
			if settings, err = s.store.Settings(ctx); err != nil {
				return err
			}
		}
		if name, _ := tally.AliasSetting(e.Topic, nil); settings[name] != "" {
			errs = append(errs, s.forgetTopicAliases(ctx, e.Topic, e.After.Version))
		}
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
		removed := map[string]string{}
		for _, name := range tally.AliasSettings(topic) {
			removed[name] = ""
		}
		err = l.step(ctx, func(ctx context.Context) error {
			_, err := l.service.store.SwapSettings(ctx, nil, removed)
			return err
		})
	}
	if err != nil {
		return tally.Unavailable(errors.Join(err, l.release(ctx, topic)))
	}
	return l.release(ctx, topic)
}

// forgetMerged removes the settings of a topic that was merged: its aliases, and entries
// of releases that merged without claims.
func (l *lease) forgetMerged(ctx context.Context, topic tally.Topic) error {
	settings, err := l.service.store.Settings(ctx)
	if err != nil {
		return err
	}
	obsolete := append(tally.AliasSettings(topic), "pause "+topic.String())
	for name := range settings {
		if slices.Contains(obsolete, name) || strings.HasPrefix(name, "merging "+topic.String()+"\n") {
			err := l.step(ctx, func(ctx context.Context) error { return l.service.store.SetSetting(ctx, name, "") })
			if err != nil {
				return err
			}
		}
	}
	return nil
}
