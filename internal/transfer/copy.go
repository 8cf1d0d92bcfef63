package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// CopyReport is the result of [Copy].
type CopyReport struct {
	Totals
	Settings    int64
	Differences []Difference // topics that differ between the two stores
	// ChangedInSource are topics that changed in the source during the copy. The target
	// has their earlier state; another copy brings the current one.
	ChangedInSource []tally.Topic
	// TargetHadTopics reports whether the target held topics of the scope before the copy.
	TargetHadTopics bool
}

// CopyTarget is a store that [Copy] writes to and reads again.
type CopyTarget interface {
	Source
	TargetStore
	tally.Lister
}

// Copy copies the topics of scope and their settings from source to target, then reads
// both stores again and compares them. Topics are merged with those of the target or, with
// replace, take their place. A copy can be repeated. progress may be nil.
func Copy(ctx context.Context, source Source, target CopyTarget, catalog *tally.Catalog, scope tally.Scope, replace bool, progress func(step string, done Progress)) (CopyReport, error) {
	var report CopyReport
	progressOf := func(step string) func(Progress) {
		return func(done Progress) {
			if progress != nil {
				progress(step, done)
			}
		}
	}
	page, err := target.List(ctx, tally.Listing{Scope: scope, Limit: 1})
	if err != nil {
		return report, fmt.Errorf("list the target's topics: %w", err)
	}
	report.TargetHadTopics = len(page.States) > 0
	settings, err := unmergedSettings(ctx, source)
	if err != nil {
		return report, err
	}
	for name, value := range settings {
		if !isExported(name, scope) {
			continue
		}
		if err := (storeTarget{store: target}).SetSetting(ctx, name, value); err != nil {
			return report, fmt.Errorf("copy the setting %q: %w", name, err)
		}
		report.Settings++
	}
	copied, err := report.copyTopics(ctx, source, target, catalog, scope, replace, progressOf("copy"))
	if err == nil {
		err = checkUnmerged(ctx, source, settings)
	}
	if err != nil {
		return report, fmt.Errorf("copy: %w", err)
	}
	now, err := readDigests(ctx, source, catalog, scope, progressOf("read the source again"))
	if err != nil {
		return report, err
	}
	for topic, digest := range now {
		if before, ok := copied[topic]; !ok || before.Version != digest.Version {
			report.ChangedInSource = append(report.ChangedInSource, topic)
		}
	}
	there, err := readDigests(ctx, target, catalog, scope, progressOf("compare"))
	if err != nil {
		return report, err
	}
	report.Differences = compareDigests(copied, there)
	return report, nil
}

// copyTopics copies the topics and returns their digests.
func (c *CopyReport) copyTopics(ctx context.Context, source Source, target TargetStore, catalog *tally.Catalog, scope tally.Scope, replace bool, progress func(Progress)) (map[tally.Topic]digest, error) {
	digester := digester{catalog: catalog, digests: map[tally.Topic]digest{}}
	var batch []tally.Portion
	contributions := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := target.Restore(ctx, replace, batch)
		clear(batch)
		batch, contributions = batch[:0], 0
		progress(Progress{Totals: c.Totals})
		return err
	}
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		digester.add(p)
		p.Contributions = slices.Clone(p.Contributions) // the source may reuse them
		batch = append(batch, p)
		contributions += len(p.Contributions)
		c.add(p)
		if len(batch) < batchLines && contributions < batchContributions {
			return nil
		}
		return flush()
	})
	if err != nil {
		return nil, err
	}
	return digester.digests, flush()
}
