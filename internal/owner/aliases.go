package owner

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxTopicAliases bounds the aliases of one topic: the store looks for a visitor's
	// contribution under each of them.
	maxTopicAliases = 1000
	// maxSiteAliases bounds the aliases of a site's topics, which each instance keeps in memory.
	maxSiteAliases = 50_000
)

// CheckSetting reports whether an import may add a setting of an export. It makes the checks of
// [Service.Block] and, for aliases, those of [Service.Merge]. Errors: those of both.
func (s *Service) CheckSetting(ctx context.Context, name, value string) error {
	if block, ok := tally.ParseBlock(name); ok {
		if err := block.Validate(); err != nil {
			return err
		}
		return s.checkBlocks(ctx, []tally.Block{block}, value)
	}
	topic, aliases, ok, err := tally.ParseAliasSetting(name, value)
	if err != nil || !ok {
		return tally.Errorf(tally.CodeBadBody, "the setting %.100q cannot be imported", name)
	}
	for _, alias := range aliases {
		switch {
		case s.sites != nil && !s.sees(alias.Site()):
			return errUnknownSite(alias.Site())
		case s.catalog.Rule(alias) != s.catalog.Rule(topic):
			return tally.Errorf(tally.CodeBadTopic, "%s cannot be an alias of %s: their metrics have different rules", alias, topic)
		}
	}
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return err
	}
	return checkAliases(settings, topic, aliases)
}

// checkAliases reports whether topic may have further aliases. Calls at the same moment may
// together exceed the limits. Errors: [tally.CodeBadTopic].
func checkAliases(settings map[string]string, topic tally.Topic, added []tally.Topic) error {
	present, err := tally.TopicAliases(settings, topic)
	if err != nil {
		return err
	}
	all := map[tally.Topic]bool{}
	for _, alias := range present {
		all[alias] = true
	}
	before := len(all)
	for _, alias := range added {
		if alias != topic {
			all[alias] = true
		}
	}
	inSite := tally.CountAliases(settings, topic.Site()) - before + len(all)
	switch {
	case len(all) == before:
		return nil
	case len(all) > maxTopicAliases:
		return tally.Errorf(tally.CodeBadTopic, "%s would have %d former names, more than %d", topic, len(all), maxTopicAliases)
	case inSite > maxSiteAliases:
		return tally.Errorf(tally.CodeBadTopic, "the topics of %s would have %d former names, more than %d; a topic that is reset or deleted has none",
			topic.Site(), inSite, maxSiteAliases)
	}
	return nil
}

// checkMergedAliases is [checkAliases] for the aliases that a merge of from moves into to.
func (s *Service) checkMergedAliases(ctx context.Context, from []tally.Topic, to tally.Topic) error {
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return err
	}
	added := slices.Clone(from)
	for _, topic := range from {
		aliases, err := tally.TopicAliases(settings, topic)
		if err != nil {
			return err
		}
		added = append(added, aliases...)
		delete(settings, tally.AliasSettings(topic)[0])
	}
	return checkAliases(settings, to, added)
}

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
