package owner

import (
	"context"
	"maps"

	"github.com/tallycast/tallycast/internal/tally"
)

// [ImportCheck] reads the settings again after it admitted admittedSettings settings, or one for each
// admittedShare existing ones if that is more. So the reads of a long import take time in proportion
// to its length. Imports that run at the same time can each exceed a limit by this many.
const (
	admittedSettings = 100
	admittedShare    = 8
)

// ImportCheck checks the settings that one import adds: blocks as [Service.Block], and aliases as
// [Service.Merge]. It is for one goroutine.
type ImportCheck struct {
	service *Service

	admitted int               // since settings were read
	settings map[string]string // with the admitted ones; nil before the first check
	added    map[string]string // the admitted ones, which the import stores later, in batches
	blocks   map[string]int    // by site
	aliases  map[string]int    // by site
}

// NewImportCheck returns a check for an import.
func (s *Service) NewImportCheck() *ImportCheck {
	return &ImportCheck{service: s, added: map[string]string{}}
}

// Admit reports whether the import may add a setting of an export, and counts it. Errors: those of
// [Service.Block] and [Service.Merge].
func (c *ImportCheck) Admit(ctx context.Context, name, value string) error {
	if c.settings == nil || c.admitted >= max(admittedSettings, len(c.settings)/admittedShare) {
		settings, err := c.service.store.Settings(ctx)
		if err != nil {
			return err
		}
		maps.Copy(settings, c.added)
		c.settings, c.admitted = settings, 0
		c.blocks, c.aliases = countBlocks(settings), tally.CountAliases(settings)
	}
	if block, ok := tally.ParseBlock(name); ok {
		return c.admitBlock(ctx, block, value)
	}
	topic, aliases, ok, err := tally.ParseAliasSetting(name, value)
	switch {
	case err != nil || !ok:
		return tally.Errorf(tally.CodeBadBody, "the setting %.100q cannot be imported", name)
	case !c.service.sees(topic.Site()):
		return errForeignSetting(name)
	}
	return c.admitAliases(topic, aliases)
}

func (c *ImportCheck) admitBlock(ctx context.Context, block tally.Block, reason string) error {
	err := block.Validate()
	if err == nil && !c.service.sees(block.Site) {
		err = errForeignSetting(block.Setting())
	}
	if err == nil {
		err = checkBlocks(c.settings, c.blocks, []tally.Block{block}, reason)
	}
	if err != nil || c.settings[block.Setting()] != "" {
		return err // an import does not change an existing block
	}
	if err := c.service.rejectSiteBlock(ctx, block); err != nil {
		return err
	}
	c.add(block.Setting(), reason)
	c.blocks[block.Site]++
	return nil
}

func (c *ImportCheck) admitAliases(topic tally.Topic, aliases []tally.Topic) error {
	for _, alias := range aliases {
		switch {
		case !c.service.sees(alias.Site()):
			return errUnknownSite(alias.Site())
		case c.service.catalog.Rule(alias) != c.service.catalog.Rule(topic):
			return tally.Errorf(tally.CodeBadTopic, "%s cannot be an alias of %s: their metrics have different rules", alias, topic)
		}
	}
	present, err := tally.TopicAliases(c.settings, topic)
	if err != nil {
		return err
	}
	all, err := checkAliases(c.settings, c.aliases[topic.Site()], topic, aliases)
	if err != nil {
		return err
	}
	c.add(tally.AliasSetting(topic, all))
	c.aliases[topic.Site()] += len(all) - len(present)
	return nil
}

func (c *ImportCheck) add(name, value string) {
	c.settings[name], c.added[name] = value, value
	c.admitted++
}
