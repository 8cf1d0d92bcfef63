package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// recorder is a [tally.Sink] that holds the newest value of each topic, as the hub does, and
// records everything it receives.
type recorder struct {
	name string

	mu       sync.Mutex
	held     map[tally.Topic]tally.Change
	pushed   map[tally.Topic][]tally.Change // in order
	settled  map[tally.Topic]int
	live     bool
	received []string
	invalid  error // the first change whose options do not add up
}

func newRecorder(name string) *recorder {
	return &recorder{
		name:    name,
		held:    map[tally.Topic]tally.Change{},
		pushed:  map[tally.Topic][]tally.Change{},
		settled: map[tally.Topic]int{},
	}
}

// mergeLocked keeps the newer value and returns it.
func (r *recorder) mergeLocked(change tally.Change) tally.Change {
	held, ok := r.held[change.Topic]
	if !ok || change.Version > held.Version {
		held = change
		r.held[change.Topic] = held
	}
	return held
}

func (r *recorder) Push(change tally.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := addUp(change); err != nil && r.invalid == nil {
		r.invalid = err
	}
	r.pushed[change.Topic] = append(r.pushed[change.Topic], change)
	r.mergeLocked(change)
}

func (r *recorder) Settle(read tally.Change) tally.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled[read.Topic]++
	return r.mergeLocked(read)
}

func (r *recorder) Newest(topic tally.Topic) (tally.Change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, ok := r.held[topic]
	return held, ok
}

func (r *recorder) Stale() { r.setLive(false) }
func (r *recorder) Live()  { r.setLive(true) }

func (r *recorder) setLive(live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = live
}

func (r *recorder) receive(payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received = append(r.received, string(payload))
}

func (r *recorder) heldOf(topic tally.Topic) tally.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[topic]
}

func (r *recorder) settles(topic tally.Topic) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled[topic]
}

// pushes returns the pushed changes of topic.
func (r *recorder) pushes(topic tally.Topic) []tally.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]tally.Change(nil), r.pushed[topic]...)
}

// hold sets a value that the store does not have, as after it lost its newest writes.
func (r *recorder) hold(change tally.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[change.Topic] = change
}

// run delivers a store's feed to a new recorder until the test ends.
func run(t testing.TB, name string, store Store) *recorder {
	t.Helper()
	r := newRecorder(name)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx, and the cleanup waits for it
		defer close(done)
		if err := store.Run(ctx, r, r.receive); err != nil && ctx.Err() == nil {
			t.Errorf("%s: Run ended: %v", name, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if r.invalid != nil {
			t.Errorf("%s received %v", name, r.invalid)
		}
	})
	return r
}

// runAll runs the feed of each store.
func runAll(t testing.TB, f *Fixture) []*recorder {
	t.Helper()
	var recorders []*recorder
	for i, store := range f.stores() {
		recorders = append(recorders, run(t, fmt.Sprintf("store %d", i+1), store))
	}
	return recorders
}

// watch makes store watch topic and waits until the recorder has its state.
func (r *recorder) watch(t tester, store Store, topic tally.Topic) {
	t.Helper()
	before := r.settles(topic)
	store.Watch(topic)
	eventually(t, func() bool { return r.settles(topic) > before }, func() string {
		return fmt.Sprintf("%s did not settle %s after Watch", r.name, topic)
	})
}

// reaches waits until the recorder holds want.
func (r *recorder) reaches(t tester, want tally.Change) {
	t.Helper()
	eventually(t, func() bool { return r.heldOf(want.Topic) == want }, func() string {
		return fmt.Sprintf("%s holds %v, want %v", r.name, r.heldOf(want.Topic), want)
	})
}

// grows checks that each push of topic is newer than the one before.
func (r *recorder) grows(t tester, topic tally.Topic) {
	t.Helper()
	var last int64
	for i, change := range r.pushes(topic) {
		if change.Version <= last {
			t.Fatalf("%s: push %d of %s has version %d after %d", r.name, i, topic, change.Version, last)
		}
		last = change.Version
	}
}

// checkPushes checks that each recorder received exactly want of topic. It writes a marker
// to the topic, so that a push too many would come before that of the marker.
func checkPushes(t tester, store Store, recorders []*recorder, topic tally.Topic, want ...tally.Change) {
	t.Helper()
	got := apply(t, store, topic, assert(tally.Member(1<<40+topicNumber.Add(1)), 1))
	want = append(slices.Clone(want), got.Change())
	for _, r := range recorders {
		r.reaches(t, want[len(want)-1])
		if pushed := r.pushes(topic); !slices.Equal(pushed, want) {
			t.Fatalf("%s: pushed %v, want %v with the marker", r.name, pushed, want)
		}
	}
}
