package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testPushedOnce waits for each change to be pushed before it makes the next:
// then each comes, once, and what changed nothing does not.
func testPushedOnce(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range []string{"likes", "claps", "visitors", "days"} {
		topic := newTopic(t, metric)
		for i, r := range recorders {
			r.watch(t, f.instances()[i], topic)
		}
		var want []tally.Change
		for i := range 5 {
			member := tally.Member(1 + i)
			got := apply(t, f.instances()[i%len(f.instances())], topic, assert(member, 1), assert(member, 1))
			apply(t, f.other(), topic, assert(member, 1)) // changes nothing
			change := tally.Change{Topic: topic, Count: got.Count, Version: got.Version}
			want = append(want, change)
			for _, r := range recorders {
				r.reaches(t, change)
			}
		}
		if metric == "likes" { // a contribution changed, though the count did not
			got := apply(t, f.Instance, topic, assert(99, 1), assert(99, 0))
			want = append(want, tally.Change{Topic: topic, Count: 5, Version: got.Version})
			for _, r := range recorders {
				r.reaches(t, want[5])
			}
		}
		time.Sleep(quiet) // for what must not come
		for _, r := range recorders {
			if got := r.pushes(topic); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: pushed %v, want %v", r.name, got, want)
			}
		}
	}
}

// testWatch follows the life of one subscription.
func testWatch(t *testing.T, open Factory) {
	f := fixture(t, open)
	topic, unwatched := newTopic(t, "likes"), newTopic(t, "likes")
	first := apply(t, f.Instance, topic, assert(1, 1))
	f.Instance.Watch(topic) // before Run: it waits
	r := run(t, "the instance", f.Instance)
	r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: first.Version})
	eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.live
	}, func() string { return "no Live after all was settled" })

	second := apply(t, f.other(), topic, assert(2, 1))
	apply(t, f.other(), unwatched, assert(2, 1))
	r.reaches(t, tally.Change{Topic: topic, Count: 2, Version: second.Version})

	f.Instance.Unwatch(topic)
	// What was under way may still arrive; then it ends.
	eventually(t, func() bool {
		before := len(r.pushes(topic))
		got := apply(t, f.other(), topic, assert(tally.Member(time.Now().UnixNano()), 1))
		time.Sleep(quiet)
		return len(r.pushes(topic)) == before && r.heldOf(topic).Version < got.Version
	}, func() string { return "changes come long after Unwatch" })
	if got := r.pushes(unwatched); len(got) > 0 {
		t.Errorf("%v was pushed, though nobody watches it", got)
	}

	now := read(t, f.Instance, topic, 0).Change
	r.watch(t, f.Instance, topic) // settles again
	r.reaches(t, now)
}

// testWatchQuickly changes its mind faster than a store can follow.
func testWatchQuickly(t *testing.T, open Factory) {
	f := fixture(t, open)
	r := run(t, "the instance", f.Instance)
	topics := make([]tally.Topic, 50)
	for i := range topics {
		topics[i] = newTopic(t, "likes")
	}
	for range 20 {
		for _, topic := range topics {
			f.Instance.Watch(topic)
			f.Instance.Unwatch(topic)
			f.Instance.Watch(topic)
		}
		for _, topic := range topics[:10] {
			f.Instance.Unwatch(topic)
			f.Instance.Watch(topic)
		}
		for _, topic := range topics[40:] { // end unwatched
			f.Instance.Unwatch(topic)
		}
	}
	for i, topic := range topics {
		got := apply(t, f.other(), topic, assert(1, 1))
		if i < 40 {
			r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: got.Version})
		}
	}
	// One of the unwatched may be settled or pushed late, but not for good.
	eventually(t, func() bool {
		got := apply(t, f.other(), topics[45], assert(tally.Member(time.Now().UnixNano()), 1))
		time.Sleep(quiet)
		return r.heldOf(topics[45]).Version < got.Version
	}, func() string { return "a topic is followed though its last word was Unwatch" })
}

// testSettleReissues begins to watch while a newer value is held than the store
// has: the held value is what viewers saw, so the stored one gets a version above.
func testSettleReissues(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	stored := apply(t, f.Instance, topic, assert(1, 1))
	lost := tally.Change{Topic: topic, Count: 5, Version: stored.Version + 1_000_000}
	for i, r := range recorders {
		r.hold(lost)
		r.watch(t, f.instances()[i], topic)
	}
	for _, r := range recorders {
		eventually(t, func() bool { return r.heldOf(topic).Count == 1 && r.heldOf(topic).Version > lost.Version }, func() string {
			return fmt.Sprintf("%s holds %v, though 1 is stored", r.name, r.heldOf(topic))
		})
		r.reaches(t, read(t, f.Instance, topic, 0).Change)
	}
}

// testReadAgain asks for a watched topic to be read again, while a newer value is held than
// the store has.
func testReadAgain(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic, unwatched := newTopic(t, "likes"), newTopic(t, "likes")
	stored := apply(t, f.Instance, topic, assert(1, 1))
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
		r.reaches(t, tally.Change{Topic: topic, Count: 1, Version: stored.Version})
		r.hold(tally.Change{Topic: topic, Count: 5, Version: stored.Version + 1_000_000})
		feed := f.instances()[i].(tally.Refresher)
		feed.Refresh(unwatched)
		feed.Refresh(topic)
		eventually(t, func() bool { return r.heldOf(topic).Count == 1 && r.heldOf(topic).Version > stored.Version+1_000_000 }, func() string {
			return fmt.Sprintf("%s holds %v, though 1 is stored", r.name, r.heldOf(topic))
		})
		if n := r.settles(unwatched); n > 0 {
			t.Errorf("%s was told %d times of a topic that nobody watches", r.name, n)
		}
		stored = apply(t, f.Instance, topic, assert(2, 1), assert(2, 0), assert(1, 0), assert(1, 1))
		stored.Version = read(t, f.Instance, topic, 0).Change.Version
	}
}

// testBroadcast sends a payload to the other instances, where there are any.
func testBroadcast(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	if f.Second == nil {
		f.Instance.Broadcast([]byte("nobody hears this"))
		return
	}
	heard := func(r *recorder) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.received)
	}
	eventually(t, func() bool { // at most once and without guarantee, so more than once
		f.Second.Broadcast([]byte("limits \x00\xff{}"))
		time.Sleep(time.Millisecond)
		return heard(recorders[0]) > 0
	}, func() string { return "no broadcast reaches the other instance" })
	recorders[0].mu.Lock()
	defer recorders[0].mu.Unlock()
	if got := recorders[0].received[0]; got != "limits \x00\xff{}" {
		t.Errorf("the broadcast arrived as %q", got)
	}
	if n := heard(recorders[1]); n > 0 {
		t.Errorf("the sender heard its own broadcast %d times", n)
	}
}

// reissueTests are what is held beside what is stored (2 at some version).
var reissueTests = []struct {
	name     string
	version  int64 // held, relative to what is stored
	count    int64 // held
	reissued bool
}{
	{"stored is ahead", -1, 7, false},
	{"stored is far ahead", -1_000_000_000, 2, false},
	{"stored is what is held", 0, 2, false},
	{"the same version with another count", 0, 3, true},
	{"stored is behind", 1, 7, true},
	{"stored is behind with the same count", 5, 2, true},
	{"stored is an hour behind", int64(time.Hour / time.Microsecond), 9, true},
}

func testReissue(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, test := range reissueTests {
		t.Run(test.name, func(t *testing.T) {
			topic := newTopic(t, "likes")
			for i, r := range recorders {
				r.watch(t, f.instances()[i], topic)
			}
			applied := apply(t, f.Instance, topic, assert(1, 1), assert(2, 1))
			stored := tally.Change{Topic: topic, Count: 2, Version: applied.Version}
			for _, r := range recorders {
				r.reaches(t, stored)
			}
			held := tally.Change{Topic: topic, Count: test.count, Version: stored.Version + test.version}
			if err := f.other().Reissue(answerContext(t), []tally.Change{held}); err != nil {
				t.Fatal(err)
			}
			checkReissued(t, f, recorders, stored, held, test.reissued)
			if got := read(t, f.Instance, topic, 2).Mine; got != 1 {
				t.Errorf("a contribution became %d", got)
			}
		})
	}
	t.Run("nothing is stored", func(t *testing.T) {
		topic := newTopic(t, "likes")
		recorders[0].watch(t, f.Instance, topic)
		held := tally.Change{Topic: topic, Count: 4, Version: time.Now().UnixMicro()}
		if err := f.Instance.Reissue(answerContext(t), []tally.Change{{Topic: topic}, held}); err != nil {
			t.Fatal(err)
		}
		checkReissued(t, f, recorders[:1], tally.Change{Topic: topic}, held, true)
	})
	t.Run("nothing is stored, and its last count is held", func(t *testing.T) {
		topic := newTopic(t, "likes")
		recorders[0].watch(t, f.Instance, topic)
		held := tally.Change{Topic: topic, Version: time.Now().UnixMicro()}
		if err := f.Instance.Reissue(answerContext(t), []tally.Change{held}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(quiet)
		if now := read(t, f.Instance, topic, 0).Change; now.Version != 0 {
			t.Errorf("the topic came into being as %v", now)
		}
		if pushes := recorders[0].pushes(topic); len(pushes) != 0 {
			t.Errorf("pushed %v", pushes)
		}
	})
}

// checkReissued checks what became of stored when held was to be reissued.
func checkReissued(t *testing.T, f *Fixture, recorders []*recorder, stored, held tally.Change, reissued bool) {
	t.Helper()
	now := read(t, f.Instance, stored.Topic, 0).Change
	if now.Count != stored.Count {
		t.Errorf("the stored count became %d, was %d", now.Count, stored.Count)
	}
	if !reissued {
		time.Sleep(quiet)
		if now != stored {
			t.Errorf("stored is %v, was %v; nothing was to be done", now, stored)
		}
		for _, r := range recorders {
			if n := len(r.pushes(stored.Topic)); n != 1 {
				t.Errorf("%s: %d pushes, want that of the write alone", r.name, n)
			}
		}
		return
	}
	if now.Version <= max(stored.Version, held.Version) {
		t.Errorf("version %d is not above %d and %d", now.Version, stored.Version, held.Version)
	}
	for _, r := range recorders {
		r.reaches(t, now)
	}
}

// testReissueTogether has many ask at once for what they hold, as all instances
// do after a fault: they end on one value, and it does not go on without end.
func testReissueTogether(t *testing.T, open Factory) {
	const askers = 40
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	stored := apply(t, f.Instance, topic, assert(1, 1))
	together(askers, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), answer)
		defer cancel()
		held := tally.Change{Topic: topic, Count: int64(i), Version: stored.Version + int64(i)}
		if err := f.instances()[i%len(f.instances())].Reissue(ctx, []tally.Change{held}); err != nil {
			t.Errorf("reissue: %v", err)
		}
	})
	now := read(t, f.Instance, topic, 0).Change
	if now.Count != 1 || now.Version <= stored.Version+askers-1 {
		t.Errorf("stored is %v, want count 1 and a version above %d", now, stored.Version+askers-1)
	}
	for _, r := range recorders {
		r.reaches(t, now)
		r.grows(t, topic)
		if n := len(r.pushes(topic)); n > askers+1 {
			t.Errorf("%s: %d pushes after %d asked", r.name, n, askers)
		}
	}
}
