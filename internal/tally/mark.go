package tally

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A store keeps a mark, a short text, with a topic, and compares it atomically with the
// mark that each change carries. So the store, which alone sees all changes in order,
// refuses changes by an instance that has not read the newest settings.
//
// The mark of an alias list identifies the names under which members of the topic may be
// stored: an instance that does not know these names would count a visitor twice. The mark of a
// frozen topic identifies a merge or rename. Only the steps of that merge may change the topic.

// frozenPrefix begins the marks of frozen topics.
const frozenPrefix = "!"

// AliasMark returns the mark of the alias list of topic in stored settings, or "" without
// aliases. Each merge into the topic sets a new mark, even if the list is one that the topic
// had before: contributions may have moved in between.
func AliasMark(stored map[string]string, topic Topic) string {
	aliases, err := parseAliases(stored[aliasPrefix+topic.String()])
	return aliasMark(stored, topic, len(aliases) > 0 || err != nil)
}

// aliasMark is [AliasMark] for a caller that has parsed the aliases.
func aliasMark(stored map[string]string, topic Topic, hasAliases bool) string {
	if !hasAliases {
		return ""
	}
	if mark := stored[aliasMarkPrefix+topic.String()]; mark != "" {
		return mark
	}
	return "unmarked" // by a release that merged without marks
}

// AliasSettings returns the names of the settings for the aliases of topic: the list, see
// [AliasSetting], and its mark.
func AliasSettings(topic Topic) []string {
	return []string{aliasPrefix + topic.String(), aliasMarkPrefix + topic.String()}
}

// FrozenMark returns the mark of a topic that the merge id froze. The merge defines detail.
// Neither contains a space.
func FrozenMark(id, detail string) string { return frozenPrefix + id + " " + detail }

// ParseFrozenMark returns the parts of a [FrozenMark]; ok is false for another mark.
func ParseFrozenMark(mark string) (id, detail string, ok bool) {
	rest, ok := strings.CutPrefix(mark, frozenPrefix)
	id, detail, _ = strings.Cut(rest, " ")
	return id, detail, ok
}

// IsFrozen reports whether mark is that of a frozen topic.
func IsFrozen(mark string) bool { return strings.HasPrefix(mark, frozenPrefix) }

// AdmitsEdits reports whether a topic with the stored mark admits an owner's change with the
// mark carried. A frozen topic admits only changes with its own mark, the steps of the merge
// that froze it. Other topics admit changes without a mark.
func AdmitsEdits(stored, carried string) bool {
	if carried != "" {
		return stored == carried
	}
	return !IsFrozen(stored)
}

// MarkError is the error of a [Batch] whose mark is not the one of its topic in the store,
// which is Mark. The instance has to read the settings again.
type MarkError struct{ Mark string }

func (e *MarkError) Error() string { return fmt.Sprintf("the topic has the mark %q", e.Mark) }

// ErrFrozen is the error of an owner's change to a frozen topic. Most merges take milliseconds.
var ErrFrozen error = &Error{
	Code:       CodeStoreUnavailable,
	Message:    "the owner is merging or renaming this topic now; the request was not acknowledged and may be repeated",
	RetryAfter: time.Second,
}

// firstPause is how long a contribution to a frozen topic waits before the first retry,
// enough to rename a small topic. Each further pause is twice as long.
const firstPause = 20 * time.Millisecond

// catchUp returns settings with which to repeat a contribution to topic. The store refused the
// contribution, since the topic has the stored mark. The settings are of a read that began after
// the first begun reads. If the topic is frozen, catchUp waits for pause.
// Errors: [CodeStoreUnavailable], also for a topic that stays frozen until ctx ends.
func (s *Service) catchUp(ctx context.Context, topic Topic, begun int64, stored string, pause time.Duration) (*settings, error) {
	current, err := s.settingsSince(ctx, begun)
	if err != nil {
		return nil, err
	}
	expected := current.aliases[topic].mark
	switch {
	case stored == expected:
		return current, nil
	case current.claimed[ClaimSetting(topic)]:
		select {
		case <-time.After(pause):
			return current, nil
		case <-ctx.Done():
			return nil, ErrFrozen
		}
	}
	// The settings are newer than the mark and do not match it: the topic is new, or was
	// restored without its settings. The caller reads the visitor's contribution afterwards.
	if _, err := s.store.SwapMark(ctx, topic, stored, expected); err != nil {
		return nil, err
	}
	return current, nil
}

// AddSettings adds aliases, except a topic's own name, to the stored lists of topics, and other
// settings unless they are stored, all at once. It returns the new marks of the lists, which the
// caller sets for the topics. A topic without aliases gets no mark. Calls may be concurrent.
// Errors: [CodeInternal] if stored aliases cannot be parsed; [CodeStoreUnavailable].
func AddSettings(ctx context.Context, store SettingsStore, aliases map[Topic][]Topic, others map[string]string) (marks map[Topic]string, err error) {
	names := slices.Collect(maps.Keys(others))
	for topic := range aliases {
		names = append(names, AliasSettings(topic)...)
	}
	for len(names) > 0 {
		stored, err := store.Settings(ctx, names...)
		if err != nil {
			return nil, err
		}
		marks = map[Topic]string{}
		expected, entries := map[string]string{}, map[string]string{}
		for name, value := range others {
			if stored[name] == "" {
				expected[name], entries[name] = "", value
			}
		}
		for topic, added := range aliases {
			all, err := TopicAliases(stored, topic)
			if err != nil {
				return nil, err
			}
			for _, alias := range added {
				if alias != topic && !slices.Contains(all, alias) {
					all = append(all, alias)
				}
			}
			if len(all) == 0 {
				continue
			}
			_, value := AliasSetting(topic, all)
			marks[topic] = rand.Text()
			list, mark := AliasSettings(topic)[0], AliasSettings(topic)[1]
			expected[list], expected[mark] = stored[list], stored[mark]
			entries[list], entries[mark] = value, marks[topic]
		}
		if len(entries) == 0 {
			return nil, nil
		}
		if swapped, err := store.SwapSettings(ctx, expected, entries); err != nil || swapped {
			return marks, err
		}
	}
	return nil, nil
}

// MergeState returns the part of stored settings that every merge changes. If [MergeUnderWay] is
// false before a read, and the part is the same before and after, no merge ran during the read.
func MergeState(stored map[string]string) string {
	var state strings.Builder
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if strings.HasPrefix(name, aliasMarkPrefix) || strings.HasPrefix(name, ClaimPrefix) {
			fmt.Fprintf(&state, "%q=%q ", name, stored[name])
		}
	}
	return state.String()
}

// MergeUnderWay reports whether a merge has claimed topics.
func MergeUnderWay(stored map[string]string) bool {
	for name := range stored {
		if strings.HasPrefix(name, ClaimPrefix) {
			return true
		}
	}
	return false
}

// TopicAliases returns the aliases of topic in stored settings. Errors: [CodeInternal].
func TopicAliases(stored map[string]string, topic Topic) ([]Topic, error) {
	name := aliasPrefix + topic.String()
	aliases, err := parseAliases(stored[name])
	if err != nil {
		return nil, &Error{
			Code:    CodeInternal,
			Message: fmt.Sprintf("the stored aliases of %s cannot be parsed; nothing is changed, so that they are not lost", topic),
			Err:     fmt.Errorf("setting %q: %w", name, err),
		}
	}
	return aliases, nil
}
