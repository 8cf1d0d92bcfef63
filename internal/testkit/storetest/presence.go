package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// longLease is a lease that no test meets the end of.
const longLease = time.Minute

func setShare(t *testing.T, store tally.Store, ttl time.Duration, topic tally.Topic, pages int64) {
	t.Helper()
	if err := store.SetShares(answerContext(t), ttl, []tally.Share{{Topic: topic, Pages: pages}}); err != nil {
		t.Fatalf("set a share of %d in %s: %v", pages, topic, err)
	}
}

// present waits until all instances read and hold count, and returns the version.
func present(t *testing.T, f *Fixture, recorders []*recorder, topic tally.Topic, count int64) int64 {
	t.Helper()
	for _, store := range f.instances() {
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
	return read(t, f.Instance, topic, 0).Change.Version
}

// testPresence adds the shares of the instances.
func testPresence(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic, other := newTopic(t, "readers"), newTopic(t, "readers")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	setShare(t, f.Instance, longLease, other, 7) // another topic's shares are its own
	setShare(t, f.Instance, longLease, topic, 0) // nothing comes of nothing
	setShare(t, f.Instance, longLease, topic, 3)
	first := present(t, f, recorders, topic, 3)
	if first == 0 {
		t.Errorf("version 0 though somebody is present")
	}
	setShare(t, f.Instance, longLease, topic, 3) // the same again is no change
	time.Sleep(quiet)
	if again := present(t, f, recorders, topic, 3); again != first {
		t.Errorf("the same share again took the version from %d to %d", first, again)
	}
	for _, r := range recorders {
		if n := len(r.pushes(topic)); n != 1 {
			t.Errorf("%s: %d pushes of one change: %v", r.name, n, r.pushes(topic))
		}
	}
	sum := int64(5)
	setShare(t, f.Instance, longLease, topic, 5)
	if f.Second != nil {
		setShare(t, f.Second, longLease, topic, 2)
		sum = 7
	}
	second := present(t, f, recorders, topic, sum)
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	setShare(t, f.Instance, longLease, topic, 0) // withdrawn
	third := present(t, f, recorders, topic, sum-5)
	if f.Second != nil {
		setShare(t, f.Second, longLease, topic, 0)
		third = present(t, f, recorders, topic, 0)
	}
	if third <= second {
		t.Errorf("version %d after %d", third, second)
	}
	setShare(t, f.Instance, longLease, topic, 1) // versions go on above
	if fourth := present(t, f, recorders, topic, 1); fourth <= third {
		t.Errorf("version %d after %d", fourth, third)
	}
	present(t, f, nil, other, 7)
}

// testPresenceLease lets leases end.
func testPresenceLease(t *testing.T, open Factory) {
	const lease = 300 * time.Millisecond
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "readers")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	set := time.Now()
	setShare(t, f.other(), lease, topic, 4)
	// Held again before it ends, it goes on: for longer than one lease.
	for time.Since(set) < 3*lease {
		began := time.Now()
		setShare(t, f.other(), lease, topic, 4)
		if got := read(t, f.Instance, topic, 0).Change.Count; got != 4 && time.Since(began) < lease {
			t.Fatalf("%d present, though the share was set again in time", got)
		}
		time.Sleep(lease / 10)
	}
	if f.Second == nil {
		present(t, f, recorders, topic, 0)
		return
	}
	// The other instance is gone; any that still is drops and publishes it.
	setShare(t, f.Instance, longLease, topic, 2)
	eventually(t, func() bool {
		setShare(t, f.Instance, longLease, topic, 2)
		return read(t, f.Instance, topic, 0).Change.Count == 2
	}, func() string { return fmt.Sprintf("%v long after the lease's end", read(t, f.Instance, topic, 0)) })
	present(t, f, recorders, topic, 2)
}

// testPresenceReissue is testReissue for what leases hold.
func testPresenceReissue(t *testing.T, open Factory) {
	f := fixture(t, open)
	recorders := runAll(t, f)
	for _, test := range reissueTests {
		t.Run(test.name, func(t *testing.T) {
			topic := newTopic(t, "readers")
			for i, r := range recorders {
				r.watch(t, f.instances()[i], topic)
			}
			setShare(t, f.Instance, longLease, topic, 2)
			present(t, f, recorders, topic, 2)
			stored := read(t, f.Instance, topic, 0).Change
			held := tally.Change{Topic: topic, Count: test.count, Version: stored.Version + test.version}
			if err := f.other().Reissue(answerContext(t), []tally.Change{held}); err != nil {
				t.Fatal(err)
			}
			checkReissued(t, f, recorders, stored, held, test.reissued)
		})
	}
}
