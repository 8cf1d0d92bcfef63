package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Target is where an import goes: a store, by [NewStoreTarget], or a running service.
type Target interface {
	// Begin is told the header before anything else.
	Begin(ctx context.Context, header Header) error
	// Store stores lines, in their order, and may be repeated. What it cannot take is
	// left out and returned; the others are stored unless there is an error.
	Store(ctx context.Context, replace bool, lines []Line) ([]Refusal, error)
	// SetSetting stores an order of the export.
	SetSetting(ctx context.Context, name, value string) error
}

// TargetStore is the part of a [tally.Ledger] that takes an import.
type TargetStore interface {
	Restore(ctx context.Context, replace bool, portions []tally.Portion) error
	tally.AliasStore
	SetSetting(ctx context.Context, name, value string) error
}

// NewStoreTarget returns the target that stores in sink what the metrics of catalog can hold.
// Sites need not be known: they may be declared later.
func NewStoreTarget(sink TargetStore, catalog *tally.Catalog) Target {
	return storeTarget{sink, catalog}
}

type storeTarget struct {
	sink    TargetStore
	catalog *tally.Catalog
}

func (t storeTarget) Begin(context.Context, Header) error { return nil }

func (t storeTarget) Store(ctx context.Context, replace bool, lines []Line) (refused []Refusal, err error) {
	portions := make([]tally.Portion, 0, len(lines))
	numbers := make([]int64, 0, len(lines))
	for _, line := range lines {
		rule := t.catalog.Rule(line.Topic)
		if err := line.fits(rule); err != nil {
			refused = append(refused, Refusal{Line: line.Number, Reason: fmt.Sprintf("%s: %v", line.Topic, err)})
			continue
		}
		p := line.Portion
		if now := time.Now(); rule.Kind == tally.Window && line.Until != windowEnd(rule, now) {
			p.Contributions = nil // their window is over: they count, and may come again
		}
		portions, numbers = append(portions, p), append(numbers, line.Number)
	}
	if len(portions) == 0 {
		return refused, nil
	}
	err = t.sink.Restore(ctx, replace, portions)
	if !isRefusal(err) {
		return refused, err
	}
	// Which one the store cannot take is found by storing each by itself.
	for i := range portions {
		switch err := t.sink.Restore(ctx, replace, portions[i:i+1]); {
		case isRefusal(err):
			refused = append(refused, Refusal{Line: numbers[i], Reason: tally.AsError(err).Message})
		case err != nil:
			return refused, err
		}
	}
	return refused, nil
}

// isRefusal tells whether a store refused what it was given, and would again.
func isRefusal(err error) bool {
	if err == nil {
		return false
	}
	switch tally.AsError(err).Code {
	case tally.CodeBadTopic, tally.CodeBadAmount, tally.CodeBadBody, tally.CodeReadOnlyMetric:
		return true
	}
	return false
}

// fits tells why a topic of a metric with that rule cannot hold the line.
func (l Line) fits(rule tally.Rule) error {
	if rule.Kind == 0 {
		return fmt.Errorf("there is no metric %q here; --metric %s=%s declares it", l.Topic.Metric(), l.Topic.Metric(), l.Rule)
	}
	if err := rule.CheckEditable(l.Topic.Metric()); err != nil {
		return errors.New(tally.AsError(err).Message)
	}
	made, err := tally.ParseRule(l.Rule)
	if err != nil && l.Rule != (tally.Rule{}).String() {
		return fmt.Errorf("its rule: %w", err)
	}
	if (made.Kind == tally.Window) != (rule.Kind == tally.Window) {
		return fmt.Errorf("the metric's rule is %s here and was %s: what one keeps means nothing to the other", rule, l.Rule)
	}
	if rule.Kind != tally.Amount && slices.ContainsFunc(l.Contributions, func(c tally.Contribution) bool { return c.Amount > 1 }) {
		return fmt.Errorf("the metric's rule is %s here, under which nobody contributes more than 1", rule)
	}
	return nil
}

// aliasPrefix begins the orders that list aliases of a topic.
const aliasPrefix = "former "

// SetSetting adds aliases to those that are known, and leaves a block as it is.
func (t storeTarget) SetSetting(ctx context.Context, name, value string) error {
	if text, ok := strings.CutPrefix(name, aliasPrefix); ok {
		return t.addAliases(ctx, text, value)
	}
	register, err := t.sink.Settings(ctx)
	if err != nil || register[name] != "" {
		return err
	}
	return t.sink.SetSetting(ctx, name, value)
}

// addAliases adds aliases of a topic, and gives the topic the mark by which instances
// that do not know them yet are told.
func (t storeTarget) addAliases(ctx context.Context, of, value string) error {
	topic, aliases, err := parseAliases(of, value)
	if err != nil {
		return err
	}
	mark, err := tally.AddAliases(ctx, t.sink, topic, aliases)
	if err != nil {
		return err
	}
	for expected := ""; ; {
		current, err := t.sink.SwapMark(ctx, topic, expected, mark)
		if err != nil || current == mark || tally.IsFrozen(current) { // a merge marks it at its end
			return err
		}
		expected = current
	}
}

// parseAliases parses an order that lists aliases.
func parseAliases(of, value string) (topic tally.Topic, aliases []tally.Topic, err error) {
	if topic, err = tally.ParseTopic(of); err == nil {
		aliases, err = tally.ParseAliases(value)
	}
	if err != nil {
		err = fmt.Errorf("aliases of %s: %w", of, err)
	}
	return topic, aliases, err
}

// validateSetting tells why an order of a file is none that an export carries.
func validateSetting(name, value string) error {
	if text, ok := strings.CutPrefix(name, aliasPrefix); ok {
		_, _, err := parseAliases(text, value)
		return err
	}
	if !isExported(name, tally.Scope{}) {
		return fmt.Errorf("order %.100q is not known", name)
	}
	return nil
}
