package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func testRegister(t *testing.T, open Factory) {
	f := owned(t, open)
	reads := func(want map[string]string) {
		t.Helper()
		for _, store := range []Owned{f.first, f.other} {
			if got, err := store.Settings(answerContext(t)); err != nil || !maps.Equal(got, want) {
				t.Errorf("the register is %q, error %v; want %q", got, err, want)
			}
		}
	}
	set := func(store Owned, name, value string) {
		t.Helper()
		if err := store.SetSetting(answerContext(t), name, value); err != nil {
			t.Fatalf("set %q: %v", name, err)
		}
	}
	reads(map[string]string{})
	set(f.first, "former blog/likes/é", `["blog/likes/e"]`)
	set(f.other, "block range 2001:db8::/48", "too many")
	set(f.first, "x", "1")
	set(f.other, "x", "2")
	reads(map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many", "x": "2"})
	set(f.first, "x", "")
	set(f.first, "never there", "")
	reads(map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many"})

	const setters = 20
	want := map[string]string{"former blog/likes/é": `["blog/likes/e"]`, "block range 2001:db8::/48": "too many"}
	together(setters, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), answer)
		defer cancel()
		store := f.instances()[i%len(f.instances())].(Owned)
		if err := store.SetSetting(ctx, fmt.Sprint("entry ", i), fmt.Sprint(i)); err != nil {
			t.Errorf("set: %v", err)
		}
	})
	for i := range setters {
		want[fmt.Sprint("entry ", i)] = fmt.Sprint(i)
	}
	reads(want)
}

func testAudit(t *testing.T, open Factory) {
	f := owned(t, open)
	entries, next, err := f.first.AuditLog(answerContext(t), "", 10)
	if err != nil || len(entries) != 0 || next != "" {
		t.Errorf("a log of nothing is %v, next %q, error %v", entries, next, err)
	}
	var want []tally.AuditEntry
	at := time.Now().Truncate(time.Millisecond)
	for i := range 25 {
		entry := tally.AuditEntry{
			At: at.Add(time.Duration(i/2) * time.Millisecond), Actor: "admin 203.0.113.7", Action: "set",
			Target: fmt.Sprintf("blog/likes/é %d", i), Detail: "1 → 2, \"quoted\"\nand more",
		}
		if i == 7 {
			entry.Target, entry.Detail = "", ""
		}
		if err := f.instances()[i%len(f.instances())].(Owned).AppendAudit(answerContext(t), entry); err != nil {
			t.Fatal(err)
		}
		want = slices.Insert(want, 0, entry)
	}
	for _, limit := range []int{1, 10, 24, 25, 26, 100} {
		var got []tally.AuditEntry
		before, calls := "", 0
		for {
			entries, next, err := f.other.AuditLog(answerContext(t), before, limit)
			if err != nil || len(entries) > limit {
				t.Fatalf("%d entries of %d, error %v", len(entries), limit, err)
			}
			got = append(got, entries...)
			before = next
			if calls++; next == "" || calls > 30 {
				break
			}
		}
		if !slices.EqualFunc(got, want, func(a, b tally.AuditEntry) bool {
			same := a.At.Equal(b.At)
			a.At, b.At = time.Time{}, time.Time{}
			return same && a == b
		}) {
			t.Errorf("by %d the log is %v, want %v", limit, got, want)
		}
	}
}

// testActivity counts the writes that heartbeats of two instances carry.
func testActivity(t *testing.T, open Factory) {
	f := owned(t, open)
	send := func(store Owned, instance string, writes map[string]int64) {
		t.Helper()
		if err := store.WriteHeartbeat(answerContext(t), tally.Heartbeat{Instance: instance, Status: []byte(`{}`), Writes: writes}); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now().Unix()/60 - 10 // of any clock
	send(f.first, "ann", map[string]int64{"blog": 3})
	send(f.other, "bob", map[string]int64{"blog": 4, "default": 1})
	send(f.first, "ann", nil)
	send(f.first, "ann", map[string]int64{"blog": 10, "default": 0})
	activity := func(from int64) (sums map[string]int64) {
		t.Helper()
		list, err := f.other.Activity(answerContext(t), from)
		if err != nil {
			t.Fatal(err)
		}
		sums = map[string]int64{}
		for i, a := range list {
			if a.Minute < from || i > 0 && a.Minute < list[i-1].Minute || a.Writes == 0 {
				t.Errorf("activity since %d: %v", from, list)
			}
			sums[a.Site] += a.Writes
		}
		return sums
	}
	if got, want := activity(begin), map[string]int64{"blog": 17, "default": 1}; !maps.Equal(got, want) {
		t.Errorf("the activity is %v, want %v", got, want)
	}
	if got := activity(begin + 1000); len(got) > 0 {
		t.Errorf("the activity of the future is %v", got)
	}
	if f.Advance != nil {
		f.Advance(tally.ActivityRetention + time.Hour)
		send(f.first, "ann", nil)
		if got := activity(begin); len(got) > 0 {
			t.Errorf("activity is not deleted: %v", got)
		}
	}
}

func testUsage(t *testing.T, open Factory) {
	f := owned(t, open)
	for i := range 40 {
		apply(t, f.first, topic(t, "blog", "likes", fmt.Sprint(i)), assert(1, 1), assert(2, 1), assert(3, 1))
	}
	apply(t, f.first, topic(t, "default", "claps", "x"), assert(1, 7), assert(2, 9))
	edit(t, f.first, tally.Edit{Topic: topic(t, "default", "likes", "seeded"), Kind: tally.EditSeed, Value: 1000})
	usage, err := f.other.Usage(answerContext(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]tally.SiteUsage{}
	for _, u := range usage {
		got[u.Site] = u
	}
	for site, want := range map[string][2]int64{"blog": {40, 120}, "default": {2, 2}} {
		if u := got[site]; u.Topics != want[0] || u.Contributions != want[1] || u.Bytes <= 0 {
			t.Errorf("%s uses %+v, want %v", site, u, want)
		}
	}
	if got["blog"].Bytes <= got["default"].Bytes {
		t.Errorf("40 topics use less than 2: %+v", got)
	}
}

// testOwnersDeadline calls with a context that has ended, as testDeadline does.
func testOwnersDeadline(t *testing.T, open Factory) {
	f := owned(t, open)
	likes := newTopic(t, "likes")
	apply(t, f.first, likes, from(7, 1, 1))
	before := stateOf(t, f.first, likes)
	spike := recent(t, f.first, likes)

	ended, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	unavailable := func(what string, err error) {
		t.Helper()
		var coded *tally.Error
		if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable {
			t.Errorf("%s after the deadline: %v; want %s", what, err, tally.CodeStoreUnavailable)
		}
	}
	list := []tally.Edit{{Topic: likes, Kind: tally.EditReset}, {Topic: likes, Kind: tally.EditWithdraw, Members: []tally.Member{1}}}
	f.first.Edit(ended, list)
	unavailable("Edit", list[0].Err)
	unavailable("Edit", list[1].Err)
	unavailable("Dump", f.first.Dump(ended, tally.Scope{}, func(tally.Portion) error { return nil }))
	unavailable("Restore", f.first.Restore(ended, true, []tally.Portion{whole(likes, 4, 0, nil)}))
	_, err := f.first.List(ended, tally.Listing{Limit: 1})
	unavailable("List", err)
	unavailable("Journal", f.first.Journal(ended, tally.Scope{}, 0, everAfter, func([]tally.JournalEntry) error { return nil }))
	_, _, err = f.first.Revert(ended, spike, false)
	unavailable("Revert", err)
	_, err = f.first.Settings(ended)
	unavailable("Register", err)
	unavailable("SetRegister", f.first.SetSetting(ended, "a", "b"))
	_, err = f.first.SwapSettings(ended, nil, map[string]string{"a": "b"})
	unavailable("SwapRegister", err)
	_, err = f.first.SwapMark(ended, likes, "", "x")
	unavailable("Mark", err)
	unavailable("Audit", f.first.AppendAudit(ended, tally.AuditEntry{At: time.Now()}))
	_, _, err = f.first.AuditLog(ended, "", 1)
	unavailable("AuditLog", err)
	_, err = f.first.Usage(ended)
	unavailable("Usage", err)
	unavailable("WriteHeartbeat", f.first.WriteHeartbeat(ended, tally.Heartbeat{Instance: "ann", Writes: map[string]int64{"blog": 1}}))
	_, err = f.first.Activity(ended, 0)
	unavailable("Activity", err)

	time.Sleep(quiet) // what must not happen has no condition to wait for
	if after := stateOf(t, f.first, likes); after.State != before.State || after.contributions[1] != 1 {
		t.Errorf("after calls that were too late: %v, before %v", after, before)
	}
	register, err := f.first.Settings(answerContext(t))
	if err != nil || len(register) > 0 {
		t.Errorf("after a call that was too late the register is %v, error %v", register, err)
	}
}

func testOwnersReopen(t *testing.T, open Factory) {
	f := owned(t, open)
	if f.Reopen == nil {
		return
	}
	want := fillAll(t, f.first)
	likes := topic(t, "blog", "likes", "a")
	entry := tally.AuditEntry{At: time.Now().Truncate(time.Millisecond), Actor: "a", Action: "b", Target: "c", Detail: "d"}
	err := errors.Join(
		f.first.SetSetting(answerContext(t), "name", "value"),
		f.first.AppendAudit(answerContext(t), entry),
		f.first.WriteHeartbeat(answerContext(t), tally.Heartbeat{Instance: "ann", Writes: map[string]int64{"blog": 5}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	spike := recent(t, f.first, likes)
	again := asOwned(t, f.Reopen(t))
	same(t, dump(t, again, tally.Scope{}), want)
	if got, err := again.Settings(answerContext(t)); err != nil || !maps.Equal(got, map[string]string{"name": "value"}) {
		t.Errorf("the register is %v, error %v", got, err)
	}
	if got, _, err := again.AuditLog(answerContext(t), "", 10); err != nil || len(got) != 1 || !got[0].At.Equal(entry.At) || got[0].Detail != "d" {
		t.Errorf("the audit log is %v, error %v", got, err)
	}
	if got, err := again.Activity(answerContext(t), 0); err != nil || len(got) != 1 || got[0].Writes != 5 {
		t.Errorf("the activity is %v, error %v", got, err)
	}
	if got := revert(t, again, spike)[likes]; got.Count != 0 {
		t.Errorf("traces of before left %v", got)
	}
}
