package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Merge moves the contributions of the topics from into the topic to, adds the counts of from to
// the count of to, and deletes the topics from. Their names become aliases of to, so that their
// visitors are recognised there. A visitor of several of the topics counts as often as before.
//
// While a topic is moved, contributions to it and to the topic to are refused with
// store_unavailable, mostly for some milliseconds. The journal of from is lost, so its
// contributions cannot be reverted afterwards.
//
// An interrupted merge is finished by repeating it on any instance, or by a running
// instance within the lease time and a few seconds. Errors: [tally.CodeBadBody] if from is
// empty, [tally.CodeBadTopic] if the topics cannot be merged, or have too many aliases,
// [tally.CodeNotFound] if one of from does not exist, [tally.CodeBadAmount] if the sum is too
// large, each before anything is done; [tally.CodeStoreUnavailable].
func (s *Service) Merge(ctx context.Context, actor string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	return s.merge(ctx, actor, "merge", from, to)
}

// Rename is Merge of one topic into a topic that must not exist.
func (s *Service) Rename(ctx context.Context, actor string, from, to tally.Topic) (tally.Change, error) {
	return s.merge(ctx, actor, "rename", []tally.Topic{from}, to)
}

func (s *Service) merge(ctx context.Context, actor, action string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	from = slices.Clone(from)
	slices.SortFunc(from, tally.Topic.Compare)
	from = slices.Compact(from)
	rename := action == "rename"
	if err := s.checkMergeable(from, to); err != nil {
		return tally.Change{}, err
	}
	if err := s.rejectOlderInstances(ctx, formatMarks, "would count visitors of merged topics twice"); err != nil {
		return tally.Change{}, err
	}
	unmerged, err := s.unmerged(ctx, from, to, rename)
	if err != nil {
		return tally.Change{}, err
	}
	if err := s.checkMergedAliases(ctx, unmerged, to); err != nil {
		return tally.Change{}, err
	}
	before, err := s.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	names, scopes := make([]string, len(from)), []tally.Scope{tally.ScopeOf(to)}
	for i, topic := range from {
		names[i] = topic.String()
		scopes = append(scopes, tally.ScopeOf(topic))
	}
	entry := tally.AuditEntry{
		Actor: actor, Action: action, Target: strings.Join(names, ", ") + " → " + to.String(),
		Detail: fmt.Sprintf("begins, at count %d", before.Count), Sites: sitesOf(scopes...),
	}
	if err := s.auditBegin(ctx, entry); err != nil {
		return tally.Change{}, err
	}
	for _, topic := range unmerged {
		if err := s.mergeOne(ctx, topic, to, rename); err != nil {
			return tally.Change{}, fmt.Errorf("%s %s into %s: %w", action, topic, to, err)
		}
	}
	after, err := s.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	entry.Detail = describeChange("count", before.Counts(), after.Counts())
	return after.Change, s.Audit(ctx, entry)
}

// checkMergeable returns an error if the catalog forbids the merge. Errors: [tally.CodeBadBody],
// [tally.CodeBadTopic], [tally.CodeReadOnlyMetric], [tally.CodeUnknownSite],
// [tally.CodeUnknownMetric].
func (s *Service) checkMergeable(from []tally.Topic, to tally.Topic) error {
	if len(from) == 0 {
		return tally.Errorf(tally.CodeBadBody, "name the topics to merge into %s", to)
	}
	for _, topic := range append(slices.Clone(from), to) {
		if err := s.catalog.CheckEditable(topic); err != nil {
			return err
		}
	}
	for _, topic := range from {
		switch {
		case topic == to:
			return tally.Errorf(tally.CodeBadTopic, "%s cannot be merged into itself", to)
		case s.catalog.Rule(topic) != s.catalog.Rule(to):
			return tally.Errorf(tally.CodeBadTopic, "%s and %s cannot be merged: their metrics have different rules", topic, to)
		}
	}
	return nil
}

// unmerged returns the topics of from that are not merged into to yet. Errors:
// [tally.CodeNotFound] if a topic neither exists nor was merged; [tally.CodeBadTopic] if a new
// rename names a topic to that exists.
func (s *Service) unmerged(ctx context.Context, from []tally.Topic, to tally.Topic, rename bool) (unmerged []tally.Topic, err error) {
	names := append(tally.AliasSettings(to), tally.ClaimSetting(to))
	for _, topic := range from {
		names = append(names, tally.ClaimSetting(topic))
	}
	settings, err := s.store.Settings(ctx, names...)
	if err != nil {
		return nil, err
	}
	if _, err := tally.TopicAliases(settings, to); err != nil {
		return nil, err
	}
	for _, topic := range from {
		state, err := s.Get(ctx, topic)
		exists := state.Version != 0 || settings[tally.ClaimSetting(topic)] != ""
		if err == nil && !exists {
			err = checkMerged(settings, topic, to)
		}
		if err != nil {
			return nil, err
		}
		if exists {
			unmerged = append(unmerged, topic)
		}
	}
	if rename && len(unmerged) > 0 && settings[tally.ClaimSetting(to)] == "" {
		return unmerged, s.rejectExisting(ctx, to)
	}
	return unmerged, nil
}

// checkMerged returns an error unless from, which does not exist, was merged into to before.
// Errors: [tally.CodeNotFound].
func checkMerged(settings map[string]string, from, to tally.Topic) error {
	aliases, err := tally.TopicAliases(settings, to)
	if err == nil && !slices.Contains(aliases, from) {
		err = tally.Errorf(tally.CodeNotFound, "%s does not exist", from)
	}
	return err
}

// rejectExisting returns an error if the topic to exists. Errors: [tally.CodeBadTopic].
func (s *Service) rejectExisting(ctx context.Context, to tally.Topic) error {
	state, err := s.Get(ctx, to)
	if err == nil && state.Version != 0 {
		err = tally.Errorf(tally.CodeBadTopic, "%s exists already; merge adds one topic to another", to)
	}
	return err
}

// rejectOlderInstances refuses an action while an instance runs whose rules have a version below
// format. effect describes for people what that instance does.
// Errors: [tally.CodeStoreUnavailable].
func (s *Service) rejectOlderInstances(ctx context.Context, format int, effect string) error {
	heartbeats, err := s.store.Heartbeats(ctx)
	if err != nil {
		return err
	}
	for _, h := range heartbeats {
		var status InstanceStatus
		if json.Unmarshal(h.Status, &status) == nil && status.Format < format {
			return &tally.Error{
				Code: tally.CodeStoreUnavailable,
				Message: fmt.Sprintf("an instance of an older release (%s) uses this store and %s; "+
					"repeat this after the instance is replaced", status.Version, effect),
				RetryAfter: tally.HeartbeatTTL,
			}
		}
	}
	return nil
}

// mergeOne merges one topic into another.
func (s *Service) mergeOne(ctx context.Context, from, to tally.Topic, rename bool) error {
	l, err := s.acquire(ctx, claim{From: from.String(), To: to.String(), Rename: rename})
	if err != nil {
		return err
	}
	err = l.merge(ctx)
	l.end(ctx, err)
	if !errors.Is(err, errNothingToMerge) {
		return err
	}
	settings, err := s.store.Settings(ctx, tally.AliasSettings(to)...)
	if err != nil {
		return err
	}
	return checkMerged(settings, from, to)
}
