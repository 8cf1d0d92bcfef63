package owner_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

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
	if got := last(); got != "1 contribution of a visitor taken back" {
		t.Errorf("forgotten: %q", got)
	}
	for _, c := range []struct {
		scope tally.Scope
		want  string
	}{{tally.ScopeOf(one), "1 topic deleted"}, {tally.ScopeOf(newTopic("likes")), "0 topics deleted"}} {
		if _, err := o.Prune(ctx, "test", c.scope, time.Now().Add(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		if got := last(); got != c.want {
			t.Errorf("pruned: %q, want %q", got, c.want)
		}
	}
}
