package owner_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestAVisitorIsForgottenUnderEveryNameOfAPage(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx, o := t.Context(), open(w.first)
		liked, renamed, claps, visits, once := newTopic("likes"), newTopic("likes"), newTopic("claps"), newTopic("visits"), newTopic("visitors")
		who, other := "someone-1", "someone-2"
		for _, visitor := range []string{who, other} {
			o.like(t, liked, visitor)
			o.contribute(t, claps, visitor, 20, home)
			o.contribute(t, claps, visitor, 30, home)
			o.like(t, visits, visitor)
			o.like(t, once, visitor)
			o.like(t, topic("docs/likes/x"), visitor)
		}
		if _, err := o.Rename(ctx, "test", liked, renamed); err != nil {
			t.Fatal(err)
		}
		if n, err := o.Forget(ctx, "test", who, tally.Scope{Site: "blog"}); err != nil || n != 4 {
			t.Errorf("forgot %d contributions, %v", n, err)
		}
		o.counts(t, renamed, 1)
		o.counts(t, claps, 30)
		o.counts(t, visits, 1)
		o.counts(t, once, 1)
		o.counts(t, topic("docs/likes/x"), 2)
		// Nothing of the visitor is in the journal; of others all is.
		err := w.first.Journal(ctx, tally.ScopeOf(claps), 0, time.Now().Unix()/60+1, func(traces []tally.JournalEntry) error {
			secret, err := w.first.Secret()
			for _, trace := range traces {
				if trace.Member != tally.NewHasher(secret).Member(claps, other) {
					t.Errorf("in the journal: %+v", trace)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if n, err := o.Forget(ctx, "test", who, tally.Scope{}); err != nil || n != 1 {
			t.Errorf("everywhere it was %d more, %v", n, err)
		}
		if _, err := o.Forget(ctx, "test", "x", tally.Scope{}); code(err) != tally.CodeBadVisitor {
			t.Errorf("a visitor that is none: %v", err)
		}
	})
}

func TestWhoIsBlockedMayNotContributeAtAnyInstance(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		other := open(w.second)
		o := openWith(w.first, owner.Options{Broadcast: func(payload []byte) {
			if !other.Receive(payload) || other.Receive([]byte("u\x01")) {
				t.Errorf("another instance does not know what %q is", payload)
			}
		}})
		defer run(t, other)()
		page := newTopic("likes")
		try := func(o *office, visitor string, from netip.Addr) tally.Code {
			_, err := o.service.Assert(ctx, tally.Assertion{Topic: page, Visitor: visitor, Amount: 1, Client: from, MayCreate: true})
			return code(err)
		}
		network := owner.BlockTarget{Addresses: netip.MustParsePrefix("::ffff:203.0.113.77/120")}
		for who, reason := range map[owner.BlockTarget]string{network: "", {Visitor: "someone-1"}: "a robot"} {
			if err := o.Block(ctx, "test", who, reason); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []*office{o, other} {
			eventually(t, "both are blocked", func() bool {
				return try(o, "someone-1", home) == tally.CodeBlocked && try(o, "someone-2", robot) == tally.CodeBlocked
			})
			if got := try(o, "someone-2", home); got != "" {
				t.Errorf("somebody else is told %q", got)
			}
		}
		blocks, err := o.Blocks(ctx)
		if err != nil || len(blocks) != 2 || blocks[0].Addresses != netip.MustParsePrefix("203.0.113.0/24") || blocks[0].Reason == "" ||
			len(blocks[1].Visitor) != 16 || blocks[1].Reason != "a robot" {
			t.Fatalf("blocks: %+v, %v", blocks, err)
		}
		// By what the list shows.
		for _, who := range []owner.BlockTarget{{Addresses: blocks[0].Addresses}, {Visitor: blocks[1].Visitor}} {
			if err := o.Unblock(ctx, "test", who); err != nil {
				t.Error(err)
			}
		}
		eventually(t, "nobody is blocked at the other instance", func() bool {
			return try(other, "someone-1", home) == "" && try(other, "someone-2", robot) == ""
		})
		for name, who := range map[string]owner.BlockTarget{
			"nobody":    {},
			"both":      {Addresses: blocks[0].Addresses, Visitor: "someone-1"},
			"everybody": {Addresses: netip.MustParsePrefix("0.0.0.0/0")},
		} {
			if err := o.Block(ctx, "test", who, ""); code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := o.Unblock(ctx, "test", network); code(err) != tally.CodeNotFound {
			t.Errorf("unblocked twice: %v", err)
		}
	})
}
