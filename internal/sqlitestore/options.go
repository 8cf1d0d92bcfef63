package sqlitestore

import (
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// formatOptions returns the column options of a topic, see migration/0003_options.sql.
func formatOptions(s *tally.State) string {
	if s.Options == "" {
		return ""
	}
	return string(s.Options + " " + s.SeedOptions + " " + s.AdjustmentOptions)
}

// parseOptions sets the options of s to those in the column options. rule is the rule of s.
func parseOptions(rule tally.Rule, column string, s *tally.State) (err error) {
	if rule.Kind != tally.Choice {
		return nil
	}
	if column != "" {
		texts := strings.Split(column, " ")
		lists := []*tally.Options{&s.Options, &s.SeedOptions, &s.AdjustmentOptions}
		for i := range lists {
			if *lists[i], err = tally.ParseOptions(texts[min(i, len(texts)-1)]); err != nil {
				return fmt.Errorf("options of %s: %w", s.Topic, err)
			}
		}
	}
	rule.PadState(s)
	return nil
}
