package owner

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxPruned bounds what one call deletes and returns; who has more calls again.
const maxPruned = 10_000

// Prune deletes the topics of scope, which names a site at least, that nobody touched
// since, and returns them as they were, at most [maxPruned]. One that is touched
// meanwhile stays. With preview it changes nothing and says what it would. It may be
// cut off and repeated. Errors: [tally.CodeBadBody] where no site or no time that
// has passed is named; [tally.CodeStoreUnavailable], with what was deleted until
// then.
func (d *Service) Prune(ctx context.Context, actor string, scope tally.Scope, untouchedSince time.Time, preview bool) (pruned []tally.State, err error) {
	switch {
	case scope.Site == "":
		return nil, tally.Errorf(tally.CodeBadBody, "the site should be named whose topics go")
	case untouchedSince.IsZero() || untouchedSince.After(d.now()):
		return nil, tally.Errorf(tally.CodeBadBody, "a time that has passed should be named since when nobody touched them")
	}
	target := describe(scope) + " untouched since " + untouchedSince.UTC().Format(time.RFC3339)
	if !preview {
		if err := d.announce(ctx, actor, "prune", target, "begins"); err != nil {
			return nil, err
		}
	}
	listing := tally.Listing{Scope: scope, Order: tally.ByTopic, Limit: tally.MaxPortion, Before: untouchedSince.UnixMicro()}
	for len(pruned) < maxPruned {
		page, err := d.store.List(ctx, listing)
		if err != nil {
			return pruned, err
		}
		gone := page.States
		if !preview {
			gone, err = d.prune(ctx, page.States)
		}
		if pruned = append(pruned, gone...); err != nil {
			return pruned, err
		}
		if listing.After = page.Next; page.Next == "" {
			break
		}
	}
	if preview {
		return pruned, nil
	}
	return pruned, d.Audit(ctx, actor, "prune", target, tally.Quantity(len(pruned), "topic")+" deleted")
}

// prune deletes the topics that are still as they were found, and returns them.
func (d *Service) prune(ctx context.Context, found []tally.State) (gone []tally.State, err error) {
	edits := make([]tally.Edit, len(found))
	for i, state := range found {
		edits[i] = tally.Edit{Topic: state.Topic, Kind: tally.EditDelete, IfVersion: state.Version}
	}
	d.store.Edit(ctx, edits)
	for _, e := range edits {
		switch {
		case e.Err != nil:
			if err == nil {
				err = e.Err
			}
		case e.Changed:
			gone = append(gone, e.Before)
			if aliasErr := d.forgetAliases(ctx, e.Topic, e.After.Version); aliasErr != nil && err == nil {
				err = aliasErr
			}
		}
	}
	return gone, err
}
