package owner

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// An import adds admittedSettings settings before [ImportCheck] reads the settings again; or, if
// that is more, a share of the existing ones, one of admittedShare. So the reads of a long import
// take time in proportion to its length. Imports that run at the same time can each
// exceed a limit by this many.
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
	blocks   map[string]int    // by site
	aliases  map[string]int    // by site
}

// NewImportCheck returns a check for an import.
func (s *Service) NewImportCheck() *ImportCheck { return &ImportCheck{service: s} }

// Admit reports whether the import may add a setting of an export, and counts it. Errors: those of
// [Service.Block] and [Service.Merge].
func (c *ImportCheck) Admit(ctx context.Context, name, value string) error {
	if c.settings == nil || c.admitted >= max(admittedSettings, len(c.settings)/admittedShare) {
		settings, err := c.service.store.Settings(ctx)
		if err != nil {
			return err
		}
		c.settings, c.admitted = settings, 0
		c.blocks, c.aliases = countBlocks(settings), tally.CountAliases(settings)
	}
	if block, ok := tally.ParseBlock(name); ok {
		return c.admitBlock(ctx, block, value)
	}
	topic, aliases, ok, err := tally.ParseAliasSetting(name, value)
	if err != nil || !ok {
		return tally.Errorf(tally.CodeBadBody, "the setting %.100q cannot be imported", name)
	}
	return c.admitAliases(topic, aliases)
}

func (c *ImportCheck) admitBlock(ctx context.Context, block tally.Block, reason string) error {
	err := block.Validate()
	if err == nil {
		err = checkBlocks(c.settings, c.blocks, []tally.Block{block}, reason)
	}
	if err != nil || c.settings[block.Setting()] != "" {
		return err // an import leaves a block that exists
	}
	if err := c.service.rejectSiteBlock(ctx, block); err != nil {
		return err
	}
	c.settings[block.Setting()] = reason
	c.blocks[block.Site]++
	c.admitted++
	return nil
}

func (c *ImportCheck) admitAliases(topic tally.Topic, aliases []tally.Topic) error {
	for _, alias := range aliases {
		switch {
		case c.service.sites != nil && !c.service.sees(alias.Site()):
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
	name, value := tally.AliasSetting(topic, all)
	c.settings[name] = value
	c.aliases[topic.Site()] += len(all) - len(present)
	c.admitted++
	return nil
}
