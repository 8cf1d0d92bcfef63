package owner

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// frozenWait is how long an edit waits for a merge of its topic. Most merges take some
// milliseconds.
const frozenWait = time.Second

// Edit carries out the edits and writes each edit that changed something to the audit log.
// Each edit has its own error; Edit returns the first of these errors, or that of the log.
// Errors before anything is done: [tally.CodeUnknownSite], [tally.CodeUnknownMetric],
// [tally.CodeReadOnlyMetric]; otherwise [tally.CodeBadAmount] and
// [tally.CodeStoreUnavailable], the latter also while a topic is merged.
func (s *Service) Edit(ctx context.Context, actor string, edits []tally.Edit) error {
	for i := range edits {
		if err := s.catalog.CheckEditable(edits[i].Topic); err != nil {
			return err
		}
	}
	s.editUnfrozen(ctx, edits)
	var failed error
	var entries []tally.AuditEntry
	for i := range edits {
		e := &edits[i]
		failed = cmp.Or(failed, e.Err)
		if e.Err == nil && e.Changed {
			entries = append(entries, tally.AuditEntry{
				Actor: actor, Action: editActions[e.Kind], Target: e.Topic.String(), Detail: editDetail(e), Sites: e.Topic.Site(),
			})
		}
	}
	return cmp.Or(failed, s.Audit(ctx, entries...), s.forgetAliases(ctx, edits))
}

// editUnfrozen carries out the edits. It repeats the edits of frozen topics until the
// merges of these topics end, for at most [frozenWait].
func (s *Service) editUnfrozen(ctx context.Context, edits []tally.Edit) {
	s.store.Edit(ctx, edits)
	for end := time.Now().Add(frozenWait); time.Now().Before(end) && ctx.Err() == nil; {
		var indexes []int
		var frozen []tally.Edit
		for i := range edits {
			if errors.Is(edits[i].Err, tally.ErrFrozen) {
				indexes, frozen = append(indexes, i), append(frozen, edits[i])
			}
		}
		if len(frozen) == 0 {
			return
		}
		time.Sleep(claimPoll)
		s.releaseUnclaimed(ctx, frozen)
		s.store.Edit(ctx, frozen)
		for j, i := range indexes {
			edits[i] = frozen[j]
		}
	}
}

// releaseUnclaimed releases frozen topics that no merge has claimed, as in data that was
// restored without its settings.
func (s *Service) releaseUnclaimed(ctx context.Context, frozen []tally.Edit) {
	for _, e := range frozen {
		mark, err := s.store.SwapMark(ctx, e.Topic, "", "")
		if err != nil || !tally.IsFrozen(mark) {
			continue
		}
		// Read the claims after the mark: a merge sets its claim first and removes it last.
		settings, err := s.store.Settings(ctx, append(tally.AliasSettings(e.Topic), tally.ClaimSetting(e.Topic))...)
		if err == nil && settings[tally.ClaimSetting(e.Topic)] == "" {
			_, _ = s.store.SwapMark(ctx, e.Topic, mark, tally.AliasMark(settings, e.Topic))
		}
	}
}

// editActions are the actions of edits in the audit log.
var editActions = map[tally.EditKind]string{
	tally.EditSeed:       "seed",
	tally.EditAdjustment: "adjust",
	tally.EditCount:      "set",
	tally.EditReset:      "reset",
	tally.EditDelete:     "delete",
	tally.EditBase:       "base",
	tally.EditWithdraw:   "withdraw",
}

// editDetail describes what an edit changed, for the audit log.
func editDetail(e *tally.Edit) string {
	detail := describeChange("count", e.Before.Counts(), e.After.Counts())
	switch e.Kind {
	case tally.EditSeed:
		detail += ", " + describeChange("seed", e.Before.Seeds(), e.After.Seeds())
	case tally.EditAdjustment, tally.EditBase:
		detail += ", " + describeChange("adjustment", e.Before.Adjustments(), e.After.Adjustments())
	}
	return detail
}

// describeChange describes how a number changed.
func describeChange(name string, before, after tally.Numbers) string {
	format := func(n int64) string { return strconv.FormatInt(n, 10) }
	return name + " " + before.Text(format) + " → " + after.Text(format)
}
