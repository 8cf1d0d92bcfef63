package owner_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestPrune_Scope(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		old, fresh, elsewhere := newTopic("likes"), newTopic("likes"), topic("docs/likes/old")
		o.like(t, old, visitor(1))
		o.like(t, elsewhere, visitor(1))
		o.like(t, fresh, visitor(1))
		since := time.UnixMicro(o.state(t, fresh).Version)
		blog := tally.Scope{Site: "blog"}
		preview, err := o.Prune(ctx, "test", blog, since, true)
		if err != nil || len(preview) != 1 || preview[0].Topic != old || preview[0].Count != 1 {
			t.Fatalf("preview: %+v, %v", preview, err)
		}
		o.counts(t, old, 1)
		if pruned, err := o.Prune(ctx, "test", blog, since, false); err != nil || len(pruned) != 1 || pruned[0].Topic != old || pruned[0].Count != 1 {
			t.Fatalf("pruned %+v, %v", pruned, err)
		}
		o.counts(t, old, 0)
		o.counts(t, fresh, 1)
		o.counts(t, elsewhere, 1)
		for name, err := range map[string]error{
			"no site": func() error { _, err := o.Prune(ctx, "test", tally.Scope{}, since, false); return err }(),
			"no time": func() error { _, err := o.Prune(ctx, "test", blog, time.Time{}, false); return err }(),
			"future":  func() error { _, err := o.Prune(ctx, "test", blog, time.Now().Add(time.Hour), false); return err }(),
		} {
			if code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
