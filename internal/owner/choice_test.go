package owner_test

import (
	"fmt"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// choose asserts an option and checks what the topic has then.
func (o *instance) choose(t *testing.T, topic tally.Topic, visitor string, option int64, want tally.Options) tally.Result {
	t.Helper()
	result := o.contribute(t, topic, visitor, option, readerAddress)
	if result.Change.Options != want || result.Change.Count != want.Sum() || result.Mine != option {
		t.Fatalf("option %d of %s gave %+v, want %s", option, topic, result, want)
	}
	return result
}

// A visitor who chose in two topics counts in both after their merge. Their own choice is
// that of the target, and the next one replaces both in one change.
func TestMerge_Choices(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o, other := t.Context(), open(w.first), open(w.second)
		from, to := newTopic("rating"), newTopic("rating")
		o.choose(t, from, visitor(1), 5, "0,0,0,0,1")
		o.choose(t, from, visitor(2), 5, "0,0,0,0,2")
		o.choose(t, from, visitor(3), 1, "1,0,0,0,2")
		o.choose(t, to, visitor(1), 2, "0,1,0,0,0")
		o.edit(t, tally.Edit{Topic: from, Kind: tally.EditSeed, Options: "0,0,7,0,0"})
		o.edit(t, tally.Edit{Topic: to, Kind: tally.EditAdjustment, Options: "0,-1,0,3,0"})
		o.edit(t, tally.Edit{Topic: to, Kind: tally.EditSeed, Options: "1,0,0,0,0"})
		change, err := o.Merge(ctx, "test", []tally.Topic{from}, to)
		if err != nil || change.Options != "2,0,7,3,2" || change.Count != 14 {
			t.Fatalf("merged to %+v, %v", change, err)
		}
		state := o.state(t, to)
		if sums := fmt.Sprint(state.Sums()); sums != "[1 1 0 0 2]" || state.SeedOptions != "1,0,0,0,0" || state.AdjustmentOptions != "0,-1,7,3,0" {
			t.Errorf("the merged topic is %+v, with the choices %s", state, sums)
		}
		stop := run(t, other)
		defer stop()
		for n, want := range []int64{0, 2, 5, 1} {
			if got := other.mine(t, to, visitor(n)); got != want {
				t.Errorf("visitor %d chose %d, want %d", n, got, want)
			}
		}
		before := o.state(t, to).Version
		if got := other.choose(t, to, visitor(1), 4, "2,0,7,4,1"); !got.Changed || got.Change.Version <= before {
			t.Errorf("a choice that replaces two: %+v after version %d", got, before)
		}
		if got := other.choose(t, to, visitor(1), 4, "2,0,7,4,1"); got.Changed {
			t.Error("the same choice again changed something")
		}
		other.choose(t, to, visitor(3), 0, "1,0,7,4,1") // chosen under the former name only
		other.choose(t, to, visitor(2), 1, "2,0,7,4,0")
		other.choose(t, to, visitor(2), 2, "1,1,7,4,0")
	})
}

// A revert removes the choice that the newest journal entry made, and never restores an
// earlier one.
func TestRevert_Choices(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		o := open(w.first)
		page := newTopic("votes")
		o.choose(t, page, visitor(1), 1, "1,0")
		o.choose(t, page, visitor(2), 1, "2,0")
		o.choose(t, page, visitor(1), 2, "1,1")
		var entries []tally.JournalEntry
		err := w.second.Journal(t.Context(), tally.ScopeOf(page), 0, 1<<40, func(some []tally.JournalEntry) error {
			entries = append(entries, some...)
			return nil
		})
		if err != nil || len(entries) != 3 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, step := range []struct {
			revert []tally.JournalEntry
			want   tally.Options
		}{{entries[:1], "1,1"}, {entries[2:], "1,0"}, {entries, "0,0"}, {entries, "0,0"}} {
			if _, _, err := w.first.Revert(t.Context(), step.revert, tally.RevertPast); err != nil {
				t.Fatal(err)
			}
			if got := o.state(t, page); got.Options != step.want {
				t.Errorf("after a revert of %d entries: %+v, want %s", len(step.revert), got, step.want)
			}
		}
		if got := o.mine(t, page, visitor(1)); got != 0 {
			t.Errorf("a visitor whose choice was reverted has the option %d", got)
		}
	})
}
