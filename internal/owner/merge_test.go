package owner_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestRename_KeepsContributions(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o, other := t.Context(), open(w.first), open(w.second)
		a, b, c := newTopic("likes"), newTopic("likes"), newTopic("likes")
		for n := range 5 {
			o.like(t, a, visitor(n))
		}
		o.edit(t, tally.Edit{Topic: a, Kind: tally.EditSeed, Value: 100})
		o.edit(t, tally.Edit{Topic: a, Kind: tally.EditAdjustment, Value: -7})
		o.gains(t, a, 5)
		change, err := o.Rename(ctx, "test", a, b)
		if err != nil || change.Topic != b || change.Count != 98 {
			t.Fatalf("renamed to %+v, %v", change, err)
		}
		o.gains(t, b, 5, a)
		other.gains(t, b, 5, a)
		if state := o.state(t, a); state.Version != 0 || state.Count != 0 {
			t.Errorf("%s still exists: %+v", a, state)
		}
		// Another instance learns the aliases of both renames.
		if _, err := o.Rename(ctx, "test", b, c); err != nil {
			t.Fatal(err)
		}
		stop := run(t, other)
		defer stop()
		processtest.Eventually(t, "the other instance knows the aliases", func() bool { return len(other.service.Aliases(c)) == 2 })
		for _, o := range []*instance{o, other} {
			if got := o.mine(t, c, visitor(3)); got != 1 {
				t.Errorf("a visitor who liked the topic under its first name contributes %d", got)
			}
		}
		if again := other.like(t, c, visitor(3)); again.Changed {
			t.Error("a visitor who liked the topic under its first name liked it again")
		}
		if taken := other.contribute(t, c, visitor(3), 0, readerAddress); !taken.Changed || taken.Change.Count != 97 {
			t.Errorf("withdrawn like under the first name: %+v", taken)
		}
		if fresh := other.like(t, c, visitor(9)); !fresh.Changed || fresh.Change.Count != 98 {
			t.Errorf("new like: %+v", fresh)
		}
		other.gains(t, c, 5, a, b)
		h, err := other.service.History(ctx, c, tally.Day)
		if gain := h.SumAt(tally.Day.Number(h.Now)) - h.Prior; err != nil || gain != 5 || !h.IsComplete {
			t.Errorf("the history of a renamed topic is %+v, %v", h, err)
		}
		// Rename it back to its first name.
		if _, err := o.Rename(ctx, "test", c, a); err != nil {
			t.Fatal(err)
		}
		o.counts(t, a, 98)
		if got := o.mine(t, a, visitor(1)); got != 1 {
			t.Errorf("under its first name again, a visitor contributes %d", got)
		}
		entries, _, err := o.AuditLog(ctx, "", 100)
		if err != nil || len(entries) == 0 || entries[0].Action != "rename" || entries[0].Actor != "test" ||
			entries[0].Target != c.String()+" → "+a.String() || entries[0].Detail != "count 0 → 98" {
			t.Errorf("the audit log ends with %+v, %v", entries, err)
		}
		register, err := w.first.Settings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for name := range register {
			if !slices.Contains(tally.AliasSettings(a), name) {
				t.Errorf("obsolete setting: %q", name)
			}
		}
	})
}

func TestMerge_Sum(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), openWith(w.first, owner.Options{LeaseTime: patientLease})
		t.Run("claps", func(t *testing.T) {
			a, b, to := newTopic("claps"), newTopic("claps"), newTopic("claps")
			o.contribute(t, a, visitor(1), 7, readerAddress)
			o.contribute(t, b, visitor(1), 5, readerAddress)
			o.contribute(t, to, visitor(1), 3, readerAddress)
			o.contribute(t, b, visitor(2), 50, readerAddress)
			change, err := o.Merge(ctx, "test", []tally.Topic{b, a, b}, to)
			if err != nil || change.Count != 65 {
				t.Fatalf("merged: %+v, %v", change, err)
			}
			o.gains(t, to, 65, a, b) // the sum of the three
			if got := o.mine(t, to, visitor(2)); got != 50 {
				t.Errorf("claps of a visitor: %d", got)
			}
			if raised := o.contribute(t, to, visitor(2), 10, readerAddress); raised.Change.Count != 25 {
				t.Errorf("50 claps lowered to 10: %+v", raised)
			}
			o.gains(t, to, 25, a, b) // lowered by a contribution of a former name
		})
		t.Run("window", func(t *testing.T) {
			from, to := newTopic("visits"), newTopic("visits")
			o.edit(t, tally.Edit{Topic: from, Kind: tally.EditSeed, Value: 1000})
			for n := range 4 {
				o.like(t, from, visitor(n))
			}
			o.like(t, to, visitor(9))
			if change, err := o.Merge(ctx, "test", []tally.Topic{from}, to); err != nil || change.Count != 1005 {
				t.Fatalf("merged: %+v, %v", change, err)
			}
			if again := o.like(t, to, visitor(2)); again.Changed {
				t.Error("a visitor counted twice within the window")
			}
		})
		t.Run("no contributions", func(t *testing.T) {
			from, to := newTopic("likes"), newTopic("likes")
			o.edit(t, tally.Edit{Topic: from, Kind: tally.EditCount, Value: 12})
			if change, err := o.Merge(ctx, "test", []tally.Topic{from}, to); err != nil || change.Count != 12 {
				t.Fatalf("merged: %+v, %v", change, err)
			}
			if change, err := o.Merge(ctx, "test", []tally.Topic{from}, to); err != nil || change.Count != 12 {
				t.Errorf("merged again: %+v, %v", change, err)
			}
		})
		t.Run("more than one portion", func(t *testing.T) {
			from, near, to := topic("blog/likes/many"), topic("blog/likes/many-2"), newTopic("likes")
			const many = 2500
			restored := tally.Portion{State: tally.State{Change: tally.Change{Topic: from}}, First: true}
			for n := range many {
				if restored.Contributions = append(restored.Contributions, tally.Contribution{Member: tally.Member(n + 1), Amount: 1}); len(restored.Contributions) == tally.MaxPortion || n == many-1 {
					restored.Last = n == many-1
					if err := w.first.Restore(ctx, false, []tally.Portion{restored}); err != nil {
						t.Fatal(err)
					}
					restored.First, restored.Contributions = false, nil
				}
			}
			o.like(t, near, visitor(1))
			if change := o.mergeAll(t, to, from); change.Count != many {
				t.Fatalf("merged: %+v", change)
			}
			o.counts(t, near, 1)
		})
	})
}

func TestMerge_Refused(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		likes, other, claps, missing := newTopic("likes"), newTopic("likes"), newTopic("claps"), newTopic("likes")
		for _, topic := range []tally.Topic{likes, other, claps} {
			o.like(t, topic, visitor(1))
		}
		merge := func(to tally.Topic, from ...tally.Topic) error {
			_, err := o.Merge(ctx, "test", from, to)
			return err
		}
		_, onto := o.Rename(ctx, "test", likes, other)
		for name, refused := range map[string]struct {
			err  error
			want tally.Code
		}{
			"no topic":           {merge(likes), tally.CodeBadBody},
			"itself":             {merge(likes, likes), tally.CodeBadTopic},
			"another rule":       {merge(claps, likes), tally.CodeBadTopic},
			"missing topic":      {merge(likes, other, missing), tally.CodeNotFound},
			"presence":           {merge(topic("blog/readers/a"), topic("blog/readers/b")), tally.CodeReadOnlyMetric},
			"unknown site":       {merge(topic("nowhere/likes/a"), likes), tally.CodeUnknownSite},
			"rename to existing": {onto, tally.CodeBadTopic},
		} {
			if code(refused.err) != refused.want {
				t.Errorf("%s: %v", name, refused.err)
			}
		}
		for _, topic := range []tally.Topic{likes, other, claps} {
			o.counts(t, topic, 1)
		}
		if entries, _, err := o.AuditLog(ctx, "", 10); err != nil || len(entries) != 0 {
			t.Errorf("audited: %+v, %v", entries, err)
		}
	})
}

func TestMerge_InvalidAliases(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		from, to := newTopic("likes"), newTopic("likes")
		o.like(t, from, visitor(1))
		name, _ := tally.AliasSetting(to, nil)
		if err := tally.SetSetting(ctx, w.first, name, `["blog/likes/old`); err != nil {
			t.Fatal(err)
		}
		_, err := o.Merge(ctx, "test", []tally.Topic{from}, to)
		if code(err) != tally.CodeInternal || !strings.Contains(tally.AsError(err).Message, to.String()) {
			t.Errorf("merged with %v", err)
		}
		o.counts(t, from, 1)
	})
}

// Keys with special characters can be renamed and renamed back.
func TestRename_KeysOfAllForms(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		o := open(w.first)
		for _, key := range []string{"100% sure", "a%2Fb", "!x y", "grüße/日本", "p?a=1&b=2", `quote"\\`, "claim x"} {
			from, err := tally.NewTopic("blog", "likes", key)
			if err != nil {
				t.Fatal(err)
			}
			to := newTopic("likes")
			o.like(t, from, visitor(1))
			for _, pair := range [][2]tally.Topic{{from, to}, {to, from}} {
				if _, err := o.Rename(t.Context(), "test", pair[0], pair[1]); err != nil {
					t.Fatalf("%q: %v", key, err)
				}
				if again := o.like(t, pair[1], visitor(1)); again.Changed || again.Change.Count != 1 {
					t.Errorf("%q: a visitor counts twice: %+v", key, again)
				}
			}
		}
	})
}

// No merge begins while an instance of a release runs that ignores marks.
func TestMerge_OlderInstanceRuns(t *testing.T) {
	w := onRedis(t)
	o := open(w.first)
	defer run(t, o)() // sends a heartbeat of its own, which is current
	from, to := newTopic("likes"), newTopic("likes")
	o.like(t, from, visitor(1))
	if change := o.mergeAll(t, to, from); change.Count != 1 {
		t.Fatalf("%+v", change)
	}
	older := tally.Heartbeat{Instance: "older", Status: []byte(`{"instance":"older","version":"v0.1.0"}`)}
	if err := w.second.WriteHeartbeat(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	_, err := o.Rename(t.Context(), "test", to, from)
	if code(err) != tally.CodeStoreUnavailable || !strings.Contains(tally.AsError(err).Message, "v0.1.0") {
		t.Errorf("beside an older instance: %v", err)
	}
	o.counts(t, to, 1)
}

// hooked is a function that is called before each call of a store.
type hooked func(what string)

func (h hooked) turn(what string) error {
	h(what)
	return nil
}

// A topic is renamed and renamed back between two calls of a like: it has the aliases that
// the instance knows, but another mark. The visitor does not count twice.
func TestRename_BackDuringLike(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		o := open(w.first)
		// A busy machine may need longer for two renames than a like waits. Then it is tried again.
		processtest.Eventually(t, "a like during two renames", func() bool {
			a, b := newTopic("likes"), newTopic("likes")
			o.like(t, a, visitor(1))
			failed := false
			rename := func(from, to tally.Topic) { // also on goroutines of the service
				if _, err := o.Rename(t.Context(), "test", from, to); err != nil {
					t.Logf("rename %s: %v", from, err)
					failed = true
				}
			}
			rename(a, b)
			away, back := false, false
			other := open(steppedStore{w.second, hooked(func(what string) {
				if what == "read" && !away { // the settings are known
					away = true
					rename(b, a)
				}
				if what == "apply" && away && !back {
					back = true
					rename(a, b)
				}
			}), nil})
			result, err := other.service.Assert(t.Context(), tally.Assertion{Topic: b, Visitor: visitor(1), Amount: 1, Client: readerAddress})
			if failed || code(err) == tally.CodeStoreUnavailable {
				return false
			}
			if err != nil || result.Changed || !back {
				t.Errorf("like: %+v, %v; renamed back: %t", result, err, back)
			}
			o.counts(t, b, 1)
			return true
		})
	})
}

// Two instances merge the same topics while visitors like both and repeat each like until it
// is acknowledged, as pages do. No acknowledged like is lost.
func TestMerge_DuringLikes(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		instances := []*instance{open(w.first), open(w.second)}
		for _, o := range instances {
			defer run(t, o)()
		}
		from, to := newTopic("likes"), newTopic("likes")
		instances[0].edit(t, tally.Edit{Topic: from, Kind: tally.EditSeed, Value: 1000})
		watching := watch(t, w.first, from, to)
		const writers, likes = 8, 150
		var streams, merges sync.WaitGroup
		begun := make(chan struct{}, 2*writers*likes)
		for n := range writers {
			streams.Go(func() {
				for i := range likes {
					on := from
					if (n+i)%3 == 0 {
						on = to
					}
					instances[n%2].like(t, on, visitor(n*likes+i))
					begun <- struct{}{}
				}
			})
		}
		for _, o := range instances {
			merges.Go(func() {
				for range writers * likes / 5 { // while the likes go on
					<-begun
				}
				o.mergeAll(t, to, from)
			})
		}
		streams.Wait()
		merges.Wait()
		sum := instances[0].state(t, from).Count + instances[0].state(t, to).Count
		if want := int64(1000 + writers*likes); sum != want {
			t.Errorf("count %d, acknowledged %d", sum, want)
		}
		// Likes may have created the merged topic again.
		if instances[1].state(t, from).Version != 0 {
			instances[1].mergeAll(t, to, from)
		}
		instances[0].counts(t, to, 1000+writers*likes)
		watching.waitForStored(t, w.second, from, to)
	})
}
