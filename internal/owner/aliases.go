package owner

import (
	"cmp"
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

// checkAliases returns the aliases of topic after added were added, or an error if these are too
// many. The topics of its site have inSite aliases now. Errors: [tally.CodeBadTopic];
// [tally.CodeInternal] if the stored aliases cannot be parsed.
func checkAliases(settings map[string]string, inSite int, topic tally.Topic, added []tally.Topic) (all []tally.Topic, err error) {
	all, err = tally.TopicAliases(settings, topic)
	if err != nil {
		return nil, err
	}
	present, has := len(all), map[tally.Topic]bool{topic: true}
	for _, alias := range all {
		has[alias] = true
	}
	for _, alias := range added {
		if !has[alias] {
			has[alias] = true
			all = append(all, alias)
		}
	}
	inSite += len(all) - present
	switch {
	case len(all) == present:
		return all, nil
	case len(all) > maxTopicAliases:
		return nil, tally.Errorf(tally.CodeBadTopic, "%s would have %d former names, more than %d", topic, len(all), maxTopicAliases)
	case inSite > maxSiteAliases:
		return nil, tally.Errorf(tally.CodeBadTopic, "the topics of %s would have %d former names, more than %d; a topic that is reset or deleted has none",
			topic.Site(), inSite, maxSiteAliases)
	}
	return all, nil
}

// checkMergedAliases is [checkAliases] for the aliases that a merge of from moves into to. It reads
// the settings of these topics only, and takes the number of aliases of the site from memory.
func (s *Service) checkMergedAliases(ctx context.Context, from []tally.Topic, to tally.Topic) error {
	names := []string{tally.AliasSettings(to)[0]}
	for _, topic := range from {
		names = append(names, tally.AliasSettings(topic)[0])
	}
	settings, err := s.store.Settings(ctx, names...)
	if err != nil {
		return err
	}
	added, inSite := slices.Clone(from), s.service.SiteAliases(to.Site())
	for _, topic := range from {
		aliases, err := tally.TopicAliases(settings, topic)
		if err != nil {
			return err
		}
		added = append(added, aliases...)
		if topic.Site() == to.Site() {
			inSite -= len(aliases)
		}
	}
	_, err = checkAliases(settings, inSite, to, added)
	return err
}

// forgetAliases removes the aliases of the topics that edits reset or deleted, which have no
// contributions under aliases any more.
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
	return cmp.Or(errs...)
}

// forgetTopicAliases removes the aliases of a topic that an edit emptied, unless its version differs
// from that of the edit. A claim prevents merges of the topic meanwhile.
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
	// The topic is frozen, so it gets no contribution under an alias between the check and the removal.
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
