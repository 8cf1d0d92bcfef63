package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// testWindowEnds shows that a visitor counts again in the next window, and that
// mine lasts as long as its window.
func testWindowEnds(t *testing.T, open Factory) {
	f := fixture(t, open)
	topic := newTopic(t, "glances")
	next := func() {} // as real time goes
	if f.Advance != nil {
		next = func() { f.Advance(glance) }
	}
	var count int64
	for range 3 {
		next()
		// Waits for the window's end where the clock cannot be moved.
		eventually(t, func() bool {
			got := apply(t, f.Instance, topic, assert(1, 1))
			if got.Writes[0].Changed {
				count++
			}
			if got.Count != count {
				t.Fatalf("count %d after %d changes", got.Count, count)
			}
			return got.Writes[0].Changed
		}, func() string { return "the window did not end" })
	}
	if f.Advance != nil {
		f.Advance(glance)
	}
	eventually(t, func() bool { return read(t, f.other(), topic, 1).Mine == 0 },
		func() string { return "the visitor's contribution outlasts its window" })
	if got := read(t, f.other(), topic, 1).Change.Count; got != 3 {
		t.Errorf("count %d after three windows", got)
	}
}

// testForbidden asserts what no caller should: it is refused, and the batch's
// neighbours are not.
func testForbidden(t *testing.T, open Factory) {
	f := fixture(t, open)
	readers, likes := newTopic(t, "readers"), newTopic(t, "likes")
	for _, topic := range []tally.Topic{readers, topic(t, "default", "undeclared", "x")} {
		if err := tryApply(f.Instance, topic, assert(1, 1)); err == nil {
			t.Errorf("a write to %s was accepted", topic)
		}
	}
	if got := apply(t, f.Instance, likes, assert(1, 1)); got.Count != 1 {
		t.Errorf("count %d, want 1", got.Count)
	}
	if got := read(t, f.Instance, readers, 1); got.Change.Count != 0 || got.Mine != 0 {
		t.Errorf("read %v of a topic that cannot be written", got)
	}
}

// testUnknownTopic shows that reading is not making.
func testUnknownTopic(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, metric := range []string{"likes", "claps", "visitors", "days", "readers"} {
		topic := newTopic(t, metric)
		recorders[0].watch(t, f.Instance, topic)
		for range 2 {
			if got, want := read(t, f.Instance, topic, 5), (tally.Reading{Change: tally.Change{Topic: topic}}); got != want {
				t.Errorf("read %v, want %v", got, want)
			}
		}
		if metric == "readers" {
			continue
		}
		if got := apply(t, f.Instance, topic, tally.Write{Member: 5, Amount: 1}); !got.Writes[0].WouldCreate || got.Version != 0 {
			t.Errorf("%s existed after it was only read and watched: %+v", topic, got)
		}
		top, err := f.Instance.Top(answerContext(t), "default", metric, 100)
		if err != nil || len(top) != 0 {
			t.Errorf("top of %s is %v, error %v; want nothing", metric, top, err)
		}
	}
	if got := f.Instance.Read(answerContext(t), nil); len(got) != 0 {
		t.Errorf("no queries gave %v", got)
	}
	f.Instance.Apply(answerContext(t), nil)
	if err := f.Instance.Reissue(answerContext(t), nil); err != nil {
		t.Errorf("reissue of nothing: %v", err)
	}
}

// testKeys takes keys that mean something to somebody on the way through all of
// it: writing, reading, publishing, the order of counts.
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
			r.watch(t, f.instances()[i], topic)
		}
		// Different counts, so that none is taken for another.
		var writes []tally.Write
		for member := range i + 1 {
			writes = append(writes, assert(tally.Member(1+member), 1))
		}
		got := apply(t, f.Instance, topic, writes...)
		want := tally.Change{Topic: topic, Count: int64(i + 1), Version: got.Version}
		for i, r := range recorders {
			r.reaches(t, want)
			if got := read(t, f.instances()[i], topic, 1); got != (tally.Reading{Change: want, Mine: 1}) {
				t.Errorf("read %v, want %v", got, want)
			}
			if parsed, err := tally.ParseFrame(topic, tally.AppendFrame(nil, r.heldOf(topic))); err != nil || parsed != want {
				t.Errorf("its frame is read as %v, error %v", parsed, err)
			}
		}
		topReaches(t, f.other(), "blog", "likes", 1, []tally.Change{want})
	}
}

// testRepeats applies the same batch again and again, as after lost answers.
func testRepeats(t *testing.T, open Factory) {
	f := fixture(t, open)
	for _, metric := range []string{"likes", "claps", "visitors", "days"} {
		topic := newTopic(t, metric)
		first := apply(t, f.Instance, topic, assert(1, 1), assert(2, 1), assert(3, 1))
		for range 3 {
			again := apply(t, f.other(), topic, assert(1, 1), assert(2, 1), assert(3, 1))
			for i, w := range again.Writes {
				if w.Changed || w.Created {
					t.Errorf("%s: write %d changed something when it was repeated", metric, i)
				}
			}
			if again.Count != 3 || again.Version != first.Version {
				t.Errorf("%s: %d at version %d, first 3 at %d", metric, again.Count, again.Version, first.Version)
			}
		}
	}
}

// testDeadline calls with a context that has ended: each answers at once that the
// store is unavailable, and nothing was done.
func testDeadline(t *testing.T, open Factory) {
	f := fixture(t, open)
	r := runAll(t, f)[0]
	likes, readers := newTopic(t, "likes"), newTopic(t, "readers")
	r.watch(t, f.Instance, likes)
	r.watch(t, f.Instance, readers)
	before := apply(t, f.Instance, likes, assert(1, 1))

	ended, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	unavailable := func(what string, err error) {
		t.Helper()
		var coded *tally.Error
		if !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable {
			t.Errorf("%s after the deadline: %v; want %s", what, err, tally.CodeStoreUnavailable)
		}
	}
	batches := []tally.Batch{{Topic: likes, Writes: []tally.Write{assert(2, 1)}}}
	f.Instance.Apply(ended, batches)
	unavailable("Apply", batches[0].Err)
	for _, reading := range f.Instance.Read(ended, []tally.Query{{Topic: likes}, {Topic: newTopic(t, "likes")}}) {
		unavailable("Read", reading.Err)
	}
	unavailable("Reissue", f.Instance.Reissue(ended, []tally.Change{{Topic: likes, Count: 7, Version: before.Version + 1}}))
	unavailable("SetShares", f.Instance.SetShares(ended, time.Minute, []tally.Share{{Topic: readers, Pages: 3}}))
	_, err := f.Instance.Top(ended, "default", "likes", 10)
	unavailable("Top", err)

	time.Sleep(quiet) // what must not happen has no condition to wait for
	want := tally.Change{Topic: likes, Count: 1, Version: before.Version}
	if got := read(t, f.Instance, likes, 2); got != (tally.Reading{Change: want}) {
		t.Errorf("after calls that were too late: %v, want %v", got, want)
	}
	if got := read(t, f.Instance, readers, 0).Change.Count; got != 0 {
		t.Errorf("%d are present after a call that was too late", got)
	}
	if after := apply(t, f.Instance, likes, assert(2, 1)); after.Count != 2 {
		t.Errorf("count %d, want 2: the store did not go on", after.Count)
	}
}

// testClockBack moves the store's clock back an hour: versions go on growing.
func testClockBack(t *testing.T, open Factory) {
	f := fixture(t, open)
	if f.Advance == nil {
		return // its clock is the machine's; the fault tests move what can be moved
	}
	topic := newTopic(t, "likes")
	last := apply(t, f.Instance, topic, assert(1, 1)).Version
	f.Advance(-time.Hour)
	defer f.Advance(time.Hour)
	for i := range 3 {
		version := apply(t, f.Instance, topic, assert(tally.Member(10+i), 1)).Version
		if version != last+1 {
			t.Errorf("version %d after %d, with the clock an hour back", version, last)
		}
		last = version
	}
	f.Advance(2 * time.Hour)
	defer f.Advance(-2 * time.Hour)
	if version := apply(t, f.Instance, topic, assert(20, 1)).Version; version < last+int64(50*time.Minute/time.Microsecond) {
		t.Errorf("version %d does not follow the clock", version)
	}
}

// testSecret compares what the instances hold, before and after.
func testSecret(t *testing.T, open Factory) {
	f := fixture(t, open)
	first, err := f.Instance.Secret()
	if err != nil || len(first) < 16 {
		t.Fatalf("a secret of %d bytes was made, error %v", len(first), err)
	}
	same := func(who string, store tally.Store) {
		t.Helper()
		if secret, err := store.Secret(); err != nil || string(secret) != string(first) {
			t.Errorf("%s has another secret, error %v", who, err)
		}
		if health := store.Health(); !health.Reached || health.Err != nil || health.Conflict != nil {
			t.Errorf("%s: health %+v", who, health)
		}
	}
	same("the other instance", f.other())
	if f.Reopen != nil {
		same("the reopened store", f.Reopen(t))
	}
	given := []byte("a secret of the operator's own choosing")
	f = open(t, Options{Catalog: catalog(), Secret: given})
	if secret, err := f.other().Secret(); err != nil || string(secret) != string(given) {
		t.Errorf("the secret that was given became %q, error %v", secret, err)
	}
}

// testReopen closes and opens again: all is there, and goes on.
func testReopen(t *testing.T, open Factory) {
	f := fixture(t, open)
	if f.Reopen == nil {
		return
	}
	want := map[tally.Topic]tally.Batch{}
	for _, metric := range []string{"likes", "claps", "visitors", "days"} {
		topic := newTopic(t, metric)
		want[topic] = apply(t, f.Instance, topic, assert(1, 1), assert(1<<63+9, 1))
	}
	again := f.Reopen(t)
	for topic, before := range want {
		got := read(t, again, topic, 1<<63+9)
		if got.Change != (tally.Change{Topic: topic, Count: 2, Version: before.Version}) || got.Mine != 1 {
			t.Errorf("read %v after reopening, want 2 at version %d and mine 1", got, before.Version)
		}
		after := apply(t, again, topic, assert(1, 1), assert(3, 1))
		if after.Writes[0].Changed || !after.Writes[1].Changed || after.Count != 3 || after.Version <= before.Version {
			t.Errorf("after reopening a repeated and a new write made %+v", after)
		}
	}
}
