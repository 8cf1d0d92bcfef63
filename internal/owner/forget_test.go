package owner_test

import (
	"context"
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

// countedWork counts the calls of a store.
type countedWork struct {
	fullStore
	reads, lookups, edits int
}

func (c *countedWork) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	c.reads += len(queries)
	return c.fullStore.Read(ctx, queries)
}

func (c *countedWork) Contributions(ctx context.Context, queries []tally.Query) ([]int64, error) {
	c.lookups += len(queries)
	return c.fullStore.Contributions(ctx, queries)
}

func (c *countedWork) Edit(ctx context.Context, edits []tally.Edit) {
	c.edits += len(edits)
	c.fullStore.Edit(ctx, edits)
}

// Topics to which the visitor does not contribute cost a lookup each.
func TestForget_Work(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		const topics = 100
		store := &countedWork{fullStore: w.first}
		o := open(store)
		old := newTopic("likes") // its contribution has no journal entry
		portion := tally.Portion{State: tally.State{Change: tally.Change{Topic: old, Count: 1, Version: 1}}, First: true, Last: true, Sum: 1}
		secret, err := w.first.Secret()
		if err != nil {
			t.Fatal(err)
		}
		portion.Contributions = []tally.Contribution{{Member: tally.NewHasher(secret).Member(old, visitor(1)), Amount: 1}}
		if err := w.first.Restore(t.Context(), false, []tally.Portion{portion}); err != nil {
			t.Fatal(err)
		}
		for range topics {
			o.like(t, newTopic("likes"), visitor(2))
		}
		if n, err := o.Forget(t.Context(), "test", visitor(1), tally.Scope{}); err != nil || n != 1 {
			t.Errorf("%d contributions were removed, error %v", n, err)
		}
		if store.reads > 0 || store.lookups != topics+1 || store.edits != 1 {
			t.Errorf("%d reads, %d lookups and %d edits for %d topics", store.reads, store.lookups, store.edits, topics)
		}
		o.counts(t, old, 0)
	})
}
