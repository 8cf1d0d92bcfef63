package owner_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// blogEditor is the access of a token for one site.
var blogEditor = owner.Access{Role: owner.Editor, Token: "editorial", Sites: []string{"blog", "not-declared"}}

// blogAndDocs is the access of a token for two of three sites.
var blogAndDocs = owner.Access{Role: owner.Viewer, Sites: []string{"docs", "blog"}}

// A Service within a site fails for another site as for one that does not exist, in every
// use case, and changes nothing there.
func TestWithin_ForeignSite(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		own, foreign := newTopic("likes"), topic("docs/likes/secret-page")
		for i := range 3 {
			o.like(t, own, visitor(i))
			o.like(t, foreign, visitor(i))
		}
		part := o.Within(blogEditor)
		ago := time.Now().Add(-time.Hour)
		entries := func() (all []tally.JournalEntry) {
			t.Helper()
			if err := w.first.Journal(ctx, tally.ScopeOf(foreign), 0, 1<<40, func(e []tally.JournalEntry) error { all = append(all, e...); return nil }); err != nil {
				t.Fatal(err)
			}
			return all
		}()
		only := func(err error, _ ...any) error { return err }
		portion := tally.Portion{State: tally.State{Change: tally.Change{Topic: foreign, Version: 1}, Seed: 9}, First: true, Last: true}
		for name, call := range map[string]func() error{
			"get": func() error { _, err := part.Get(ctx, foreign); return err },
			"list": func() error {
				_, err := part.Store().List(ctx, tally.Listing{Scope: tally.ScopeOf(foreign)})
				return err
			},
			"edit": func() error {
				return part.Edit(ctx, "a", []tally.Edit{{Topic: foreign, Kind: tally.EditCount, Value: 9}})
			},
			"edit both": func() error {
				return part.Edit(ctx, "a", []tally.Edit{{Topic: own, Kind: tally.EditCount, Value: 9}, {Topic: foreign, Kind: tally.EditDelete}})
			},
			"merge from": func() error { _, err := part.Merge(ctx, "a", []tally.Topic{foreign}, own); return err },
			"merge into": func() error { _, err := part.Merge(ctx, "a", []tally.Topic{own}, foreign); return err },
			"rename":     func() error { _, err := part.Rename(ctx, "a", own, topic("docs/likes/new")); return err },
			"prune":      func() error { _, err := part.Prune(ctx, "a", tally.Scope{Site: "docs"}, time.Now(), false); return err },
			"spikes":     func() error { _, err := part.Spikes(ctx, tally.Scope{Site: "docs"}, time.Hour); return err },
			"forget":     func() error { _, err := part.Forget(ctx, "a", visitor(0), tally.Scope{Site: "docs"}); return err },
			"block":      func() error { return part.Block(ctx, "a", owner.BlockTarget{Site: "docs", Visitor: "someone-1"}, "") },
			"unblock":    func() error { return part.Unblock(ctx, "a", owner.BlockTarget{Site: "docs", Visitor: "someone-1"}) },
			"revert topic": func() error {
				_, err := part.Revert(ctx, "a", owner.Selection{Topics: []tally.Topic{own, foreign}, From: ago}, false)
				return err
			},
			"preview of a revert": func() error {
				_, err := part.Revert(ctx, "a", owner.Selection{Scope: tally.Scope{Site: "docs"}, From: ago}, true)
				return err
			},
			"dump": func() error {
				return part.Store().Dump(ctx, tally.Scope{Site: "docs"}, func(tally.Portion) error { return nil })
			},
			"restore":      func() error { return part.Store().Restore(ctx, true, []tally.Portion{portion}) },
			"revert entry": func() error { _, _, err := part.Store().Revert(ctx, entries, tally.RevertPast); return err },
			"mark":         func() error { _, err := part.Store().SwapMark(ctx, foreign, "", "x"); return err },
			"read":         func() error { return part.Store().Read(ctx, []tally.Query{{Topic: own}, {Topic: foreign}})[0].Err },
			"aliases":      func() error { return only(tally.SetSetting(ctx, part.Store(), "former docs/likes/a", "[]")) },
			"block of all": func() error { return tally.SetSetting(ctx, part.Store(), "block range 203.0.113.0/24", "x") },
			"a token":      func() error { return tally.SetSetting(ctx, part.Store(), "token mine", "{}") },
			"compare": func() error {
				_, err := part.Store().SwapSettings(ctx, map[string]string{"session x": ""}, nil)
				return err
			},
			"create token": func() error {
				_, _, err := part.CreateToken(ctx, "a", owner.Token{Name: "mine", Role: owner.Editor, Sites: []string{"blog"}})
				return err
			},
			"audit":         func() error { return part.Store().AppendAudit(ctx, tally.AuditEntry{Sites: "blog docs"}) },
			"audit of none": func() error { return part.Store().AppendAudit(ctx, tally.AuditEntry{}) },
		} {
			err := call()
			want := tally.CodeUnknownSite
			if got := code(err); got != want {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
		o.counts(t, foreign, 3)
		o.counts(t, own, 3)
		if tokens, err := part.Tokens(ctx); err != nil || len(tokens) > 0 {
			t.Errorf("tokens: %v, error %v", tokens, err)
		}
		log, _, err := o.AuditLog(ctx, "", 100)
		if err != nil || len(log) > 0 {
			t.Errorf("refused calls are in the audit log: %+v, error %v", log, err)
		}
	})
}

// A Service within a site lists the items of this site only.
func TestWithin_Lists(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		foreign := topic("docs/likes/secret-page")
		for i := range 40 {
			o.contribute(t, topic("blog/likes/spike"), visitor(i), 1, botAddress)
			o.contribute(t, foreign, visitor(i), 1, botAddress)
		}
		ranges := owner.BlockTarget{Addresses: netip.MustParsePrefix("192.0.2.0/24")}
		o.edit(t, tally.Edit{Topic: foreign, Kind: tally.EditSeed, Value: 1})
		for _, s := range []*owner.Service{o.Service, o.Within(blogEditor)} {
			if err := s.Block(ctx, "token editorial 203.0.113.9", ranges, "robots of 192.0.2.7"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.Merge(ctx, "admin 203.0.113.9", []tally.Topic{foreign}, topic("blog/likes/spike")); err != nil {
			t.Fatal(err)
		}
		part := o.Within(blogEditor)
		blocks, err := part.Blocks(ctx)
		if err != nil || len(blocks) != 1 || blocks[0].Site != "blog" {
			t.Errorf("blocks: %+v, error %v", blocks, err)
		}
		spikes, err := part.Spikes(ctx, tally.Scope{}, time.Hour)
		if err != nil || len(spikes) != 1 || spikes[0].Topic.Site() != "blog" {
			t.Errorf("spikes: %+v, error %v", spikes, err)
		}
		overview, err := json.Marshal(part.Overview(ctx))
		if err != nil || strings.Contains(string(overview), "docs") || !strings.Contains(string(overview), `"instances":[]`) {
			t.Errorf("overview: %s, error %v", overview, err)
		}
		for role, want := range map[owner.Role]string{owner.Editor: "range 192.0.2.0/24 in blog", owner.Viewer: ""} {
			access := blogEditor
			access.Role = role
			log, next, err := o.Within(access).AuditLog(ctx, "", 10)
			if err != nil || next != "" || len(log) != 1 || log[0].Actor != "token editorial" || log[0].Target != want {
				t.Errorf("audit log of a %s: %+v, next %q, error %v", role, log, next, err)
			}
		}
		var dumped []string
		err = part.Store().Dump(ctx, tally.Scope{}, func(p tally.Portion) error { dumped = append(dumped, p.Topic.Site()); return nil })
		if err != nil || len(dumped) == 0 || slices.ContainsFunc(dumped, func(site string) bool { return site != "blog" }) {
			t.Errorf("dump: %v, error %v", dumped, err)
		}
	})
}

// Lists over several sites have the same topics in the same order as lists over all sites.
func TestWithin_PagesOfSeveralSites(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		for i := range 12 {
			for n, site := range []string{"blog", "default", "docs"} {
				name := topic(site + "/likes/" + string(rune('a'+i)))
				o.edit(t, tally.Edit{Topic: name, Kind: tally.EditCount, Value: int64((i*7 + n*3) % 5)})
			}
		}
		part := o.Within(blogAndDocs)
		names := func(s *owner.Service, order tally.Order, limit int) (names []string) {
			for after := ""; ; {
				page, err := s.Store().List(ctx, tally.Listing{Order: order, Limit: limit, After: after})
				if err != nil {
					t.Fatal(err)
				}
				for _, state := range page.States {
					if state.Topic.Site() != "default" {
						names = append(names, state.Topic.String())
					}
				}
				if after = page.Next; after == "" || len(names) > 100 {
					return names
				}
			}
		}
		for _, order := range []tally.Order{tally.ByTopic, tally.ByNewest, tally.ByCount} {
			for deadline := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) { // Redis lists follow within 2 s
				want, got := names(o.Service, order, 100), names(part, order, 5)
				if slices.Equal(got, want) && len(got) == 24 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("order %d: %v, want %v", order, got, want)
				}
			}
		}
	})
}

// Counts that are newer than the order of a list neither repeat nor hide topics.
func TestWithin_PagesBehindCounts(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{}).URL(0)
	var parts []*owner.Service
	for range 2 {
		store, err := redisstore.Open(url, catalog(), redisstore.Options{TopInterval: time.Hour, Timeout: testTimeout, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			err = store.Connect(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		parts = append(parts, open(store).Within(blogAndDocs))
	}
	reader, writer := parts[0], parts[1]
	set := func(s *owner.Service, name string, count int64) {
		if err := s.Edit(t.Context(), "test", []tally.Edit{{Topic: topic(name), Kind: tally.EditCount, Value: count}}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"blog/likes/a", "docs/likes/b", "blog/likes/c", "docs/likes/d"}
	for i, name := range want {
		set(reader, name, int64(10-i))
	}
	var got []string
	for listing := (tally.Listing{Order: tally.ByCount, Limit: 1}); ; {
		page, err := reader.Store().List(t.Context(), listing)
		if err != nil || len(page.States) != 1 || len(got) > len(want) {
			t.Fatalf("%+v after %v, error %v", page, got, err)
		}
		got = append(got, page.States[0].Topic.String())
		if listing.After = page.Next; page.Next == "" {
			break
		}
		set(writer, "blog/likes/a", 20) // the order follows after an hour
		set(writer, "docs/likes/b", 1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

// The log of one site is found among many entries of others.
func TestWithin_AuditPages(t *testing.T) {
	w := onSQLite(t)
	ctx, o := context.Background(), open(w.first)
	for i := range 1500 {
		entry := tally.AuditEntry{Actor: "admin ::1", Action: "set", Target: "docs/likes/x", Sites: "docs"}
		if i%500 == 0 {
			entry.Target, entry.Sites = "blog/likes/x", "blog"
		}
		if err := w.first.AppendAudit(ctx, entry); err != nil {
			t.Fatal(err)
		}
	}
	var found int
	for before, calls := "", 0; ; calls++ {
		entries, next, err := o.Within(blogEditor).AuditLog(ctx, before, 1)
		if err != nil || len(entries) > 1 || calls > 4 {
			t.Fatalf("%d entries, %d calls, error %v", len(entries), calls, err)
		}
		for _, e := range entries {
			if found++; e.Actor != "admin" || e.Target != "blog/likes/x" {
				t.Errorf("%+v", e)
			}
		}
		if before = next; next == "" {
			break
		}
	}
	if found != 3 {
		t.Errorf("%d entries, want 3", found)
	}
}
