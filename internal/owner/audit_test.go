package owner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestEdit_AuditAndErrors(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, o := t.Context(), open(w.first)
		page := newTopic("likes")
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditCount, Value: 12})
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditCount, Value: 12}) // changes nothing
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditSeed, Value: 5})
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditDelete})
		err := o.Edit(ctx, "test", []tally.Edit{{Topic: topic("blog/readers/x"), Kind: tally.EditCount, Value: 1}})
		if code(err) != tally.CodeReadOnlyMetric {
			t.Errorf("presence: %v", err)
		}
		if err := o.Edit(ctx, "test", []tally.Edit{{Topic: page, Kind: tally.EditCount, Value: -1}}); code(err) != tally.CodeBadAmount {
			t.Errorf("negative count: %v", err)
		}
		entries, _, err := o.AuditLog(ctx, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var details []string
		for _, e := range entries {
			details = append(details, e.Actor+" "+e.Action+" "+e.Target+" "+e.Detail)
		}
		want := "test delete " + page.String() + " count 17 → 0\n" +
			"test seed " + page.String() + " count 12 → 17, seed 0 → 5\n" +
			"test set " + page.String() + " count 0 → 12"
		if got := strings.Join(details, "\n"); got != want {
			t.Errorf("the log has\n%s\nwant\n%s", got, want)
		}
	})
}

// auditFaultStore is a store whose audit log is unavailable while away is set.
type auditFaultStore struct {
	fullStore
	away *atomic.Bool
}

func (s auditFaultStore) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	if s.away.Load() {
		return tally.Unavailable(errors.New("test fault"))
	}
	return s.fullStore.AppendAudit(ctx, entries...)
}

func TestAudit_PendingEntries(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		var log lockedBuffer
		away := &atomic.Bool{}
		o := openWith(auditFaultStore{w.first, away}, owner.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		from, to := newTopic("likes"), newTopic("likes")
		set := func(value int64) error {
			return o.Edit(t.Context(), "test", []tally.Edit{{Topic: from, Kind: tally.EditCount, Value: value}})
		}
		away.Store(true)
		for value := range int64(3) {
			if err := set(value + 1); code(err) != tally.CodeStoreUnavailable {
				t.Errorf("edit without an audit entry: %v", err)
			}
		}
		o.counts(t, from, 3)
		// An operation of several steps does not begin without its entry.
		if _, err := o.Rename(t.Context(), "test", from, to); code(err) != tally.CodeStoreUnavailable {
			t.Errorf("rename without an audit entry: %v", err)
		}
		o.counts(t, from, 3)
		if n := strings.Count(log.String(), "cannot write to the audit log"); n != 3 || !strings.Contains(log.String(), "count 2 → 3") {
			t.Errorf("process log: %s", log.String())
		}
		away.Store(false)
		ctx, stop := context.WithCancel(t.Context())
		stop() // Run ends at once, after it writes the pending entries
		if err := o.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := set(4); err != nil {
			t.Fatal(err)
		}
		entries, _, err := o.AuditLog(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var details []string
		for _, e := range entries {
			details = append(details, e.Detail)
		}
		if got := strings.Join(details, ", "); got != "count 3 → 4, count 2 → 3, count 1 → 2, count 0 → 1" {
			t.Errorf("the log has %s", got)
		}
	})
}

// callCounter is a store that counts the calls of AppendAudit.
type callCounter struct {
	fullStore
	calls *int
}

func (s callCounter) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	*s.calls++
	return s.fullStore.AppendAudit(ctx, entries...)
}

// Many edits have an entry each, in few calls of the store.
func TestAudit_ManyEdits(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		calls, prefix := 0, newTopic("likes").String()
		o := openWith(callCounter{w.first, &calls}, owner.Options{})
		edits := make([]tally.Edit, 3*tally.MaxAuditBatch)
		for i := range edits {
			edits[i] = tally.Edit{Topic: topic(fmt.Sprintf("%s-%d", prefix, i)), Kind: tally.EditSeed, Value: int64(i)}
		}
		if err := o.Edit(t.Context(), "test", edits); err != nil {
			t.Fatal(err)
		}
		entries, _, err := o.AuditLog(t.Context(), "", len(edits))
		if err != nil || len(entries) != len(edits) || calls > 3 {
			t.Fatalf("%d entries in %d calls, error %v", len(entries), calls, err)
		}
		for i, e := range entries {
			want := edits[len(edits)-1-i]
			if e.Target != want.Topic.String() || !strings.HasSuffix(e.Detail, fmt.Sprintf("→ %d", want.Value)) && want.Value > 0 || e.At.IsZero() {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
	})
}

// The audit log writes "1 contribution" and "2 topics".
func TestAuditLog_Plurals(t *testing.T) {
	w := onSQLite(t)
	ctx, o := t.Context(), openWith(w.first, owner.Options{Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
	last := func() string {
		t.Helper()
		entries, _, err := o.AuditLog(ctx, "", 1)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		return entries[0].Detail
	}
	one, other := newTopic("likes"), newTopic("likes")
	o.like(t, one, visitor(1))
	o.like(t, other, visitor(2))
	if _, err := o.Forget(ctx, "test", visitor(1), tally.Scope{}); err != nil {
		t.Fatal(err)
	}
	if got := last(); got != "1 contribution of a visitor removed" {
		t.Errorf("forget: %q", got)
	}
	for _, c := range []struct {
		scope tally.Scope
		want  string
	}{{tally.ScopeOf(one), "1 topic deleted"}, {tally.ScopeOf(newTopic("likes")), "0 topics deleted"}} {
		if _, err := o.Prune(ctx, "test", c.scope, time.Now().Add(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		if got := last(); got != c.want {
			t.Errorf("prune: %q, want %q", got, c.want)
		}
	}
}

// growingStore is a store whose audit log gets an entry after each read.
type growingStore struct{ fullStore }

func (s growingStore) AuditLog(ctx context.Context, before string, limit int) ([]tally.AuditEntry, string, error) {
	entries, next, err := s.fullStore.AuditLog(ctx, before, limit)
	return entries, next, errors.Join(err, s.AppendAudit(ctx, tally.AuditEntry{At: time.Now(), Action: "set", Target: "new", Sites: "blog"}))
}

// The pages of a log of some sites have each entry once, while others are added.
func TestAuditLog_PagesOfSites(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		const count = 12
		for i := range count {
			for _, sites := range []string{"blog", "docs", "blog docs", ""} {
				if err := w.first.AppendAudit(t.Context(), tally.AuditEntry{At: time.Now(), Action: "set", Target: fmt.Sprint(i), Sites: sites}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, limit := range []int{1, 5, 24} {
			part := open(growingStore{w.second}).Within(owner.Access{Role: owner.Viewer, Sites: []string{"blog"}})
			seen, before := map[string]int{}, ""
			for calls := 0; calls == 0 || before != ""; calls++ {
				entries, next, err := part.AuditLog(t.Context(), before, limit)
				if err != nil || calls > 200 {
					t.Fatalf("%d calls, error %v", calls, err)
				}
				for _, e := range entries {
					seen[e.Target]++
				}
				before = next
			}
			delete(seen, "new")
			for target, times := range seen {
				if times != 1 {
					t.Errorf("in pages of %d: entry %s is there %d times", limit, target, times)
				}
			}
			if len(seen) != count {
				t.Errorf("in pages of %d: %d entries, want %d", limit, len(seen), count)
			}
		}
	})
}
