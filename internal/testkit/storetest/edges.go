package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testInvalidInput checks that a store refuses invalid input with its code, and applies the
// valid input beside it.
func testInvalidInput(t *testing.T, open Factory) {
	f := fixture(t, open)
	likes, readers, visitors := newTopic(t, "likes"), newTopic(t, "readers"), newTopic(t, "visitors")
	undeclared, elsewhere := topic(t, "default", "undeclared", "x"), topic(t, "undeclared", "likes", "x")
	check := func(what string, err error, want tally.Code) {
		t.Helper()
		if code := codeOf(err); code != want {
			t.Errorf("%s: code %q, want %q: %v", what, code, want, err)
		}
	}
	for name, c := range map[string]struct {
		topic  tally.Topic
		amount int64
		want   tally.Code
	}{
		"valid write": {likes, 1, ""}, "write to presence": {readers, 1, tally.CodeReadOnlyMetric},
		"write of 2": {likes, 2, tally.CodeBadAmount}, "final write of 0": {visitors, 0, tally.CodeBadAmount},
	} {
		check(name, tryApply(f.First, c.topic, assert(1, c.amount)), c.want)
	}
	if tryApply(f.First, undeclared, assert(1, 1)) == nil {
		t.Error("a write to an undeclared metric was applied")
	}
	list := []tally.Edit{
		{Topic: readers, Kind: tally.EditCount, Value: 3},
		{Topic: likes, Kind: tally.EditSeed, Value: 5},
		{Topic: likes, Kind: tally.EditSeed, Value: -1},
		{Topic: likes, Kind: tally.EditAdjustment, Value: -tally.MaxValue - 1},
		{Topic: likes, Kind: tally.EditCount, Value: tally.MaxValue + 1},
		{Topic: undeclared, Kind: tally.EditSeed},
		{Topic: elsewhere, Kind: tally.EditSeed},
		{Topic: likes, Kind: tally.EditWithdraw, Members: make([]tally.Member, tally.MaxBatchWrites+1)},
		{Topic: likes},
	}
	f.First.Edit(callContext(t), list)
	for i, want := range []tally.Code{
		tally.CodeReadOnlyMetric, "", tally.CodeBadAmount, tally.CodeBadAmount, tally.CodeBadAmount,
		tally.CodeUnknownMetric, tally.CodeUnknownSite, tally.CodeInternal, tally.CodeInternal,
	} {
		check(fmt.Sprintf("edit %d", i), list[i].Err, want)
	}
	for name, c := range map[string]struct {
		portion tally.Portion
		change  func(p *tally.Portion)
		want    tally.Code
	}{
		"portion of presence":      {wholePortion(readers, 3, 0, nil), nil, tally.CodeReadOnlyMetric},
		"portion of unknown site":  {wholePortion(elsewhere, 3, 0, nil), nil, tally.CodeUnknownSite},
		"portion of unknown rule":  {wholePortion(undeclared, 3, 0, nil), nil, tally.CodeUnknownMetric},
		"amount above the maximum": {wholePortion(likes, 0, 0, map[tally.Member]int64{1: 2}), nil, tally.CodeBadAmount},
		"version without room":     {wholePortion(likes, 3, 0, nil), func(p *tally.Portion) { p.Version = 1<<53 - 1 }, tally.CodeBadAmount},
	} {
		if c.change != nil {
			c.change(&c.portion)
		}
		check(name, f.First.Restore(callContext(t), false, []tally.Portion{c.portion}), c.want)
	}
	if all := dump(t, f.First, tally.Scope{}); len(all) != 1 || all[likes].Count != 6 {
		t.Errorf("stored %v", all)
	}
	f.First.Edit(callContext(t), nil)
	f.First.Apply(callContext(t), nil)
	restore(t, f.First, true)
	if got := f.First.Read(callContext(t), nil); len(got) != 0 {
		t.Errorf("no queries returned %v", got)
	}
	if err := f.First.Reissue(callContext(t), nil); err != nil {
		t.Errorf("reissue of nothing: %v", err)
	}
}

func codeOf(err error) tally.Code {
	if err == nil {
		return ""
	}
	return tally.AsError(err).Code
}

// testLimits uses the greatest values and the largest edit that are allowed.
func testLimits(t *testing.T, open Factory) {
	f := fixture(t, open)
	for kind, want := range map[tally.EditKind]tally.State{
		tally.EditSeed:       {Change: tally.Change{Count: tally.MaxValue}, Seed: tally.MaxValue},
		tally.EditAdjustment: {Change: tally.Change{Count: tally.MaxValue}, Adjustment: tally.MaxValue},
		tally.EditCount:      {Change: tally.Change{Count: tally.MaxValue}, Adjustment: tally.MaxValue},
		tally.EditBase:       {Change: tally.Change{Count: tally.MaxValue}, Adjustment: tally.MaxValue},
	} {
		want.Topic = newTopic(t, "claps")
		want.Version = edit(t, f.First, tally.Edit{Topic: want.Topic, Kind: kind, Value: tally.MaxValue}).After.Version
		if got := stateOf(t, f.other(), want.Topic).State; got != want {
			t.Errorf("edit of kind %d: %+v, want %+v", kind, got, want)
		}
	}
	likes := newTopic(t, "likes")
	var writes []tally.Write
	var members []tally.Member
	for i := range tally.MaxBatchWrites {
		writes, members = append(writes, assert(memberOf(i), 1)), append(members, memberOf(i))
	}
	apply(t, f.First, likes, writes...)
	apply(t, f.First, likes, assert(1, 1))
	if got := edit(t, f.other(), tally.Edit{Topic: likes, Kind: tally.EditWithdraw, Members: members}); got.After.Count != 1 {
		t.Errorf("the largest withdrawal left %v", got.After)
	}
	claps := newTopic(t, "claps") // a member twice in one portion
	portion := wholePortion(claps, 0, 0, map[tally.Member]int64{3: 4, 4: 1})
	portion.Contributions = append(portion.Contributions, portion.Contributions...)
	for _, replace := range []bool{false, true, false} {
		restore(t, f.First, replace, portion)
		if got := stateOf(t, f.other(), claps); got.Count != 5 {
			t.Errorf("a portion that names members twice, replace %t: %v", replace, got)
		}
	}
}

// testUnknownTopic checks that reading and watching create nothing.
func testUnknownTopic(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range append([]string{"readers"}, kinds...) {
		topic := newTopic(t, metric)
		recorders[0].watch(t, f.First, topic)
		if got, want := read(t, f.First, topic, 5), (tally.Reading{Change: untouched(topic)}); got != want {
			t.Errorf("read %v, want %v", got, want)
		}
		if metric != "readers" && exists(t, f.First, topic) {
			t.Errorf("%s exists after it was read and watched", topic)
		}
		if top, err := f.First.Top(callContext(t), "default", metric, 100); err != nil || len(top) != 0 {
			t.Errorf("top of %s is %v, error %v", metric, top, err)
		}
	}
}

// testKeys writes, reads, pushes and ranks topics whose keys have special characters.
func testKeys(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for i, key := range []string{
		`quo"te`, `back\slash`, `trailing\`, `it's`, `100%`, `%2F`, `a b  c`, ` `, `.hidden`, `a:b`, `*`, `[a-z]?`, `a,b;c`,
		`"count":7,"version":9`, `"`, `日本語/é/ß`, `👩‍👩‍👧‍👦`, "\u2028\u2029", "\ufeffx", "\U0010ffff", `<script>`, `$1`, `-- drop`,
		`deep/er/and/deeper`, strings.Repeat("k", tally.MaxKeyBytes), strings.Repeat("é", tally.MaxKeyBytes/2),
	} {
		topic := topic(t, "blog", "likes", key)
		for i, r := range recorders {
			r.watch(t, f.stores()[i], topic)
		}
		var writes []tally.Write // different counts, so that topics cannot be mistaken
		for member := range i + 1 {
			writes = append(writes, assert(tally.Member(1+member), 1))
		}
		got := apply(t, f.First, topic, writes...)
		want := tally.Change{Topic: topic, Count: int64(i + 1), Version: got.Version}
		for i, r := range recorders {
			r.reaches(t, want)
			if got := read(t, f.stores()[i], topic, 1); got != (tally.Reading{Change: want, Mine: 1}) {
				t.Errorf("read %v, want %v", got, want)
			}
		}
		topReaches(t, f.other(), "blog", "likes", 1, []tally.Change{want})
	}
}

// nextWindow lets the window of the metric glances end, and returns the batch that counts
// members in the next one.
func nextWindow(t *testing.T, f *Fixture, topic tally.Topic, writes ...tally.Write) (got tally.Batch) {
	t.Helper()
	if f.Advance != nil {
		f.Advance(glance)
	}
	// If the clock cannot be moved, this waits for the window's end.
	eventually(t, func() bool {
		got = apply(t, f.First, topic, writes...)
		return got.Writes[0].Changed
	}, func() string { return "the window did not end" })
	return got
}

// testWindowEnd checks that a visitor counts again in the next window, that Mine ends with
// its window, and what is dumped and reverted of windows that ended.
func testWindowEnd(t *testing.T, open Factory) {
	f := fixture(t, open)
	topic := newTopic(t, "glances")
	for n := range int64(3) {
		if got := nextWindow(t, f, topic, from(7, 1, 1)); got.Count != n+1 {
			t.Fatalf("count %d in window %d", got.Count, n+1)
		}
	}
	if d := stateOf(t, f.First, topic); d.sum != 3 || len(d.contributions) > 1 {
		t.Errorf("three windows are dumped as %v", d)
	}
	if f.Advance != nil {
		f.Advance(glance)
	}
	eventually(t, func() bool { return read(t, f.other(), topic, 1).Mine == 0 },
		func() string { return "Mine did not end with its window" })
	entries := recent(t, f.First, topic)
	if len(entries) != 3 {
		t.Fatalf("three windows have the entries %v", entries)
	}
	if got := revert(t, f.First, entries[:2])[topic]; got.Count != 1 {
		t.Errorf("two of three entries reverted: %v", got)
	}
	if got := revert(t, f.First, entries)[topic]; got.Count != 0 {
		t.Errorf("all entries reverted: %v", got)
	}
}

// testDeadline calls every method with a context that has ended: each reports that the
// store is unavailable, and changes nothing.
func testDeadline(t *testing.T, open Factory) {
	f := fixture(t, open)
	r := runAll(t, f)[0]
	likes, readers := newTopic(t, "likes"), newTopic(t, "readers")
	r.watch(t, f.First, likes)
	r.watch(t, f.First, readers)
	apply(t, f.First, likes, from(7, 1, 1))
	before, entries := stateOf(t, f.First, likes), recent(t, f.First, likes)
	r.reaches(t, before.Change)

	ended, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	store := f.First
	batches := []tally.Batch{{Topic: likes, Writes: []tally.Write{assert(2, 1)}}}
	store.Apply(ended, batches)
	list := []tally.Edit{{Topic: likes, Kind: tally.EditReset}, {Topic: likes, Kind: tally.EditWithdraw, Members: []tally.Member{1}}}
	store.Edit(ended, list)
	_, topErr := store.Top(ended, "default", "likes", 10)
	_, listErr := store.List(ended, tally.Listing{Limit: 1})
	_, _, revertErr := store.Revert(ended, entries, tally.RevertPast)
	_, settingsErr := store.Settings(ended)
	_, swapErr := store.SwapSettings(ended, nil, map[string]string{"a": "b"})
	_, markErr := store.SwapMark(ended, likes, "", "x")
	_, _, logErr := store.AuditLog(ended, "", 1)
	_, usageErr := store.Usage(ended, 0)
	_, contributionsErr := store.Contributions(ended, []tally.Query{{Topic: likes, Member: 1}})
	_, activityErr := store.Activity(ended, 0)
	for name, err := range map[string]error{
		"Apply": batches[0].Err, "Read": store.Read(ended, []tally.Query{{Topic: likes}})[0].Err, "Top": topErr,
		"Reissue":   store.Reissue(ended, []tally.Change{{Topic: likes, Count: 7, Version: before.Version + 1}}),
		"SetShares": store.SetShares(ended, time.Minute, []tally.Share{{Topic: readers, Pages: 3}}),
		"Edit":      list[0].Err, "EditWithdraw": list[1].Err, "List": listErr, "Revert": revertErr,
		"Dump":          store.Dump(ended, tally.Scope{}, func(tally.Portion) error { return nil }),
		"Restore":       store.Restore(ended, true, []tally.Portion{wholePortion(likes, 4, 0, nil)}),
		"Journal":       store.Journal(ended, tally.Scope{}, 0, farMinute, func([]tally.JournalEntry) error { return nil }),
		"SearchJournal": store.SearchJournal(ended, tally.Scope{}, 0, farMinute, func([]tally.JournalEntry) error { return nil }),
		"Contributions": contributionsErr,
		"Settings":      settingsErr, "SwapSettings": swapErr, "SwapMark": markErr,
		"AppendAudit": store.AppendAudit(ended, tally.AuditEntry{At: time.Now()}), "AuditLog": logErr,
		"Usage": usageErr, "Activity": activityErr,
		"WriteHeartbeat": store.WriteHeartbeat(ended, tally.Heartbeat{Instance: "a", Writes: map[string]int64{"blog": 1}}),
	} {
		if codeOf(err) != tally.CodeStoreUnavailable {
			t.Errorf("%s after the deadline: %v", name, err)
		}
	}

	// Markers: the calls below cause the first changes, unless a call above had an effect.
	setShare(t, store, longLease, readers, 1)
	present(t, f, []*recorder{r}, readers, 1)
	if n := len(r.pushes(readers)); n != 1 {
		t.Errorf("%d pushes of presence", n)
	}
	if after := stateOf(t, store, likes); after.State != before.State || after.contributions[1] != 1 {
		t.Errorf("after calls that were too late: %v, before %v", after, before)
	}
	if entries, _, err := store.AuditLog(callContext(t), "", 1); err != nil || len(entries) > 0 {
		t.Errorf("the audit log has %v, error %v", entries, err)
	}
	if stored, err := store.Settings(callContext(t)); err != nil || len(stored) > 0 {
		t.Errorf("the settings are %v, error %v", stored, err)
	}
	checkPushes(t, store, []*recorder{r}, likes, before.Change)
}

// testClockBack moves the store's clock back an hour: versions continue to grow.
func testClockBack(t *testing.T, open Factory) {
	f := fixture(t, open)
	if f.Advance == nil {
		return // the store's own tests move its clock
	}
	topic := newTopic(t, "likes")
	last := apply(t, f.First, topic, assert(1, 1)).Version
	f.Advance(-time.Hour)
	for i := range 3 {
		version := apply(t, f.First, topic, assert(tally.Member(10+i), 1)).Version
		if version != last+1 {
			t.Errorf("version %d after %d, with the clock an hour back", version, last)
		}
		last = version
	}
	f.Advance(2 * time.Hour)
	if version := apply(t, f.First, topic, assert(20, 1)).Version; version < last+int64(50*time.Minute/time.Microsecond) {
		t.Errorf("version %d does not follow the clock", version)
	}
}

// testSecret compares the secrets of several stores on the same data.
func testSecret(t *testing.T, open Factory) {
	f := fixture(t, open)
	first, err := f.First.Secret()
	if err != nil || len(first) < 16 {
		t.Fatalf("generated a secret of %d bytes, error %v", len(first), err)
	}
	for _, store := range []Store{f.other(), f.Reopen(t)} {
		if secret, err := store.Secret(); err != nil || string(secret) != string(first) {
			t.Errorf("another secret, error %v", err)
		}
		if health := store.Health(); !health.Reached || health.Err != nil || health.Conflict != nil {
			t.Errorf("health %+v", health)
		}
	}
	given := []byte("a secret of the operator's own choosing")
	f = open(t, Options{Catalog: catalog(), Secret: given})
	if secret, err := f.other().Secret(); err != nil || string(secret) != string(given) {
		t.Errorf("the given secret became %q, error %v", secret, err)
	}
}

// testReopen checks that a reopened store has everything and continues.
func testReopen(t *testing.T, open Factory) {
	f := fixture(t, open)
	want := fillAll(t, f.First)
	likes := topic(t, "blog", "likes", "a")
	entry := tally.AuditEntry{At: time.Now().Truncate(time.Millisecond), Actor: "a", Action: "b", Target: "c", Detail: "d"}
	err := errors.Join(
		tally.SetSetting(callContext(t), f.First, "name", "value"),
		f.First.AppendAudit(callContext(t), entry),
		f.First.WriteHeartbeat(callContext(t), tally.Heartbeat{Instance: "a", Writes: map[string]int64{"blog": 5}, Totals: map[string]int64{"blog": 5}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	entries := recent(t, f.First, likes)
	again := f.Reopen(t)
	checkSame(t, dump(t, again, tally.Scope{}), want)
	if got, err := again.Settings(callContext(t)); err != nil || !maps.Equal(got, map[string]string{"name": "value"}) {
		t.Errorf("the settings are %v, error %v", got, err)
	}
	if got, _, err := again.AuditLog(callContext(t), "", 10); err != nil || len(got) != 1 || !got[0].At.Equal(entry.At) || got[0].Detail != "d" {
		t.Errorf("the audit log is %v, error %v", got, err)
	}
	if got, err := again.Activity(callContext(t), 0); err != nil || len(got) != 1 || got[0].Writes != 5 {
		t.Errorf("the activity is %v, error %v", got, err)
	}
	for _, metric := range kinds {
		topic := topic(t, "default", metric, "é")
		if got := apply(t, again, topic, assert(1, 1), assert(7, 1)); got.Writes[0].Changed || !got.Writes[1].Changed || got.Count != 4 || got.Version <= want[topic].Version {
			t.Errorf("%s: a known and a new visitor: %+v", topic, got)
		}
	}
	if got := revert(t, again, entries)[likes]; got.Count != 0 {
		t.Errorf("after reverting all entries: %v", got)
	}
}
