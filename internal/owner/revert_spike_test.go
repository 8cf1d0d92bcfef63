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

func TestRevert_Spike(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		page, quiet := newTopic("likes"), newTopic("likes")
		for n := range 5 {
			from := netip.AddrFrom4([4]byte{192, 0, byte(n), 1})
			o.contribute(t, page, visitor(n), 1, from)
			o.contribute(t, quiet, visitor(n), 1, from)
		}
		for n := range 40 {
			o.contribute(t, page, visitor(100+n), 1, botAddress)
		}
		watching := watch(t, w.first, page)
		spikes, err := o.Spikes(ctx, tally.Scope{Site: "blog"}, time.Hour)
		if err != nil || len(spikes) != 1 || spikes[0].Topic != page || spikes[0].Contributions < 40 || spikes[0].Usual != 0 || spikes[0].Networks != 1 || spikes[0].Sources[0].Contributions != 40 {
			t.Fatalf("spikes: %+v, %v", spikes, err)
		}
		source := spikes[0].Sources[0].Source
		selection := owner.Selection{Topics: []tally.Topic{page}, From: spikes[0].From, To: spikes[0].To, Sources: []tally.Source{source}}
		preview, err := o.Revert(ctx, "test", selection, true)
		if err != nil || preview.Entries != 40 || len(preview.Topics) != 1 || preview.Topics[0] != (owner.TopicContributions{Topic: page, Contributions: 40}) ||
			len(preview.Sources) != 1 || preview.Sources[0] != (owner.SourceContributions{Source: source, Contributions: 40}) {
			t.Fatalf("preview %+v, %v", preview, err)
		}
		o.counts(t, page, 45)
		done, err := o.Revert(ctx, "test", selection, false)
		if err != nil || fmt.Sprint(done) != fmt.Sprint(preview) {
			t.Fatalf("reverted %+v, %v", done, err)
		}
		o.counts(t, page, 5)
		watching.waitForStored(t, w.second, page)
		if again, err := o.Revert(ctx, "test", selection, false); err != nil || again.Entries != 0 {
			t.Errorf("second revert: %+v, %v", again, err)
		}
		if spikes, err := o.Spikes(ctx, tally.Scope{}, time.Hour); err != nil || len(spikes) != 0 {
			t.Errorf("spikes after the revert: %+v, %v", spikes, err)
		}
		entries, _, err := o.AuditLog(ctx, "", 1)
		if err != nil || len(entries) != 1 || entries[0].Action != "undo" || entries[0].Detail != "0 contributions to 0 topics reverted" {
			t.Errorf("audited: %+v, %v", entries, err)
		}
	})
}

func TestRevert_Address(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		a, b, other := topic("blog/claps/undo-a"), topic("blog/claps/undo-b"), topic("docs/claps/undo-a")
		for _, page := range []tally.Topic{a, b, other} {
			o.contribute(t, page, visitor(1), 50, botAddress)
			o.contribute(t, page, visitor(2), 3, readerAddress)
			o.contribute(t, page, visitor(3), 2, netip.Addr{}) // from a server of the owner
		}
		selection := owner.Selection{Scope: tally.Scope{Site: "blog", Metric: "claps", Prefix: "undo-"}, From: hourAgo(),
			Addresses: []netip.Addr{netip.MustParseAddr("::ffff:203.0.113.1")}}
		if done, err := o.Revert(ctx, "test", selection, false); err != nil || done.Entries != 2 || len(done.Topics) != 2 {
			t.Errorf("reverted %+v, %v", done, err)
		}
		o.counts(t, a, 5)
		o.counts(t, b, 5)
		o.counts(t, other, 55)
		for name, wrong := range map[string]owner.Selection{
			"no time":   {Scope: selection.Scope},
			"to < from": {Scope: selection.Scope, From: time.Now(), To: hourAgo()},
			"future":    {Scope: selection.Scope, From: time.Now().Add(time.Hour)},
			"no scope":  {From: hourAgo()},
		} {
			if _, err := o.Revert(ctx, "test", wrong, true); code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Reverts of a spike that goes on do not remove other visitors' likes, and pages end with the
// stored count.
func TestRevert_DuringLikes(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		instances := []*instance{open(w.first), open(w.second)}
		page := newTopic("likes")
		watching := watch(t, w.first, page)
		selection := owner.Selection{Topics: []tally.Topic{page}, From: hourAgo(), Addresses: []netip.Addr{botAddress}}
		const writers, likes = 8, 100
		var streams sync.WaitGroup
		begun := make(chan struct{}, writers*likes)
		for n := range writers {
			streams.Go(func() {
				for i := range likes {
					from := readerAddress
					if n%2 == 0 {
						from = botAddress
					}
					instances[i%2].contribute(t, page, visitor(n*likes+i), 1, from)
					begun <- struct{}{}
				}
			})
		}
		for n := range 6 {
			for range writers * likes / 8 {
				<-begun
			}
			if _, err := instances[n%2].Revert(t.Context(), "test", selection, false); err != nil {
				t.Error(err)
			}
		}
		streams.Wait()
		if _, err := instances[0].Revert(t.Context(), "test", selection, false); err != nil {
			t.Fatal(err)
		}
		instances[1].counts(t, page, writers*likes/2)
		watching.waitForStored(t, w.second, page)
	})
}

// Readers of many networks, the people of one room and the owner's servers are no spike.
func TestSpikes_Readers(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		o := open(w.first)
		page := newTopic("likes")
		for n := range 39 { // fewer than spikeMin
			o.contribute(t, page, visitor(n), 1, botAddress)
		}
		for n := range 60 { // servers of the owner
			o.contribute(t, page, visitor(100+n), 1, netip.Addr{})
		}
		for n := range 60 { // within a minute or two, from many networks
			o.contribute(t, page, visitor(200+n), 1, netip.AddrFrom4([4]byte{192, 0, byte(n), 1}))
		}
		if spikes, err := o.Spikes(t.Context(), tally.ScopeOf(page), time.Hour); err != nil || len(spikes) != 0 {
			t.Errorf("spikes: %+v, %v", spikes, err)
		}
	})
}

// A spike is not listed after its contributions were removed. Each visitor counts once.
func TestSpikes_RevertedContributions(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
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
		withdrawn, claps, relocated, window, partly := newTopic("likes"), newTopic("claps"), newTopic("likes"), newTopic("visits"), newTopic("likes")
		for n := range 50 {
			o.contribute(t, withdrawn, visitor(n), 1, botAddress)
			o.contribute(t, withdrawn, visitor(n), 0, botAddress)
			o.contribute(t, claps, visitor(n), 1, botAddress)
			o.contribute(t, claps, visitor(n), 3, botAddress)
			o.contribute(t, claps, visitor(n), 2, botAddress)
			o.contribute(t, relocated, visitor(n), 1, botAddress)
			o.contribute(t, relocated, visitor(n), 0, botAddress)
			o.contribute(t, relocated, visitor(n), 1, netip.AddrFrom4([4]byte{192, 0, byte(n), 1}))
			o.contribute(t, window, visitor(n), 1, botAddress)
			o.contribute(t, partly, visitor(n), 1, botAddress)
			if n < 11 {
				o.contribute(t, partly, visitor(n), 0, readerAddress)
			}
		}
		for _, c := range []struct {
			what string
			page tally.Topic
			want int
		}{
			{"withdrawn likes", withdrawn, 0},
			{"claps in several steps", claps, 50},
			{"window", window, 50},
			{"fewer likes than spikeMin", partly, 0},
			{"the newest entries are from many networks", relocated, 0},
		} {
			if n := spiked(t, c.page); n != c.want {
				t.Errorf("%s: a spike of %d, want %d", c.what, n, c.want)
			}
		}
		for _, page := range []tally.Topic{claps, window} {
			if _, err := o.Revert(t.Context(), "test", owner.Selection{Topics: []tally.Topic{page}, From: hourAgo()}, false); err != nil {
				t.Fatal(err)
			}
			if n := spiked(t, page); n != 0 {
				t.Errorf("a spike of %d remains for %s", n, page)
			}
		}
	})
}
