package owner_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// step is a contribution in a case of TestRevert_NewestEntry.
type step struct {
	visitor int
	amount  int64
	from    netip.Addr
}

// A revert removes a contribution only if the newest journal entry of its visitor is
// selected. The preview returns the same.
func TestRevert_NewestEntry(t *testing.T) {
	x, y := botAddress, readerAddress
	for name, test := range map[string]struct {
		metric   string
		steps    []step
		reverted int // contributions
		count    int64
	}{
		"like, unlike, like from elsewhere":     {"likes", []step{{1, 1, x}, {1, 0, x}, {1, 1, y}}, 0, 1},
		"like from elsewhere, unlike, like":     {"likes", []step{{1, 1, y}, {1, 0, x}, {1, 1, x}}, 1, 0},
		"like twice from the same network":      {"likes", []step{{1, 1, x}, {1, 0, x}, {1, 1, x}}, 1, 0},
		"one clap, then 40 from elsewhere":      {"claps", []step{{1, 1, x}, {1, 40, y}}, 0, 40},
		"40 claps from elsewhere, then 41":      {"claps", []step{{1, 40, y}, {1, 41, x}}, 1, 0},
		"more, elsewhere, less":                 {"claps", []step{{1, 30, x}, {1, 40, y}, {1, 20, x}}, 0, 20},
		"x, y, x":                               {"claps", []step{{1, 1, x}, {1, 2, y}, {1, 3, x}}, 1, 0},
		"x, y, x, y":                            {"claps", []step{{1, 1, x}, {1, 2, y}, {1, 3, x}, {1, 4, y}}, 0, 4},
		"a server of the owner asserts more":    {"claps", []step{{1, 1, x}, {1, 2, netip.Addr{}}}, 0, 2},
		"other visitors of the same network":    {"likes", []step{{1, 1, x}, {2, 1, x}, {1, 0, x}, {1, 1, y}, {3, 1, y}}, 1, 2},
		"a final contribution":                  {"visitors", []step{{1, 1, x}, {1, 1, y}}, 1, 0},
		"a window counts each entry separately": {"visits", []step{{1, 1, x}, {1, 1, y}, {2, 1, y}}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, w *stores) {
				o := open(w.first)
				page := newTopic(test.metric)
				for _, s := range test.steps {
					o.contribute(t, page, visitor(s.visitor), s.amount, s.from)
				}
				selection := owner.Selection{Topics: []tally.Topic{page}, From: hourAgo(), Addresses: []netip.Addr{x}}
				preview, err := o.Revert(t.Context(), "test", selection, true)
				if err != nil || preview.Entries != test.reverted {
					t.Errorf("preview %+v, %v; want %d", preview, err, test.reverted)
				}
				done, err := o.Revert(t.Context(), "test", selection, false)
				if err != nil || fmt.Sprint(done) != fmt.Sprint(preview) {
					t.Errorf("reverted %+v, %v; previewed %+v", done, err, preview)
				}
				o.counts(t, page, test.count)
				if again, err := o.Revert(t.Context(), "test", selection, false); err != nil || again.Entries != 0 {
					t.Errorf("second revert: %+v, %v", again, err)
				}
				o.counts(t, page, test.count)
			})
		})
	}
}

// countedReads counts the reads and searches of the journal of more than one topic, and the
// entries of each revert.
type countedReads struct {
	fullStore
	passes   int
	searches int
	reverts  []int
}

func (c *countedReads) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if !scope.Exact {
		c.passes++
	}
	return c.fullStore.Journal(ctx, scope, from, to, each)
}

func (c *countedReads) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if !scope.Exact {
		c.searches++
	}
	return c.fullStore.SearchJournal(ctx, scope, from, to, each)
}

func (c *countedReads) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) ([]tally.JournalEntry, []tally.Change, error) {
	c.reverts = append(c.reverts, len(entries))
	return c.fullStore.Revert(ctx, entries, mode)
}

// A revert of more contributions than it holds in memory reads the whole journal of the site once. Its
// preview searches the journal once, and reverts nothing.
func TestRevert_MoreThanMemory(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		const limit = 8
		store := &countedReads{fullStore: w.first}
		o := openWith(store, owner.Options{MaxReverted: limit})
		want := 0
		for _, likes := range []int{3, 1, 40, 2, 4, 5, 1} { // 40 and 5 exceed a half of the limit
			page := newTopic("likes")
			for i := range likes {
				o.contribute(t, page, visitor(i), 1, botAddress)
			}
			o.contribute(t, page, visitor(1000), 1, readerAddress)
			want += likes
		}
		selection := owner.Selection{Scope: tally.Scope{Site: "blog"}, From: hourAgo(), Addresses: []netip.Addr{botAddress}}
		for _, preview := range []bool{true, false} {
			store.passes, store.searches, store.reverts = 0, 0, nil
			done, err := o.Revert(t.Context(), "test", selection, preview)
			if err != nil || done.Entries != want || len(done.Topics) != 7 {
				t.Errorf("preview %t: %d of %d contributions to %d topics, error %v", preview, done.Entries, want, len(done.Topics), err)
			}
			isTooMuch := func(entries int) bool { return preview || entries > limit }
			if store.searches != map[bool]int{true: 1}[preview] || store.passes != 1-store.searches || slices.ContainsFunc(store.reverts, isTooMuch) {
				t.Errorf("preview %t: the journal was read %d times and searched %d times; reverts of %v entries", preview, store.passes, store.searches, store.reverts)
			}
		}
		if done, err := o.Revert(t.Context(), "test", selection, false); err != nil || done.Entries != 0 {
			t.Errorf("the second revert: %+v, %v", done, err)
		}
	})
}
