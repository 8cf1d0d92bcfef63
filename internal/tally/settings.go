package tally

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// Names of the entries of [Ledger]'s register that a [Service] follows. The rest of a
// name is a topic, an address range, or the keyed hash of a visitor.
const (
	aliasPrefix        = "former "
	aliasMarkPrefix    = "alias mark "
	blockRangePrefix   = "block range "
	blockVisitorPrefix = "block visitor "
)

// ClaimPrefix begins the names of the entries that [ClaimSetting] returns.
const ClaimPrefix = "claim "

// ClaimSetting returns the name of the entry that reserves topic for one merge or rename.
// While it is set and the topic is frozen, contributions wait, see [IsFrozen].
func ClaimSetting(topic Topic) string { return ClaimPrefix + topic.String() }

// AliasSetting returns the entry that lists the aliases of topic: the names under which
// some of its contributions were made.
func AliasSetting(topic Topic, aliases []Topic) (name, value string) {
	names := make([]string, len(aliases))
	for i, alias := range aliases {
		names[i] = alias.String()
	}
	text, _ := json.Marshal(names) // strings cannot fail
	return aliasPrefix + topic.String(), string(text)
}

// BlockRangeSetting and BlockVisitorEntry return the name of the entry that blocks an
// address range or a visitor; its value is the reason. The store does not learn the
// visitor's id.
func BlockRangeSetting(addresses netip.Prefix) string { return blockRangePrefix + addresses.String() }

// BlockVisitorSetting is described at [BlockRangeSetting].
func BlockVisitorSetting(secret []byte, visitor string) string {
	return newIdentity(secret).blockEntry(visitor)
}

func (id *identity) blockEntry(visitor string) string {
	sum := id.sum("blocked", visitor)
	return blockVisitorPrefix + hex.EncodeToString(sum[:8])
}

// Blocks returns the entries of register that block somebody: the target, as
// "range 203.0.113.0/24" or "visitor 0123456789abcdef", and the reason.
func Blocks(register map[string]string) map[string]string {
	blocks := map[string]string{}
	for name, value := range register {
		if target, ok := strings.CutPrefix(name, "block "); ok {
			blocks[target] = value
		}
	}
	return blocks
}

// settings are the register's entries that concern contributions, parsed. They do not
// change once made.
type settings struct {
	aliases  map[Topic]aliasList
	ranges   []netip.Prefix
	visitors map[string]bool // names of entries
	claimed  map[string]bool // names of entries
}

// aliasList is the aliases of one topic and the mark that the topic has in the store
// once contributions may be stored under them, see [AliasMark].
type aliasList struct {
	topics []Topic
	mark   string
}

// UseSettings replaces the settings of the service with those in register; it ignores
// entries of other names. It returns an error that names each entry which cannot be
// parsed, and follows the others.
func (s *Service) UseSettings(register map[string]string) error {
	parsed, err := parseSettings(register)
	s.settings.Store(parsed)
	return err
}

func parseSettings(register map[string]string) (parsed *settings, err error) {
	parsed = &settings{aliases: map[Topic]aliasList{}, visitors: map[string]bool{}, claimed: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(register)) { // so that the error is the same each time
		var invalid error
		switch {
		case strings.HasPrefix(name, aliasPrefix):
			invalid = parsed.addAliases(name[len(aliasPrefix):], register)
		case strings.HasPrefix(name, blockRangePrefix):
			var addresses netip.Prefix
			if addresses, invalid = netip.ParsePrefix(name[len(blockRangePrefix):]); invalid == nil {
				parsed.ranges = append(parsed.ranges, addresses.Masked())
			}
		case strings.HasPrefix(name, blockVisitorPrefix):
			parsed.visitors[name] = true
		case strings.HasPrefix(name, ClaimPrefix):
			parsed.claimed[name] = true
		}
		if invalid != nil {
			err = errors.Join(err, fmt.Errorf("register entry %q: %w", name, invalid))
		}
	}
	return parsed, err
}

func (s *settings) addAliases(name string, register map[string]string) error {
	topic, err := ParseTopic(name)
	if err != nil {
		return err
	}
	topics, err := ParseAliases(register[aliasPrefix+name])
	s.aliases[topic] = aliasList{topics: topics, mark: AliasMark(register, topic)}
	return err
}

// ParseAliases returns the topics in the value of an [AliasSetting], none for the empty
// value. With an error it returns those before the one that cannot be parsed.
func ParseAliases(value string) (aliases []Topic, err error) {
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

// blocks reports whether a client may not contribute. Errors: [CodeBlocked].
func (s *settings) blocks(id *identity, client netip.Addr, visitor string) error {
	blocked := client.IsValid() && slices.ContainsFunc(s.ranges, func(p netip.Prefix) bool { return p.Contains(client) })
	if !blocked && len(s.visitors) > 0 {
		blocked = s.visitors[id.blockEntry(visitor)]
	}
	if blocked {
		return Errorf(CodeBlocked, "contributions from here are not accepted")
	}
	return nil
}

// Aliases returns the names under which some contributions of topic were made, beside
// its own.
func (s *Service) Aliases(topic Topic) []Topic {
	if current := s.settings.Load(); current != nil {
		return slices.Clone(current.aliases[topic].topics)
	}
	return nil
}

// SettingsStore is the part of a store that a [Service] follows its settings from. A
// store without it has no settings.
type SettingsStore interface {
	Settings(ctx context.Context) (map[string]string, error)
	SwapMark(ctx context.Context, topic Topic, from, to string) (current string, err error)
}

// settingsReader reads the settings of a service, one read at a time.
type settingsReader struct {
	store   SettingsStore
	reading chan struct{} // holds one while a read is under way
	begun   atomic.Int64  // reads that began
	read    atomic.Int64  // number of the last that succeeded
}

// LoadSettings reads the register, and makes the service follow it. The register is
// that of a read which began after the call. invalid names the entries that cannot be
// parsed. Errors: [CodeStoreUnavailable].
func (s *Service) LoadSettings(ctx context.Context) (register map[string]string, invalid, err error) {
	r := &s.settingsReader
	if r.store == nil {
		return nil, s.UseSettings(nil), nil
	}
	if err := r.acquire(ctx); err != nil {
		return nil, nil, err
	}
	defer r.release()
	return s.readSettings(ctx)
}

// acquire waits until no other read is under way.
func (r *settingsReader) acquire(ctx context.Context) error {
	select {
	case r.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return Unavailable(ctx.Err())
	}
}

func (r *settingsReader) release() { <-r.reading }

// readSettings is [Service.LoadSettings] for a caller that acquired the reader.
func (s *Service) readSettings(ctx context.Context) (register map[string]string, invalid, err error) {
	r := &s.settingsReader
	number := r.begun.Add(1)
	if register, err = r.store.Settings(ctx); err != nil {
		return nil, nil, err
	}
	invalid = s.UseSettings(register)
	r.read.Store(number)
	return register, invalid, nil
}

// currentSettings returns the settings, and reads them where that was never done: an
// instance that has just started accepts nothing before it knows whom the owner blocked
// and which topics were renamed.
func (s *Service) currentSettings(ctx context.Context) (*settings, error) {
	if current := s.settings.Load(); current != nil {
		return current, nil
	}
	return s.settingsSince(ctx, 0)
}

// settingsSince returns settings of a read that began after begun reads had begun. Of
// many that wait for one, one reads.
func (s *Service) settingsSince(ctx context.Context, begun int64) (*settings, error) {
	r := &s.settingsReader
	if r.store == nil {
		if s.settings.Load() == nil {
			s.settings.CompareAndSwap(nil, &settings{})
		}
		return s.settings.Load(), nil
	}
	if err := r.acquire(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	if r.read.Load() <= begun {
		// The owner service logs entries that cannot be parsed.
		if _, _, err := s.readSettings(ctx); err != nil {
			return nil, err
		}
	}
	return s.settings.Load(), nil
}
