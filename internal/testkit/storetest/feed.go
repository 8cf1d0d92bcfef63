package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testOnePushPerChange waits for the push of each change before it makes the next. Each
// change is pushed once, and calls that change nothing are not pushed.
func testOnePushPerChange(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		for i, r := range recorders {
			r.watch(t, f.stores()[i], topic)
		}
		var want []tally.Change
		expect := func(change tally.Change) {
			want = append(want, change)
			for _, r := range recorders {
				r.reaches(t, change)
			}
		}
		for i := range 3 {
			member := tally.Member(1 + i)
			got := apply(t, f.stores()[i%len(f.stores())], topic, assert(member, 1), assert(member, 1))
			apply(t, f.other(), topic, assert(member, 1)) // changes nothing
			expect(got.Change())
		}
		if metric == "rating" { // two numbers in one change
			got := apply(t, f.First, topic, assert(1, 4), assert(1, 4))
			expect(tally.Change{Topic: topic, Count: 3, Options: "2,0,0,1,0", Version: got.Version})
		}
		if metric == "likes" { // the contribution changes, the count does not
			got := apply(t, f.First, topic, assert(99, 1), assert(99, 0))
			expect(tally.Change{Topic: topic, Count: 3, Version: got.Version})
		}
		for _, e := range []tally.Edit{
			{Kind: tally.EditSeed, Value: 4},
			{Kind: tally.EditSeed, Value: 4},
			{Kind: tally.EditAdjustment, Value: -2},
			{Kind: tally.EditCount, Value: 11},
			{Kind: tally.EditWithdraw, Members: []tally.Member{1}},
			{Kind: tally.EditReset},
		} {
			if got := edit(t, f.other(), editOf(topic, e)); got.Changed {
				expect(got.After.Change)
			}
		}
		checkPushes(t, f.First, recorders, topic, want...)
	}
}

// testWatch follows a subscription from Watch before Run to Unwatch and Watch again.
func testWatch(t *testing.T, open Factory) {
	f := fixture(t, open)
	topic, unwatched := newTopic(t, "likes"), newTopic(t, "likes")
	first := apply(t, f.First, topic, assert(1, 1))
	f.First.Watch(topic)
	r := run(t, "the store", f.First)
	r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: first.Version})
	eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.live
	}, func() string { return "no Live after all topics were settled" })

	apply(t, f.other(), unwatched, assert(2, 1))
	second := apply(t, f.other(), topic, assert(2, 1))
	r.reaches(t, tally.Change{Topic: topic, Count: 2, Version: second.Version})

	f.First.Unwatch(topic)
	r.ends(t, f, topic)
	if got := r.pushes(unwatched); len(got) > 0 {
		t.Errorf("pushed %v of a topic that was never watched", got)
	}

	now := read(t, f.First, topic, 0).Change
	r.watch(t, f.First, topic) // settles again
	r.reaches(t, now)
}

// ends waits until changes of topic, which is not watched any more, are not pushed. A later
// change of a watched topic is the marker: it would arrive after them.
func (r *recorder) ends(t *testing.T, f *Fixture, topic tally.Topic) {
	t.Helper()
	watched := newTopic(t, "likes")
	r.watch(t, f.First, watched)
	member := tally.Member(1000)
	eventually(t, func() bool {
		member++
		change := apply(t, f.other(), topic, assert(member, 1))
		marker := apply(t, f.other(), watched, assert(member, 1))
		r.reaches(t, tally.Change{Topic: watched, Count: marker.Count, Version: marker.Version})
		return r.heldOf(topic).Version < change.Version
	}, func() string { return fmt.Sprintf("%s is pushed long after Unwatch", topic) })
}

// testWatchQuickly watches and unwatches topics faster than a store can follow.
func testWatchQuickly(t *testing.T, open Factory) {
	f := fixture(t, open)
	r := run(t, "the store", f.First)
	topics := make([]tally.Topic, 50)
	for i := range topics {
		topics[i] = newTopic(t, "likes")
	}
	for range 20 {
		for _, topic := range topics {
			f.First.Watch(topic)
			f.First.Unwatch(topic)
			f.First.Watch(topic)
		}
		for _, topic := range topics[:10] {
			f.First.Unwatch(topic)
			f.First.Watch(topic)
		}
		for _, topic := range topics[40:] { // unwatched at the end
			f.First.Unwatch(topic)
		}
	}
	for _, topic := range topics[:40] {
		got := apply(t, f.other(), topic, assert(1, 1))
		r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: got.Version})
	}
	r.ends(t, f, topics[45])
}

// testRefresh settles a topic, with Watch and again with Refresh, while a newer value is held
// than the store has. Viewers saw the held value, so the store reissues its own.
func testRefresh(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic, unwatched := newTopic(t, "likes"), newTopic(t, "likes")
	stored := apply(t, f.First, topic, assert(1, 1)).Version
	const ahead = 1_000_000
	settles := func(r *recorder) {
		t.Helper()
		eventually(t, func() bool { return r.heldOf(topic).Count == 1 && r.heldOf(topic).Version > stored+ahead }, func() string {
			return fmt.Sprintf("%s holds %v, though 1 is stored", r.name, r.heldOf(topic))
		})
		stored = read(t, f.First, topic, 0).Change.Version
	}
	for i, r := range recorders {
		r.hold(tally.Change{Topic: topic, Count: 5, Version: stored + ahead})
		r.watch(t, f.stores()[i], topic)
		settles(r)
		r.hold(tally.Change{Topic: topic, Count: 5, Version: stored + ahead})
		f.stores()[i].Refresh(unwatched)
		f.stores()[i].Refresh(topic)
		settles(r)
		if n := r.settles(unwatched); n > 0 {
			t.Errorf("%s settled an unwatched topic %d times", r.name, n)
		}
	}
}

// testBroadcast sends a payload to the other stores.
func testBroadcast(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	if f.Second == nil {
		f.First.Broadcast([]byte("without a receiver"))
		return
	}
	received := func(r *recorder) []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.received
	}
	eventually(t, func() bool { // a broadcast may be lost
		f.Second.Broadcast([]byte("limits \x00\xff{}"))
		time.Sleep(time.Millisecond)
		return len(received(recorders[0])) > 0
	}, func() string { return "no broadcast reaches the other store" })
	if got := received(recorders[0])[0]; got != "limits \x00\xff{}" {
		t.Errorf("received %q", got)
	}
	if got := received(recorders[1]); len(got) > 0 {
		t.Errorf("the sender received %q", got)
	}
}

// reissueTests are held changes, relative to the stored count 2.
var reissueTests = []struct {
	name     string
	version  int64 // held minus stored
	count    int64 // held
	reissued bool
}{
	{"stored is ahead", -1, 7, false},
	{"stored is far ahead", -1_000_000_000, 2, false},
	{"equal", 0, 2, false},
	{"same version, other count", 0, 3, true},
	{"stored is behind", 1, 7, true},
	{"stored is behind, same count", 5, 2, true},
	{"stored is an hour behind", int64(time.Hour / time.Microsecond), 9, true},
}

// testReissue compares the reissue of stored counts and of presence with reissueTests.
func testReissue(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range []string{"likes", "rating", "readers"} {
		for _, test := range reissueTests {
			t.Run(metric+"/"+test.name, func(t *testing.T) {
				topic := newTopic(t, metric)
				for i, r := range recorders {
					r.watch(t, f.stores()[i], topic)
				}
				if metric == "readers" {
					setShare(t, f.First, longLease, topic, 2)
				} else {
					apply(t, f.First, topic, assert(1, 1), assert(2, 1))
				}
				stored := read(t, f.First, topic, 0).Change
				for _, r := range recorders {
					r.reaches(t, stored)
				}
				held := untouched(topic)
				held.Count, held.Version = test.count, stored.Version+test.version
				if metric == "rating" {
					held.Options = editOf(topic, tally.Edit{Kind: tally.EditCount, Value: test.count}).Options
				}
				if err := f.other().Reissue(callContext(t), []tally.Change{held}); err != nil {
					t.Fatal(err)
				}
				checkReissued(t, f, recorders, stored, held, test.reissued)
			})
		}
	}
	t.Run("missing topic", func(t *testing.T) {
		topic := newTopic(t, "likes")
		recorders[0].watch(t, f.First, topic)
		held := tally.Change{Topic: topic, Count: 4, Version: time.Now().UnixMicro()}
		if err := f.First.Reissue(callContext(t), []tally.Change{{Topic: topic}, held}); err != nil {
			t.Fatal(err)
		}
		checkReissued(t, f, recorders[:1], tally.Change{Topic: topic}, held, true)
	})
	t.Run("deleted topic, final count is held", func(t *testing.T) {
		topic := newTopic(t, "likes")
		recorders[0].watch(t, f.First, topic)
		held := tally.Change{Topic: topic, Version: time.Now().UnixMicro()}
		if err := f.First.Reissue(callContext(t), []tally.Change{held}); err != nil {
			t.Fatal(err)
		}
		if exists(t, f.First, topic) {
			t.Error("the topic was created")
		}
		checkPushes(t, f.First, recorders[:1], topic)
	})
}

// checkReissued checks the state of a topic after held was to be reissued.
func checkReissued(t *testing.T, f *Fixture, recorders []*recorder, stored, held tally.Change, reissued bool) {
	t.Helper()
	now := read(t, f.First, stored.Topic, 0).Change
	switch {
	case now.Count != stored.Count:
		t.Errorf("the stored count became %d, was %d", now.Count, stored.Count)
	case reissued && now.Version <= max(stored.Version, held.Version):
		t.Errorf("version %d is not above %d and %d", now.Version, stored.Version, held.Version)
	case !reissued && now != stored:
		t.Errorf("stored is %v, was %v", now, stored)
	case reissued:
		for _, r := range recorders {
			r.reaches(t, now)
		}
	case stored.Topic.Metric() == "readers":
		setShare(t, f.First, longLease, stored.Topic, 3) // a marker
		marker := present(t, f, recorders, stored.Topic, 3)
		for _, r := range recorders {
			if got := r.pushes(stored.Topic); len(got) != 2 || got[1].Version != marker {
				t.Errorf("%s: pushed %v", r.name, got)
			}
		}
	default:
		checkPushes(t, f.First, recorders, stored.Topic, stored)
	}
}

// testConcurrentReissue asks for many reissues at once, as all instances do after a fault.
// They end with one value.
func testConcurrentReissue(t *testing.T, open Factory) {
	const calls = 40
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.stores()[i], topic)
	}
	stored := apply(t, f.First, topic, assert(1, 1))
	together(calls, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		held := tally.Change{Topic: topic, Count: int64(i), Version: stored.Version + int64(i)}
		if err := f.stores()[i%len(f.stores())].Reissue(ctx, []tally.Change{held}); err != nil {
			t.Errorf("reissue: %v", err)
		}
	})
	now := read(t, f.First, topic, 0).Change
	if now.Count != 1 || now.Version <= stored.Version+calls-1 {
		t.Errorf("stored is %v, want count 1 and a version above %d", now, stored.Version+calls-1)
	}
	for _, r := range recorders {
		r.reaches(t, now)
		r.grows(t, topic)
		if n := len(r.pushes(topic)); n > calls+1 {
			t.Errorf("%s: %d pushes after %d calls", r.name, n, calls)
		}
	}
}

// testDeletedTopic checks that viewers of a deleted topic receive its final version, which is
// read for some time, and that the topic can be created again.
func testDeletedTopic(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range kinds {
		topic := newTopic(t, metric)
		for i, r := range recorders {
			r.watch(t, f.stores()[i], topic)
		}
		apply(t, f.First, topic, from(7, 1, 1), from(7, 2, 1))
		entries := recent(t, f.First, topic)
		deleted := edit(t, f.other(), tally.Edit{Topic: topic, Kind: tally.EditDelete})
		for _, r := range recorders {
			eventually(t, func() bool {
				held := r.heldOf(topic)
				return held.Count == 0 && held.Version > deleted.Before.Version
			}, func() string {
				return fmt.Sprintf("%s holds %v of a topic that was deleted at version %d", r.name, r.heldOf(topic), deleted.Before.Version)
			})
		}
		final := recorders[0].heldOf(topic)
		for _, store := range f.stores() {
			if got := read(t, store, topic, 1); got != (tally.Reading{Change: final}) {
				t.Errorf("%s: read %v after the final change %v", metric, got, final)
			}
		}
		again := apply(t, f.First, topic, from(8, 1, 1))
		if !again.Writes[0].Created || again.Count != 1 || again.Version <= final.Version {
			t.Errorf("%s: created again as %+v after %v", metric, again, final)
		}
		if got := revert(t, f.First, entries); len(got) > 0 {
			t.Errorf("%s: entries of the deleted topic took back %v", metric, got)
		}
		for _, r := range recorders {
			r.reaches(t, again.Change())
			r.grows(t, topic)
		}
	}
}
