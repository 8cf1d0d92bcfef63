package owner_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestBlock_AllInstances(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx := t.Context()
		other := open(w.second)
		o := openWith(w.first, owner.Options{Broadcast: func(payload []byte) {
			if !other.Receive(payload) || other.Receive([]byte("u\x01")) {
				t.Errorf("Receive(%q) by another instance", payload)
			}
		}})
		defer run(t, other)()
		page := newTopic("likes")
		try := func(o *instance, visitor string, from netip.Addr) tally.Code {
			_, err := o.service.Assert(ctx, tally.Assertion{Topic: page, Visitor: visitor, Amount: 1, Client: from, MayCreate: true})
			return code(err)
		}
		network := owner.BlockTarget{Addresses: netip.MustParsePrefix("::ffff:203.0.113.77/120")}
		for who, reason := range map[owner.BlockTarget]string{network: "", {Visitor: "someone-1"}: "a robot"} {
			if err := o.Block(ctx, "test", who, reason); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []*instance{o, other} {
			processtest.Eventually(t, "both are blocked", func() bool {
				return try(o, "someone-1", readerAddress) == tally.CodeBlocked && try(o, "someone-2", botAddress) == tally.CodeBlocked
			})
			if got := try(o, "someone-2", readerAddress); got != "" {
				t.Errorf("another visitor: %q", got)
			}
		}
		blocks, err := o.Blocks(ctx)
		if err != nil || len(blocks) != 2 || blocks[0].Addresses != netip.MustParsePrefix("203.0.113.0/24") || blocks[0].Reason == "" ||
			len(blocks[1].Visitor) != 16 || blocks[1].Reason != "a robot" {
			t.Fatalf("blocks: %+v, %v", blocks, err)
		}
		// Unblock by what the list shows.
		for _, who := range []owner.BlockTarget{{Addresses: blocks[0].Addresses}, {Visitor: blocks[1].Visitor}} {
			if err := o.Unblock(ctx, "test", who); err != nil {
				t.Error(err)
			}
		}
		processtest.Eventually(t, "nothing is blocked on the other instance", func() bool {
			return try(other, "someone-1", readerAddress) == "" && try(other, "someone-2", botAddress) == ""
		})
		for name, who := range map[string]owner.BlockTarget{
			"none":          {},
			"both":          {Addresses: blocks[0].Addresses, Visitor: "someone-1"},
			"all addresses": {Addresses: netip.MustParsePrefix("0.0.0.0/0")},
		} {
			if err := o.Block(ctx, "test", who, ""); code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := o.Unblock(ctx, "test", network); code(err) != tally.CodeNotFound {
			t.Errorf("second unblock: %v", err)
		}
	})
}

func TestSettings_InvalidEntry(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx := t.Context()
		var log lockedBuffer
		o := openWith(w.first, owner.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, name := range []string{"block range nonsense", "former nonsense", "pause blog/likes/x", "setting of a later version"} {
			if err := tally.SetSetting(ctx, w.first, name, "nonsense"); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := o.Block(ctx, "test", owner.BlockTarget{Visitor: "someone-1"}, "a robot"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := o.service.Assert(ctx, tally.Assertion{Topic: newTopic("likes"), Visitor: "someone-1", Amount: 1, MayCreate: true})
		if code(err) != tally.CodeBlocked {
			t.Errorf("the valid setting is not followed: %v", err)
		}
		if text := log.String(); !strings.Contains(text, "cannot be parsed") || strings.Count(text, "\n") > 1 {
			t.Errorf("the log says:\n%s", text)
		}
		if blocks, err := o.Blocks(ctx); err != nil || len(blocks) != 1 {
			t.Errorf("blocks: %+v, %v", blocks, err)
		}
	})
}
