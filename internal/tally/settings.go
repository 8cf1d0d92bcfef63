package tally

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// Prefixes of the names of settings that a [Service] uses. A topic or a [Block] follows.
const (
	aliasPrefix     = "former " // stored by releases that called an alias a former name
	aliasMarkPrefix = "alias mark "
	blockPrefix     = "block "
)

// ClaimPrefix begins the names that [ClaimSetting] returns.
const ClaimPrefix = "claim "

// ClaimSetting returns the name of the setting that reserves topic for one merge or rename.
// While it is set and the topic is frozen, contributions wait, see [FrozenMark].
func ClaimSetting(topic Topic) string { return ClaimPrefix + topic.String() }

// AliasSetting returns the setting that lists the aliases of topic: its former names, under
// which some of its contributions were made.
func AliasSetting(topic Topic, aliases []Topic) (name, value string) {
	names := make([]string, len(aliases))
	for i, alias := range aliases {
		names[i] = alias.String()
	}
	text, _ := json.Marshal(names) // strings cannot fail
	return aliasPrefix + topic.String(), string(text)
}

// ParseAliasSetting parses an [AliasSetting]; ok is false for a setting of another name.
func ParseAliasSetting(name, value string) (topic Topic, aliases []Topic, ok bool, err error) {
	text, ok := strings.CutPrefix(name, aliasPrefix)
	if !ok {
		return Topic{}, nil, false, nil
	}
	if topic, err = ParseTopic(text); err == nil {
		aliases, err = parseAliases(value)
	}
	if err != nil {
		err = fmt.Errorf("aliases of %s: %w", text, err)
	}
	return topic, aliases, true, err
}

// CountAliases returns how many aliases the topics of each site have in stored settings.
func CountAliases(stored map[string]string) map[string]int {
	bySite := map[string]int{}
	for name, value := range stored {
		if strings.HasPrefix(name, aliasPrefix) && value != "" {
			bySite[SettingSite(name)] += 1 + strings.Count(value, `","`) // JSON escapes the quotes in names
		}
	}
	return bySite
}

// SettingSite returns the site that a setting of that name concerns: that of its topic, or
// of its block. It is empty for a setting that concerns all sites.
func SettingSite(name string) string {
	if b, ok := ParseBlock(name); ok {
		return b.Site
	}
	for _, prefix := range []string{aliasPrefix, aliasMarkPrefix, ClaimPrefix} {
		if text, ok := strings.CutPrefix(name, prefix); ok {
			topic, _ := ParseTopic(text)
			return topic.Site()
		}
	}
	return ""
}

// settings are the stored settings that affect contributions, parsed. They are immutable.
type settings struct {
	aliases     map[Topic]aliasList
	siteAliases map[string]int        // the number of aliases by site
	blocked     map[string]*blockList // by site; "" for all sites
	claimed     map[string]bool       // names of settings
}

// aliasList is the aliases of one topic and the mark that the topic has in the store if
// it may contain contributions under them, see [AliasMark].
type aliasList struct {
	topics []Topic
	mark   string
	value  string // of the setting if it is valid; with the same value the next settings reuse topics
}

// useSettings replaces the settings that the service uses. It ignores unknown names. The error
// names each setting that cannot be parsed; the others are used.
func (s *Service) useSettings(stored map[string]string) error {
	before := s.settings.Load()
	if before == nil {
		before = &settings{}
	}
	parsed, err := parseSettings(stored, before)
	s.settings.Store(parsed)
	return err
}

// parseSettings parses settings that replace those of before.
func parseSettings(stored map[string]string, before *settings) (*settings, error) {
	parsed := &settings{
		aliases: map[Topic]aliasList{}, siteAliases: map[string]int{}, blocked: map[string]*blockList{}, claimed: map[string]bool{},
	}
	errs := map[string]error{} // by name
	for name, value := range stored {
		var invalid error
		switch {
		case strings.HasPrefix(name, aliasPrefix):
			invalid = parsed.addAliases(name, value, stored, before)
		case strings.HasPrefix(name, blockPrefix):
			invalid = parsed.addBlock(name)
		case strings.HasPrefix(name, ClaimPrefix):
			parsed.claimed[name] = true
		}
		if invalid != nil {
			errs[name] = invalid
		}
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(errs)) { // so that the error is the same each time
		err = errors.Join(err, fmt.Errorf("setting %q: %w", name, errs[name]))
	}
	return parsed, err
}

// addAliases adds the setting of aliases with that name.
func (s *settings) addAliases(name, value string, stored map[string]string, before *settings) error {
	topic, err := ParseTopic(name[len(aliasPrefix):])
	if err != nil {
		return err
	}
	list := before.aliases[topic]
	if value == "" || list.value != value {
		list = aliasList{}
		if list.topics, err = parseAliases(value); err == nil {
			list.value = value
		}
	}
	list.mark = aliasMark(stored, topic, len(list.topics) > 0 || err != nil)
	s.siteAliases[topic.Site()] += len(list.topics)
	s.aliases[topic] = list
	return err
}

// parseAliases returns the topics in the value of an [AliasSetting], none for the empty
// value. With an error it returns those before the one that cannot be parsed.
func parseAliases(value string) (aliases []Topic, err error) {
	if value == "" {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal([]byte(value), &names); err != nil {
		return nil, err
	}
	for _, name := range names {
		topic, err := ParseTopic(name)
		if err != nil {
			return aliases, err
		}
		aliases = append(aliases, topic)
	}
	return aliases, nil
}

// SiteAliases returns the number of aliases of all topics of a site.
func (s *Service) SiteAliases(site string) int {
	if current := s.settings.Load(); current != nil {
		return current.siteAliases[site]
	}
	return 0
}

// Aliases returns the former names of topic under which some of its contributions were
// made.
func (s *Service) Aliases(topic Topic) []Topic {
	if current := s.settings.Load(); current != nil {
		return slices.Clone(current.aliases[topic].topics)
	}
	return nil
}

// settingsReads serialises the reads of a service's settings.
type settingsReads struct {
	active chan struct{} // holds one during a read
	begun  atomic.Int64  // number of reads that began
	last   atomic.Int64  // which of them was the last that succeeded, from 1
}

// lock waits until no other read is active.
func (r *settingsReads) lock(ctx context.Context) error {
	select {
	case r.active <- struct{}{}:
		return nil
	case <-ctx.Done():
		return Unavailable(ctx.Err())
	}
}

func (r *settingsReads) unlock() { <-r.active }

// LoadSettings reads the settings, uses them from then on, and returns them. invalid names
// those that cannot be parsed. Errors: [CodeStoreUnavailable].
func (s *Service) LoadSettings(ctx context.Context) (stored map[string]string, invalid, err error) {
	if err := s.reads.lock(ctx); err != nil {
		return nil, nil, err
	}
	defer s.reads.unlock()
	return s.loadLocked(ctx)
}

// loadLocked is [Service.LoadSettings] for a caller that holds the lock of reads.
func (s *Service) loadLocked(ctx context.Context) (stored map[string]string, invalid, err error) {
	number := s.reads.begun.Add(1)
	if stored, err = s.store.Settings(ctx); err != nil {
		return nil, nil, err
	}
	invalid = s.useSettings(stored)
	s.reads.last.Store(number)
	return stored, invalid, nil
}

// currentSettings returns the settings. It reads them if no read succeeded yet: an instance
// accepts no contribution before it knows blocks and aliases.
func (s *Service) currentSettings(ctx context.Context) (*settings, error) {
	if current := s.settings.Load(); current != nil {
		return current, nil
	}
	return s.settingsSince(ctx, 0)
}

// settingsSince returns settings of a read that began after the first begun reads. Concurrent
// callers share one read.
func (s *Service) settingsSince(ctx context.Context, begun int64) (*settings, error) {
	if err := s.reads.lock(ctx); err != nil {
		return nil, err
	}
	defer s.reads.unlock()
	if s.reads.last.Load() <= begun {
		// The owner service logs settings that cannot be parsed.
		if _, _, err := s.loadLocked(ctx); err != nil {
			return nil, err
		}
	}
	return s.settings.Load(), nil
}
