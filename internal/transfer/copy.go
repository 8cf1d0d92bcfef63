package transfer

import (
	"context"
	"fmt"
	"iter"
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

// CopyOptions are the options of [Copy]. The zero value merges all topics.
type CopyOptions struct {
	Scope   tally.Scope
	Replace bool // replace each topic instead of merging it
	// OnProgress is called in each step of the copy; may be nil.
	OnProgress func(step string, done Totals)
}

// progress returns the function that reports the progress of a step.
func (o CopyOptions) progress(step string) func(Totals) {
	return func(done Totals) {
		if o.OnProgress != nil {
			o.OnProgress(step, done)
		}
	}
}

// Copy copies topics and their settings from source to target, then reads both stores again
// and compares them. It can be repeated.
func Copy(ctx context.Context, source Source, target CopyTarget, catalog *tally.Catalog, options CopyOptions) (CopyReport, error) {
	var report CopyReport
	scope := options.Scope
	page, err := target.List(ctx, tally.Listing{Scope: scope, Limit: 1})
	if err != nil {
		return report, fmt.Errorf("list the target's topics: %w", err)
	}
	report.TargetHadTopics = len(page.States) > 0
	settings, err := unmergedSettings(ctx, source)
	if err != nil {
		return report, err
	}
	if err := report.copySettings(ctx, settings, target, scope); err != nil {
		return report, fmt.Errorf("copy the settings: %w", err)
	}
	copied, err := report.copyTopics(ctx, source, target, catalog, options)
	if err == nil {
		err = checkUnmerged(ctx, source, settings)
	}
	if err != nil {
		return report, fmt.Errorf("copy: %w", err)
	}
	now, err := readDigests(ctx, source, catalog, scope, options.progress("read the source again"))
	if err != nil {
		return report, err
	}
	for topic, digest := range now {
		if before, ok := copied[topic]; !ok || before.Version != digest.Version {
			report.ChangedInSource = append(report.ChangedInSource, topic)
		}
	}
	inTarget, err := readDigests(ctx, target, catalog, scope, options.progress("compare"))
	if err != nil {
		return report, err
	}
	report.Differences = compareDigests(copied, inTarget)
	return report, nil
}

// copySettings copies those of the settings that belong to scope.
func (c *CopyReport) copySettings(ctx context.Context, settings map[string]string, target TargetStore, scope tally.Scope) error {
	var exported []Setting
	for name, value := range settings {
		if isExported(name, scope) {
			exported = append(exported, Setting{name, value, int64(len(exported))})
		}
	}
	for chunk := range chunkSettings(exported) {
		refused, err := storeTarget{store: target}.storeSettings(ctx, chunk)
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("%q: %s", exported[refused[0].Line].Name, refused[0].Reason)
		}
		if err != nil {
			return err
		}
		c.Settings += int64(len(chunk))
	}
	return nil
}

// chunkSettings divides settings into chunks of about the size of a batch.
func chunkSettings(settings []Setting) iter.Seq[[]Setting] {
	return func(yield func([]Setting) bool) {
		begin, size := 0, 0
		for i, each := range settings {
			size += len(each.Name) + len(each.Value)
			if isFull := i-begin+1 >= batchLines || size >= batchSettings; !isFull && i+1 < len(settings) {
				continue
			}
			if !yield(settings[begin : i+1]) {
				return
			}
			begin, size = i+1, 0
		}
	}
}

// copyTopics copies the topics and returns their digests.
func (c *CopyReport) copyTopics(ctx context.Context, source Source, target TargetStore, catalog *tally.Catalog, options CopyOptions) (map[tally.Topic]digest, error) {
	digester := digester{catalog: catalog, digests: map[tally.Topic]digest{}}
	var batch []tally.Portion
	contributions := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := target.Restore(ctx, options.Replace, batch)
		clear(batch)
		batch, contributions = batch[:0], 0
		options.progress("copy")(c.Totals)
		return err
	}
	err := source.Dump(ctx, options.Scope, func(p tally.Portion) error {
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
