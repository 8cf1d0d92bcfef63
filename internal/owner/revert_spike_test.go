package owner_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

func hourAgo() time.Time { return time.Now().Add(-time.Hour) }

func TestASpikeIsToldUndoneAndGone(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx, o := t.Context(), open(w.first)
		page, quiet := newTopic("likes"), newTopic("likes")
		for n := range 5 {
			from := netip.AddrFrom4([4]byte{192, 0, byte(n), 1})
			o.contribute(t, page, visitor(n), 1, from)
			o.contribute(t, quiet, visitor(n), 1, from)
		}
		for n := range 40 {
			o.contribute(t, page, visitor(100+n), 1, robot)
		}
		watching := watch(t, w.first, page)
		spikes, err := o.Spikes(ctx, tally.Scope{Site: "blog"}, time.Hour)
		if err != nil || len(spikes) != 1 || spikes[0].Topic != page || spikes[0].Contributions < 40 || spikes[0].Usual != 0 || spikes[0].Sources[0].Contributions != 40 {
			t.Fatalf("spikes: %+v, %v", spikes, err)
		}
		source := spikes[0].Sources[0].Source
		undo := owner.Selection{Topics: []tally.Topic{page}, From: spikes[0].From, To: spikes[0].To, Sources: []tally.Source{source}}
		would, err := o.Revert(ctx, "test", undo, true)
		if err != nil || would.Entries != 40 || len(would.Topics) != 1 || would.Topics[0] != (owner.TopicContributions{Topic: page, Contributions: 40}) ||
			len(would.Sources) != 1 || would.Sources[0] != (owner.SourceContributions{Source: source, Contributions: 40}) {
			t.Fatalf("would undo %+v, %v", would, err)
		}
		o.counts(t, page, 45)
		done, err := o.Revert(ctx, "test", undo, false)
		if err != nil || fmt.Sprint(done) != fmt.Sprint(would) {
			t.Fatalf("undid %+v, %v", done, err)
		}
		o.counts(t, page, 5)
		watching.ends(t, w.second, page)
		if again, err := o.Revert(ctx, "test", undo, false); err != nil || again.Entries != 0 {
			t.Errorf("undid again: %+v, %v", again, err)
		}
		if spikes, err := o.Spikes(ctx, tally.Scope{}, time.Hour); err != nil || len(spikes) != 0 {
			t.Errorf("spikes are left: %+v, %v", spikes, err)
		}
		entries, _, err := o.AuditLog(ctx, "", 1)
		if err != nil || len(entries) != 1 || entries[0].Action != "undo" || entries[0].Detail != "0 contributions to 0 topics taken back" {
			t.Errorf("audited: %+v, %v", entries, err)
		}
	})
}

func TestUndoTakesBackWhatCameFromAnAddressAndNothingElse(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx, o := t.Context(), open(w.first)
		a, b, other := topic("blog/claps/undo-a"), topic("blog/claps/undo-b"), topic("docs/claps/undo-a")
		for _, page := range []tally.Topic{a, b, other} {
			o.contribute(t, page, visitor(1), 50, robot)
			o.contribute(t, page, visitor(2), 3, home)
			o.contribute(t, page, visitor(3), 2, netip.Addr{}) // from an own server
		}
		undo := owner.Selection{Scope: tally.Scope{Site: "blog", Metric: "claps", Prefix: "undo-"}, From: hourAgo(),
			Addresses: []netip.Addr{netip.MustParseAddr("::ffff:203.0.113.1")}}
		if done, err := o.Revert(ctx, "test", undo, false); err != nil || done.Entries != 2 || len(done.Topics) != 2 {
			t.Errorf("undid %+v, %v", done, err)
		}
		o.counts(t, a, 5)
		o.counts(t, b, 5)
		o.counts(t, other, 55)
		for name, wrong := range map[string]owner.Selection{
			"no time":               {Scope: undo.Scope},
			"a time that goes back": {From: time.Now(), To: hourAgo()},
		} {
			if _, err := o.Revert(ctx, "test", wrong, true); code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A spike is undone while it goes on and others like: theirs stay, and every page ends
// on what is stored.
func TestUndoUnderAStreamOfLikesTakesNoneOfOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		offices := []*office{open(w.first), open(w.second)}
		page := newTopic("likes")
		watching := watch(t, w.first, page)
		undo := owner.Selection{Topics: []tally.Topic{page}, From: hourAgo(), Addresses: []netip.Addr{robot}}
		const writers, likes = 8, 100
		var streams sync.WaitGroup
		begun := make(chan struct{}, writers*likes)
		for n := range writers {
			streams.Go(func() {
				for i := range likes {
					from := home
					if n%2 == 0 {
						from = robot
					}
					offices[i%2].contribute(t, page, visitor(n*likes+i), 1, from)
					begun <- struct{}{}
				}
			})
		}
		for n := range 6 {
			for range writers * likes / 8 {
				<-begun
			}
			if _, err := offices[n%2].Revert(t.Context(), "test", undo, false); err != nil {
				t.Error(err)
			}
		}
		streams.Wait()
		if _, err := offices[0].Revert(t.Context(), "test", undo, false); err != nil {
			t.Fatal(err)
		}
		offices[1].counts(t, page, writers*likes/2)
		watching.ends(t, w.second, page)
	})
}

func TestAPageThatIsFoundByManyIsNoSpike(t *testing.T) {
	// A clock of its own tells minutes apart: traces are the journal's, by the store's
	// clock, and what is looked at is by the desk's.
	everywhere(t, func(t *testing.T, w *world) {
		o := open(w.first)
		page := newTopic("likes")
		for n := range 19 { // fewer than are worth a look
			o.contribute(t, page, visitor(n), 1, robot)
		}
		for n := range 40 { // servers of one's own
			o.contribute(t, page, visitor(100+n), 1, netip.Addr{})
		}
		if spikes, err := o.Spikes(t.Context(), tally.ScopeOf(page), time.Hour); err != nil || len(spikes) != 0 {
			t.Errorf("spikes: %+v, %v", spikes, err)
		}
		for n := range 60 { // in a minute or two, from everywhere
			o.contribute(t, page, visitor(200+n), 1, netip.AddrFrom4([4]byte{192, 0, byte(n), 1}))
		}
		spikes, err := o.Spikes(t.Context(), tally.ScopeOf(page), time.Hour)
		if err != nil || len(spikes) != 1 || len(spikes[0].Sources) != 0 || spikes[0].Contributions < 60 {
			t.Errorf("a burst: %+v, %v", spikes, err)
		}
		// Seen from days later they are what is usual.
		later := openWith(w.first, owner.Options{JournalRetention: journal, Now: func() time.Time { return time.Now().Add(50 * time.Hour) }})
		if spikes, err := later.Spikes(t.Context(), tally.ScopeOf(page), time.Hour); err != nil || len(spikes) != 0 {
			t.Errorf("days later: %+v, %v", spikes, err)
		}
	})
}

// A spike is no longer listed when its contributions are gone, and
// each visitor counts once.
func TestSpikes_RevertedContributions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		o := open(w.first)
		spiked := func(t *testing.T, page tally.Topic) int {
			t.Helper()
			spikes, err := o.Spikes(t.Context(), tally.ScopeOf(page), time.Hour)
			if err != nil || len(spikes) > 1 {
				t.Fatalf("spikes: %+v, %v", spikes, err)
			}
			if len(spikes) == 0 {
				return 0
			}
			return spikes[0].Contributions
		}
		withdrawn, claps, moved, window, partly := newTopic("likes"), newTopic("claps"), newTopic("likes"), newTopic("visits"), newTopic("likes")
		for n := range 30 {
			o.contribute(t, withdrawn, visitor(n), 1, robot)
			o.contribute(t, withdrawn, visitor(n), 0, robot)
			o.contribute(t, claps, visitor(n), 1, robot)
			o.contribute(t, claps, visitor(n), 3, robot)
			o.contribute(t, claps, visitor(n), 2, robot)
			o.contribute(t, moved, visitor(n), 1, robot)
			o.contribute(t, moved, visitor(n), 0, robot)
			o.contribute(t, moved, visitor(n), 1, netip.AddrFrom4([4]byte{192, 0, byte(n), 1}))
			o.contribute(t, window, visitor(n), 1, robot)
			o.contribute(t, partly, visitor(n), 1, robot)
			if n < 11 {
				o.contribute(t, partly, visitor(n), 0, home)
			}
		}
		for _, c := range []struct {
			what string
			page tally.Topic
			want int
		}{
			{"likes that their visitors took back", withdrawn, 0},
			{"claps in several presses", claps, 30},
			{"contributions of a window", window, 30},
			{"fewer likes than are worth a look", partly, 0},
		} {
			if n := spiked(t, c.page); n != c.want {
				t.Errorf("%s: a spike of %d, want %d", c.what, n, c.want)
			}
		}
		// The newest entries came from everywhere, within a minute or two.
		spikes, err := o.Spikes(t.Context(), tally.ScopeOf(moved), time.Hour)
		if err != nil || len(spikes) != 1 || len(spikes[0].Sources) != 0 {
			t.Errorf("likes that moved: %+v, %v", spikes, err)
		}
		for _, page := range []tally.Topic{claps, window} {
			if _, err := o.Revert(t.Context(), "test", owner.Selection{Topics: []tally.Topic{page}, From: hourAgo()}, false); err != nil {
				t.Fatal(err)
			}
			if n := spiked(t, page); n != 0 {
				t.Errorf("a spike of %d is left of %s", n, page)
			}
		}
	})
}
