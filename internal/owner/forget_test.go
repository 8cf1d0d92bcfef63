package owner_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestForget_AllNames(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		liked, renamed, claps, visits, once := newTopic("likes"), newTopic("likes"), newTopic("claps"), newTopic("visits"), newTopic("visitors")
		who, other := "someone-1", "someone-2"
		for _, visitor := range []string{who, other} {
			o.like(t, liked, visitor)
			o.contribute(t, claps, visitor, 20, readerAddress)
			o.contribute(t, claps, visitor, 30, readerAddress)
			o.like(t, visits, visitor)
			o.like(t, once, visitor)
			o.like(t, topic("docs/likes/x"), visitor)
		}
		if _, err := o.Rename(ctx, "test", liked, renamed); err != nil {
			t.Fatal(err)
		}
		if n, err := o.Forget(ctx, "test", who, tally.Scope{Site: "blog"}); err != nil || n != 4 {
			t.Errorf("removed %d contributions, %v", n, err)
		}
		o.counts(t, renamed, 1)
		o.counts(t, claps, 30)
		o.counts(t, visits, 1)
		o.counts(t, once, 1)
		o.counts(t, topic("docs/likes/x"), 2)
		// The journal has no entry of the visitor, and all entries of others.
		err := w.first.Journal(ctx, tally.ScopeOf(claps), 0, time.Now().Unix()/60+1, func(entries []tally.JournalEntry) error {
			secret, err := w.first.Secret()
			for _, trace := range entries {
				if trace.Member != tally.NewHasher(secret).Member(claps, other) {
					t.Errorf("entry in the journal: %+v", trace)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if n, err := o.Forget(ctx, "test", who, tally.Scope{}); err != nil || n != 1 {
			t.Errorf("removed %d contributions to other sites, %v", n, err)
		}
		if _, err := o.Forget(ctx, "test", "x", tally.Scope{}); code(err) != tally.CodeBadVisitor {
			t.Errorf("invalid visitor: %v", err)
		}
	})
}
