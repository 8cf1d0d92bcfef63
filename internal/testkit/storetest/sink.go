package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// recorder is a [tally.Sink] that holds the newest value of each topic, as the
// hub does, and notes all that it was told.
type recorder struct {
	name string

	mu       sync.Mutex
	held     map[tally.Topic]tally.Change
	pushed   map[tally.Topic][]tally.Change // in the order of their coming
	settled  map[tally.Topic]int
	live     bool
	received []string
}

func newRecorder(name string) *recorder {
	return &recorder{
		name:    name,
		held:    map[tally.Topic]tally.Change{},
		pushed:  map[tally.Topic][]tally.Change{},
		settled: map[tally.Topic]int{},
	}
}

// mergeLocked keeps the newest.
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
	r.pushed[change.Topic] = append(r.pushed[change.Topic], change)
	r.mergeLocked(change)
}

func (r *recorder) Settle(read tally.Change) tally.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled[read.Topic]++
	return r.mergeLocked(read)
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

// pushes returns what was pushed of topic.
func (r *recorder) pushes(topic tally.Topic) []tally.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]tally.Change(nil), r.pushed[topic]...)
}

// hold makes the recorder hold a value that no store told it, as after a store
// lost its newest writes.
func (r *recorder) hold(change tally.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[change.Topic] = change
}

// run runs the instance's feed into a new recorder until the test ends.
func run(t testing.TB, name string, instance Instance) *recorder {
	t.Helper()
	r := newRecorder(name)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx, and the cleanup waits for it
		defer close(done)
		if err := instance.Run(ctx, r, r.receive); err != nil && ctx.Err() == nil {
			t.Errorf("%s: Run ended: %v", name, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// runAll runs the feed of each instance.
func runAll(t testing.TB, f *Fixture) []*recorder {
	t.Helper()
	var recorders []*recorder
	for i, instance := range f.instances() {
		recorders = append(recorders, run(t, fmt.Sprintf("instance %d", i+1), instance))
	}
	return recorders
}

// watch has instance watch topic and waits until the recorder knows its state.
func (r *recorder) watch(t tester, instance Instance, topic tally.Topic) {
	t.Helper()
	before := r.settles(topic)
	instance.Watch(topic)
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

// grows fails t unless each push of topic is newer than the one before: none came
// twice, none out of its order.
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
