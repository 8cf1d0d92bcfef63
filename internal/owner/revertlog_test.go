package owner_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// A topic's reverts are found by its name, also among others, and by a scope.
func TestReverts(t *testing.T) {
	ctx, o := t.Context(), open(onSQLite(t).first)
	page, other, odd := topic("blog/likes/reverts"), topic("blog/likes/reverts-other"), topic("docs/likes/a, b from x to y")
	for _, each := range []tally.Topic{page, other, odd} {
		o.contribute(t, each, visitor(1), 1, botAddress)
	}
	from, to := hourAgo().Truncate(time.Second).UTC(), time.Now().Add(time.Minute).Truncate(time.Second).UTC()
	blog := owner.Selection{Scope: tally.Scope{Site: "blog", Metric: "likes"}, From: from, To: to}
	for i, selection := range []owner.Selection{
		{Topics: []tally.Topic{page}, From: from, To: to},
		{Topics: []tally.Topic{other, odd}, From: from, To: to},
		{Topics: []tally.Topic{page}, From: from, To: to}, // takes nothing back
		blog,
		blog,
	} {
		if i == 3 {
			o.contribute(t, page, visitor(2), 1, botAddress)
		}
		if _, err := o.Revert(ctx, "test", selection, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Audit(ctx, tally.AuditEntry{Actor: "test", Action: "undo", Target: "blog/likes/reverts from yesterday to today", Detail: "begins"}); err != nil {
		t.Fatal(err)
	}
	find := func(topic tally.Topic, since time.Time) (details []string) {
		t.Helper()
		reverts, err := o.Reverts(ctx, topic, since)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reverts {
			if !r.From.Equal(from) || !r.To.Equal(to) || r.Actor != "test" {
				t.Errorf("%s: %+v", topic, r)
			}
			details = append(details, r.Detail)
		}
		return details
	}
	for _, c := range []struct {
		topic tally.Topic
		want  []string
	}{
		{page, []string{"1 contribution to 1 topic reverted", "1 contribution to 1 topic reverted"}},
		{other, []string{"1 contribution to 1 topic reverted", "2 contributions to 2 topics reverted"}},
		{odd, []string{"2 contributions to 2 topics reverted"}},
		{topic("docs/likes/b from x to y"), nil},
		{topic("docs/likes/reverts"), nil},
	} {
		if got := find(c.topic, from); len(got) != len(c.want) || len(got) > 0 && (got[0] != c.want[0] || got[len(got)-1] != c.want[len(got)-1]) {
			t.Errorf("%s: %q, want %q", c.topic, got, c.want)
		}
	}
	if got := find(page, to); len(got) != 0 {
		t.Errorf("later: %q", got)
	}
}
