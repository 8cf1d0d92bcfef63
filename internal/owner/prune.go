package owner

import (
	"cmp"
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxPruned bounds the topics that one call of [Service.Prune] deletes and returns.
const maxPruned = 10_000

// Prune deletes the topics of scope that did not change since before, at most [maxPruned],
// and returns their last states. A topic that changes meanwhile stays. With preview, Prune
// changes nothing and returns what it would delete. It may be interrupted and repeated.
// Errors: [tally.CodeBadBody] if scope has no site or before is missing or in the future;
// [tally.CodeStoreUnavailable], with what was deleted until then.
func (s *Service) Prune(ctx context.Context, actor string, scope tally.Scope, before time.Time, preview bool) (pruned []tally.State, err error) {
	switch {
	case scope.Site == "":
		return nil, tally.Errorf(tally.CodeBadBody, "name the site whose topics to delete")
	case before.IsZero() || before.After(s.now()):
		return nil, tally.Errorf(tally.CodeBadBody, "untouched_since must be a time in the past, such as 2026-11-22T10:00:00Z")
	}
	entry := tally.AuditEntry{
		Actor: actor, Action: "prune", Target: scopeName(scope) + " untouched since " + before.UTC().Format(time.RFC3339),
		Detail: "begins", Sites: scope.Site,
	}
	if !preview {
		if err := s.auditBegin(ctx, entry); err != nil {
			return nil, err
		}
	}
	pruned, err = s.prune(ctx, scope, before, preview)
	if preview {
		return pruned, err
	}
	entry.Detail = tally.Quantity(len(pruned), "topic") + " deleted"
	return pruned, s.auditEnd(ctx, entry, err)
}

func (s *Service) prune(ctx context.Context, scope tally.Scope, before time.Time, preview bool) (pruned []tally.State, err error) {
	listing := tally.Listing{Scope: scope, Order: tally.ByNewest, Limit: tally.MaxPortion, Before: before.UnixMicro()}
	for len(pruned) < maxPruned {
		page, err := s.store.List(ctx, listing)
		if err != nil {
			return pruned, err
		}
		deleted := page.States
		if !preview {
			deleted, err = s.deleteUnchanged(context.WithoutCancel(ctx), page.States)
		}
		if pruned = append(pruned, deleted...); err != nil {
			return pruned, err
		}
		if listing.After = page.Next; page.Next == "" {
			break
		}
	}
	return pruned, nil
}

// deleteUnchanged deletes the topics that still have the given states, and returns them.
func (s *Service) deleteUnchanged(ctx context.Context, states []tally.State) (deleted []tally.State, err error) {
	edits := make([]tally.Edit, len(states))
	for i, state := range states {
		edits[i] = tally.Edit{Topic: state.Topic, Kind: tally.EditDelete, IfVersion: state.Version}
	}
	s.store.Edit(ctx, edits)
	var errs []error
	for _, e := range edits {
		if errs = append(errs, e.Err); e.Err == nil && e.Changed {
			deleted = append(deleted, e.Before)
		}
	}
	return deleted, cmp.Or(append(errs, s.forgetAliases(ctx, edits))...)
}
