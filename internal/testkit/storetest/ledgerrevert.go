package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testRevertNewest checks that an entry with a newer one of its member takes back
// nothing, and is forgotten nevertheless.
func testRevertNewest(t *testing.T, open Factory) {
	f := owned(t, open)
	// selected returns the entries that were made by source.
	selected := func(t *testing.T, topic tally.Topic, source tally.Source) (some []tally.JournalEntry) {
		for _, trace := range recent(t, f.other, topic) {
			if trace.Source == source {
				some = append(some, trace)
			}
		}
		return some
	}
	mine := func(t *testing.T, topic tally.Topic, member tally.Member, want int64) {
		t.Helper()
		if got := read(t, f.first, topic, member).Mine; got != want {
			t.Errorf("member %d contributes %d, want %d", member, got, want)
		}
	}
	t.Run("a like given again from elsewhere", func(t *testing.T) {
		likes := newTopic(t, "likes")
		apply(t, f.first, likes, from(7, 1, 1), from(7, 1, 0), from(8, 1, 1), from(7, 2, 1))
		if got := revert(t, f.other, selected(t, likes, 7))[likes]; got.Count != 1 {
			t.Errorf("left %v", got)
		}
		mine(t, likes, 1, 1)
		mine(t, likes, 2, 0)
		if left := told(recent(t, f.first, likes)); !slices.Equal(left, []string{"1 from 8"}) {
			t.Errorf("the journal tells %q", left)
		}
	})
	t.Run("more claps from elsewhere", func(t *testing.T) {
		claps := newTopic(t, "claps")
		apply(t, f.first, claps, from(7, 1, 1))
		apply(t, f.other, claps, from(8, 1, 40))
		if got := revert(t, f.first, selected(t, claps, 7)); len(got) > 0 {
			t.Errorf("published %v", got)
		}
		mine(t, claps, 1, 40)
		if got := revert(t, f.first, selected(t, claps, 8))[claps]; got.Count != 0 {
			t.Errorf("left %v", got)
		}
		mine(t, claps, 1, 0)
	})
	t.Run("each of two topics for itself", func(t *testing.T) {
		one, two := newTopic(t, "likes"), newTopic(t, "likes")
		apply(t, f.first, one, from(7, 1, 1))
		apply(t, f.first, two, from(8, 1, 1)) // the same member elsewhere is another one
		revert(t, f.first, selected(t, one, 7))
		mine(t, one, 1, 0)
		mine(t, two, 1, 1)
	})
	if f.Advance != nil {
		t.Run("a later day", func(t *testing.T) {
			likes := newTopic(t, "likes")
			apply(t, f.first, likes, from(7, 1, 1), from(7, 2, 1))
			f.Advance(25 * time.Hour)
			apply(t, f.first, likes, from(7, 1, 0), from(8, 1, 1))
			if got := revert(t, f.first, selected(t, likes, 7))[likes]; got.Count != 1 {
				t.Errorf("left %v", got)
			}
			mine(t, likes, 1, 1)
		})
	}
	// Visitors contribute from elsewhere while entries of before are reverted: who has
	// contributed again keeps the contribution, whenever it came.
	t.Run("while visitors write", func(t *testing.T) {
		claps := newTopic(t, "claps")
		const members = 300
		var writes []tally.Write
		for i := range members {
			writes = append(writes, from(7, tally.Member(1+i), 1))
		}
		apply(t, f.first, claps, writes...)
		spike := selected(t, claps, 7)
		var visitors sync.WaitGroup
		visitors.Go(func() {
			for i := range members {
				apply(t, f.other, claps, from(8, tally.Member(1+i), 2))
			}
		})
		for chunk := range slices.Chunk(spike, 20) {
			ctx, cancel := context.WithTimeout(context.Background(), answer)
			if _, _, err := f.first.Revert(ctx, chunk, false); err != nil {
				t.Error(err)
			}
			cancel()
		}
		visitors.Wait()
		if got := read(t, f.first, claps, 0).Change; got.Count != 2*members {
			t.Errorf("%d members contribute 2 each: %v", members, got)
		}
	})
}
