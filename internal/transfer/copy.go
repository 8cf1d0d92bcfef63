package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// CopyReport says what a [Copy] did.
type CopyReport struct {
	Totals
	Settings    int64
	Differences []Difference // topics that are not the same in both stores
	// ChangedInSource are topics that changed in the source while they were copied: of them the
	// target has what was there before. Copying again brings the rest.
	ChangedInSource []tally.Topic
	// TargetHadTopics says that the target held topics of the scope before.
	TargetHadTopics bool
}

// Lister is the part of a [tally.Ledger] that lists topics.
type Lister interface {
	List(ctx context.Context, listing tally.Listing) (tally.Page, error)
}

// CopyTarget is a store that is copied to.
type CopyTarget interface {
	Source
	TargetStore
	Lister
}

// Copy stores what source holds of scope in target, and reads both again to compare
// them. Portions are merged, or replace topic by topic what the target held. It may be
// repeated.
func Copy(ctx context.Context, source Source, target CopyTarget, catalog *tally.Catalog, scope tally.Scope, replace bool, progress func(step string, done Progress)) (CopyReport, error) {
	var c CopyReport
	tell := func(step string) func(Progress) {
		return func(done Progress) {
			if progress != nil {
				progress(step, done)
			}
		}
	}
	page, err := target.List(ctx, tally.Listing{Scope: scope, Limit: 1})
	if err != nil {
		return c, fmt.Errorf("look what the target holds: %w", err)
	}
	c.TargetHadTopics = len(page.States) > 0
	if c.Settings, err = copySettings(ctx, source, target, scope); err != nil {
		return c, fmt.Errorf("copy what was ordered: %w", err)
	}
	register, err := source.Settings(ctx)
	if err == nil && tally.MergeUnderWay(register) {
		err = errMerging
	}
	if err != nil {
		return c, err
	}
	copied, err := c.portions(ctx, source, target, catalog, scope, replace, tell("copy"))
	if err == nil {
		err = checkUnmerged(ctx, source, register)
	}
	if err != nil {
		return c, fmt.Errorf("copy: %w", err)
	}
	now, err := Digests(ctx, source, catalog, scope, tell("read the source again"))
	if err != nil {
		return c, err
	}
	for topic, digest := range now {
		if before, ok := copied[topic]; !ok || before.Version != digest.Version {
			c.ChangedInSource = append(c.ChangedInSource, topic)
		}
	}
	there, err := Digests(ctx, target, catalog, scope, tell("compare"))
	if err != nil {
		return c, err
	}
	c.Differences = Compare(copied, there)
	return c, nil
}

// copySettings copies the entries of the register that go with the scope.
func copySettings(ctx context.Context, source Source, target TargetStore, scope tally.Scope) (n int64, err error) {
	register, err := source.Settings(ctx)
	if err != nil {
		return 0, err
	}
	for name, value := range register {
		if !isExported(name, scope) {
			continue
		}
		if err := (storeTarget{sink: target}).SetSetting(ctx, name, value); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// portions copies the topics and returns digests of what was copied.
func (c *CopyReport) portions(ctx context.Context, source Source, target TargetStore, catalog *tally.Catalog, scope tally.Scope, replace bool, progress func(Progress)) (map[tally.Topic]Digest, error) {
	gathered := digester{catalog: catalog, digests: map[tally.Topic]Digest{}}
	var batch []tally.Portion
	contributions := 0
	store := func() error {
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
		gathered.add(p)
		p.Contributions = slices.Clone(p.Contributions) // the source may use them again
		batch = append(batch, p)
		contributions += len(p.Contributions)
		c.Contributions += int64(len(p.Contributions))
		if p.Last {
			c.Topics++
		}
		if len(batch) < batchLines && contributions < batchContributions {
			return nil
		}
		return store()
	})
	if err != nil {
		return nil, err
	}
	return gathered.digests, store()
}
