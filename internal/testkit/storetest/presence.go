package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// longLease is longer than any test.
const longLease = time.Minute

func setShare(t *testing.T, store tally.PresenceStore, ttl time.Duration, topic tally.Topic, pages int64) {
	t.Helper()
	if err := store.SetShares(callContext(t), ttl, []tally.Share{{Topic: topic, Pages: pages}}); err != nil {
		t.Fatalf("set a share of %d in %s: %v", pages, topic, err)
	}
}

// present waits until all stores read and all recorders hold count, and returns the version.
func present(t *testing.T, f *Fixture, recorders []*recorder, topic tally.Topic, count int64) int64 {
	t.Helper()
	for _, store := range f.stores() {
		eventually(t, func() bool { return read(t, store, topic, 0).Change.Count == count }, func() string {
			return fmt.Sprintf("%v is read, want %d present", read(t, store, topic, 0).Change, count)
		})
	}
	for _, r := range recorders {
		eventually(t, func() bool { return r.heldOf(topic).Count == count }, func() string {
			return fmt.Sprintf("%s holds %v, want %d present", r.name, r.heldOf(topic), count)
		})
		r.grows(t, topic)
	}
	return read(t, f.First, topic, 0).Change.Version
}

// testPresence adds the shares of all stores.
func testPresence(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic, other := newTopic(t, "readers"), newTopic(t, "readers")
	for i, r := range recorders {
		r.watch(t, f.stores()[i], topic)
	}
	setShare(t, f.First, longLease, other, 7) // of another topic
	setShare(t, f.First, longLease, topic, 0) // creates nothing
	setShare(t, f.First, longLease, topic, 3)
	first := present(t, f, recorders, topic, 3)
	if first == 0 {
		t.Error("version 0 of a topic with readers")
	}
	setShare(t, f.First, longLease, topic, 3) // changes nothing
	if again := present(t, f, recorders, topic, 3); again != first {
		t.Errorf("the same share took the version from %d to %d", first, again)
	}
	sum := int64(5)
	setShare(t, f.First, longLease, topic, 5)
	if f.Second != nil {
		setShare(t, f.Second, longLease, topic, 2)
		sum = 7
	}
	second := present(t, f, recorders, topic, sum)
	for _, r := range recorders {
		// The share that changed nothing caused no push before the next change.
		if got := r.pushes(topic); len(got) < 2 || got[0].Count != 3 || got[1].Count == 3 {
			t.Errorf("%s: pushed %v", r.name, got)
		}
	}
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	setShare(t, f.First, longLease, topic, 0) // withdraws it
	third := present(t, f, recorders, topic, sum-5)
	if f.Second != nil {
		setShare(t, f.Second, longLease, topic, 0)
		third = present(t, f, recorders, topic, 0)
	}
	if third <= second {
		t.Errorf("version %d after %d", third, second)
	}
	setShare(t, f.First, longLease, topic, 1) // under a version above
	if fourth := present(t, f, recorders, topic, 1); fourth <= third {
		t.Errorf("version %d after %d", fourth, third)
	}
	present(t, f, nil, other, 7)
}

// testPresenceLease renews a lease, and then lets it end.
func testPresenceLease(t *testing.T, open Factory) {
	const lease = 150 * time.Millisecond
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "readers")
	for i, r := range recorders {
		r.watch(t, f.stores()[i], topic)
	}
	set := time.Now()
	setShare(t, f.other(), lease, topic, 4)
	// Renewed in time, it lasts longer than one lease.
	for time.Since(set) < 3*lease {
		began := time.Now()
		setShare(t, f.other(), lease, topic, 4)
		if got := read(t, f.First, topic, 0).Change.Count; got != 4 && time.Since(began) < lease {
			t.Fatalf("%d present, though the share was renewed in time", got)
		}
		time.Sleep(lease / 10)
	}
	if f.Second == nil {
		present(t, f, recorders, topic, 0)
		return
	}
	// The other instance has ended; another one publishes the end of its share.
	setShare(t, f.First, longLease, topic, 2)
	eventually(t, func() bool {
		setShare(t, f.First, longLease, topic, 2)
		return read(t, f.First, topic, 0).Change.Count == 2
	}, func() string { return fmt.Sprintf("%v long after the lease's end", read(t, f.First, topic, 0)) })
	present(t, f, recorders, topic, 2)
}
