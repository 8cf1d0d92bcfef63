package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Target receives an import: a store (see [NewStoreTarget]) or a running service.
type Target interface {
	// Begin receives the header before all else.
	Begin(ctx context.Context, header Header) error
	// Store stores a batch and returns the lines that it refused. It can be repeated.
	Store(ctx context.Context, replace bool, batch Batch) ([]Refusal, error)
}

// Batch has some lines of an export: settings or portions, not both.
type Batch struct {
	Settings []Setting
	Lines    []Line
}

// Setting is a line with a setting.
type Setting struct {
	Name, Value string
	Number      int64 // of the line in the file, from 1
}

// LineNumbers returns the numbers of the lines in the file.
func (b Batch) LineNumbers() (numbers []int64) {
	for _, setting := range b.Settings {
		numbers = append(numbers, setting.Number)
	}
	for _, line := range b.Lines {
		numbers = append(numbers, line.Number)
	}
	return numbers
}

// TargetStore is the part of a [tally.Ledger] that an import writes to.
type TargetStore interface {
	tally.Restorer
	tally.SettingsStore
	tally.MarkStore
	// Secret returns the secret of the store, see [tally.Store].
	Secret() ([]byte, error)
}

// Admit returns an error if a setting may not be imported.
type Admit func(ctx context.Context, name, value string) error

// NewStoreTarget returns a target that stores the topics of the catalog's metrics, and the
// settings that admit admits, or all if it is nil. Their sites need not be in the catalog.
func NewStoreTarget(store TargetStore, catalog *tally.Catalog, admit Admit) Target {
	return storeTarget{store, catalog, admit}
}

type storeTarget struct {
	store   TargetStore
	catalog *tally.Catalog
	admit   Admit
}

// Begin returns an error if the export belongs to another secret.
func (t storeTarget) Begin(_ context.Context, header Header) error {
	secret, err := t.store.Secret()
	if err != nil {
		return err
	}
	if f := tally.NewHasher(secret).Fingerprint(); header.Fingerprint != f {
		return tally.Errorf(tally.CodeBadBody, "the export was written with the secret of the fingerprint %.64q, but the secret of the store has the fingerprint %q, so visitors would not be recognised; import it into a store with the secret of the export", header.Fingerprint, f)
	}
	return nil
}

func (t storeTarget) Store(ctx context.Context, replace bool, batch Batch) ([]Refusal, error) {
	if len(batch.Settings) > 0 {
		return t.storeSettings(ctx, batch.Settings)
	}
	return t.storeLines(ctx, replace, batch.Lines)
}

func (t storeTarget) storeLines(ctx context.Context, replace bool, lines []Line) (refused []Refusal, err error) {
	portions := make([]tally.Portion, 0, len(lines))
	numbers := make([]int64, 0, len(lines))
	for _, line := range lines {
		rule := t.catalog.Rule(line.Topic)
		if err := line.checkRule(rule); err != nil {
			refused = append(refused, Refusal{Line: line.Number, Reason: fmt.Sprintf("%s: %v", line.Topic, err)})
			continue
		}
		p := line.Portion
		if rule.Kind == tally.Window && line.Until != rule.WindowEnd(time.Now()) {
			p.Contributions = nil // their window has ended, and the count includes them
		}
		portions, numbers = append(portions, p), append(numbers, line.Number)
	}
	if len(portions) == 0 {
		return refused, nil
	}
	err = t.store.Restore(ctx, replace, portions)
	if !isRefusal(err) {
		return refused, err
	}
	// Store each portion alone to find those that the store refuses.
	for i := range portions {
		switch err := t.store.Restore(ctx, replace, portions[i:i+1]); {
		case isRefusal(err):
			refused = append(refused, Refusal{Line: numbers[i], Reason: tally.AsError(err).Message})
		case err != nil:
			return refused, err
		}
	}
	return refused, nil
}

// isRefusal reports whether a store refused a portion, and would refuse it again.
func isRefusal(err error) bool {
	if err == nil {
		return false
	}
	switch tally.AsError(err).Code {
	case tally.CodeBadTopic, tally.CodeBadAmount, tally.CodeBadBody, tally.CodeReadOnlyMetric, tally.CodeUnknownSite:
		return true
	}
	return false
}

// checkRule returns an error if a topic with the rule cannot store the line.
func (l Line) checkRule(rule tally.Rule) error {
	if rule.Kind == 0 {
		return fmt.Errorf("there is no metric %q here; --metric %s=%s declares it", l.Topic.Metric(), l.Topic.Metric(), l.Rule)
	}
	made, err := tally.ParseRule(l.Rule)
	if err != nil && l.Rule != (tally.Rule{}).String() {
		return fmt.Errorf("its rule: %w", err)
	}
	if (made.Kind == tally.Window) != (rule.Kind == tally.Window) || (made.Kind == tally.Choice) != (rule.Kind == tally.Choice) {
		return fmt.Errorf("the metric has the rule %s here and had %s in the exported store, whose contributions have another meaning", rule, l.Rule)
	}
	if err := l.Validate(rule); err != nil {
		return errors.New(tally.AsError(err).Message)
	}
	return nil
}

// storeSettings adds aliases to those of the store, and blocks unless the store has them, all at
// once. Then it sets the marks of the topics with aliases, which make instances reload their
// settings. Errors: those of admit and of the store; an [unmarkedError] if the marks fail.
func (t storeTarget) storeSettings(ctx context.Context, settings []Setting) (refused []Refusal, err error) {
	aliases, blocks := map[tally.Topic][]tally.Topic{}, map[string]string{}
	for _, setting := range settings {
		topic, added, isAliases, err := t.parseSetting(ctx, setting)
		switch {
		case isRefusal(err):
			refused = append(refused, Refusal{Line: setting.Number, Reason: tally.AsError(err).Message})
		case err != nil:
			return refused, err
		case isAliases:
			aliases[topic] = append(aliases[topic], added...)
		case blocks[setting.Name] == "":
			blocks[setting.Name] = setting.Value
		}
	}
	marks, err := tally.AddSettings(ctx, t.store, aliases, blocks)
	if err != nil {
		return refused, err
	}
	if err := t.setMarks(ctx, marks); err != nil {
		return refused, unmarkedError{err}
	}
	return refused, nil
}

// unmarkedError is the error of settings that are stored although topics lack their marks.
type unmarkedError struct{ error }

func (e unmarkedError) Unwrap() error { return e.error }

// parseSetting returns the topic and the aliases of a setting, if it is a list of aliases. Errors: those
// of admit and [tally.ParseAliasSetting].
func (t storeTarget) parseSetting(ctx context.Context, setting Setting) (topic tally.Topic, aliases []tally.Topic, isAliases bool, err error) {
	if t.admit != nil {
		if err := t.admit(ctx, setting.Name, setting.Value); err != nil {
			return tally.Topic{}, nil, false, err
		}
	}
	return tally.ParseAliasSetting(setting.Name, setting.Value)
}

func (t storeTarget) setMarks(ctx context.Context, marks map[tally.Topic]string) error {
	for topic, mark := range marks {
		for expected := ""; ; {
			current, err := t.store.SwapMark(ctx, topic, expected, mark)
			if err != nil {
				return err
			}
			if current == mark || tally.IsFrozen(current) { // the merge sets the mark when it ends
				break
			}
			expected = current
		}
	}
	return nil
}

// validateSetting returns an error if an export cannot contain the setting.
func validateSetting(name, value string) error {
	if _, _, ok, err := tally.ParseAliasSetting(name, value); ok {
		return err
	}
	block, ok := tally.ParseBlock(name)
	if !ok {
		return fmt.Errorf("the setting %.100q is not known", name)
	}
	if err := block.Validate(); err != nil {
		return errors.New(tally.AsError(err).Message)
	}
	if value == "" {
		return errors.New("the block has no reason")
	}
	return nil
}
