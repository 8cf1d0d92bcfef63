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

// A mark is a short text that a store keeps with a topic and compares, in the same
// script or transaction, with the mark that each change of the topic carries. It makes
// the store, which alone sees everything in order, refuse what an instance sends that
// has not learnt of a setting yet.
//
// There are two kinds. The mark of an alias list says under which names members of the
// topic may be stored: a contribution by an instance that does not know these names
// would count its visitor twice. A frozen topic takes part in a merge or rename: only
// the steps of that merge may change it.

// frozenPrefix begins the marks of frozen topics.
const frozenPrefix = "!"

// AliasMark returns the mark that topic has for its aliases in register: empty without
// aliases. Each merge into the topic gives it another mark, even if the aliases are those
// of an earlier time: members may have left and returned meanwhile.
func AliasMark(register map[string]string, topic Topic) string {
	name, _ := AliasSetting(topic, nil)
	if aliases, err := ParseAliases(register[name]); err == nil && len(aliases) == 0 {
		return ""
	}
	if mark := register[aliasMarkPrefix+topic.String()]; mark != "" {
		return mark
	}
	return "unmarked" // by a release that merged without marks
}

// AliasSettings returns the names of the entries about the aliases of topic.
func AliasSettings(topic Topic) []string {
	name, _ := AliasSetting(topic, nil)
	return []string{name, aliasMarkPrefix + topic.String()}
}

// FrozenMark returns the mark of a topic that the merge of that id has frozen. Detail
// is the merge's own; neither has a space.
func FrozenMark(id, detail string) string { return frozenPrefix + id + " " + detail }

// ParseFrozenMark returns the parts of a [FrozenMark]; ok is false for another mark.
func ParseFrozenMark(mark string) (id, detail string, ok bool) {
	rest, ok := strings.CutPrefix(mark, frozenPrefix)
	id, detail, _ = strings.Cut(rest, " ")
	return id, detail, ok
}

// IsFrozen reports whether mark is that of a frozen topic.
func IsFrozen(mark string) bool { return strings.HasPrefix(mark, frozenPrefix) }

// AdmitsWrites reports whether a topic with the stored mark takes contributions that
// carry the other. A topic without a mark takes all: it has no members of other names.
func AdmitsWrites(stored, carried string) bool { return stored == "" || stored == carried }

// AdmitsEdits reports whether a topic with the stored mark takes an owner's change that
// carries the other: the step of a merge while that merge has the topic frozen, any other
// change while no merge has.
func AdmitsEdits(stored, carried string) bool {
	if carried != "" {
		return stored == carried
	}
	return !IsFrozen(stored)
}

// MarkError is the error of a [Batch] whose mark the store did not admit: the instance
// has to read the settings again. Mark is what is stored.
type MarkError struct{ Mark string }

func (e *MarkError) Error() string { return fmt.Sprintf("the topic has the mark %q", e.Mark) }

// frozenRetry is when to try again what a merge or rename refused: most take some
// milliseconds.
const frozenRetry = time.Second

// ErrFrozen is the error of an owner's change to a frozen topic.
var ErrFrozen error = &Error{
	Code:       CodeStoreUnavailable,
	Message:    "the owner is merging or renaming this topic now; the request was not acknowledged and may be repeated",
	RetryAfter: frozenRetry,
}

// firstPause is how long a contribution to a frozen topic waits before it is sent again: a
// rename of a small topic is over by then. Each further pause is twice as long.
const firstPause = 20 * time.Millisecond

// catchUp reads the settings again after the store refused a contribution to topic
// that was made under the settings of begun reads, since it has another mark. It
// returns settings under which the contribution may be sent again, after pause if the
// topic is frozen. Errors:
// [CodeStoreUnavailable], also for a topic that stays frozen until ctx ends.
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
	// The register was read after the mark and says otherwise: the mark is left over, of
	// data that was restored without its register for example.
	if _, err := s.settingsReader.store.SwapMark(ctx, topic, stored, expected); err != nil {
		return nil, err
	}
	return current, nil
}

// AliasStore is the part of a store in which [AddAliases] works.
type AliasStore interface {
	SettingsStore
	SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error)
}

// AddAliases adds names under which contributions of topic were made or will be, and
// returns the mark that the topic is to have, which is a new one. It leaves out the
// topic's own name. Several may be at it at once. Errors: [CodeInternal] if the aliases
// that are stored cannot be parsed; [CodeStoreUnavailable].
func AddAliases(ctx context.Context, store AliasStore, topic Topic, aliases []Topic) (mark string, err error) {
	name, _ := AliasSetting(topic, nil)
	markName := aliasMarkPrefix + topic.String()
	for {
		register, err := store.Settings(ctx)
		if err != nil {
			return "", err
		}
		known, err := TopicAliases(register, topic)
		if err != nil {
			return "", err
		}
		all := slices.Clone(known)
		for _, alias := range aliases {
			if alias != topic && !slices.Contains(all, alias) {
				all = append(all, alias)
			}
		}
		if len(all) == 0 {
			return "", nil
		}
		_, value := AliasSetting(topic, all)
		mark := rand.Text()
		swapped, err := store.SwapSettings(ctx,
			map[string]string{name: register[name], markName: register[markName]},
			map[string]string{name: value, markName: mark})
		if err != nil || swapped {
			return mark, err
		}
	}
}

// MergeState returns what in register changes with each merge: two equal states, one from
// before and one from after something was read, mean that no merge was under way between,
// provided that [MergeUnderWay] reports false for the first.
func MergeState(register map[string]string) string {
	var state strings.Builder
	for _, name := range slices.Sorted(maps.Keys(register)) {
		if strings.HasPrefix(name, aliasMarkPrefix) || strings.HasPrefix(name, ClaimPrefix) {
			fmt.Fprintf(&state, "%q=%q ", name, register[name])
		}
	}
	return state.String()
}

// MergeUnderWay reports whether a merge has claimed topics.
func MergeUnderWay(register map[string]string) bool {
	for name := range register {
		if strings.HasPrefix(name, ClaimPrefix) {
			return true
		}
	}
	return false
}

// TopicAliases returns the aliases of topic in register. Errors: [CodeInternal].
func TopicAliases(register map[string]string, topic Topic) ([]Topic, error) {
	name, _ := AliasSetting(topic, nil)
	aliases, err := ParseAliases(register[name])
	if err != nil {
		return nil, &Error{
			Code:    CodeInternal,
			Message: fmt.Sprintf("the stored aliases of %s cannot be parsed; nothing is changed, so that they are not lost", topic),
			Err:     fmt.Errorf("register entry %q: %w", name, err),
		}
	}
	return aliases, nil
}
