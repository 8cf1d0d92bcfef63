package presence

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recordingStore keeps the shares that it was last given. They never expire.
type recordingStore struct {
	mu     sync.Mutex
	err    error
	shares map[tally.Topic]int64
	lasts  map[tally.Topic]bool // shares that may begin a history
	calls  int
	onZero func() // called once, while the store takes a share of 0; may be nil
}

// never forbids a page to begin a history.
func never() bool { return false }

func (s *recordingStore) SetShares(_ context.Context, _ time.Duration, shares []tally.Share) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return s.err
	}
	for _, share := range shares {
		s.shares[share.Topic] = share.Pages
		if share.MayRecord {
			s.lasts[share.Topic] = true
		}
		if share.Pages == 0 && s.onZero != nil {
			s.onZero()
			s.onZero = nil
		}
	}
	return nil
}

func (s *recordingStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// expire removes all shares, like the end of their leases.
func (s *recordingStore) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.shares)
}

// expect compares the shares in the store.
func (s *recordingStore) expect(t *testing.T, want map[tally.Topic]int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(s.shares, want) {
		t.Errorf("shares %v, want %v", s.shares, want)
	}
}

func topicOf(t *testing.T, key string) tally.Topic {
	t.Helper()
	topic, err := tally.NewTopic("default", "readers", key)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// run calls test while a Tracker of at most two topics runs in a bubble.
func run(t *testing.T, test func(*testing.T, *Tracker, *recordingStore)) {
	synctest.Test(t, func(t *testing.T) {
		store := &recordingStore{shares: map[tally.Topic]int64{}, lasts: map[tally.Topic]bool{}}
		tracker := New(store, 2)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = tracker.Run(ctx) })
		test(t, tracker, store)
		stop()
		running.Wait()
		for topic, pages := range store.shares {
			if pages != 0 {
				t.Errorf("%s keeps %d pages after the end", topic, pages)
			}
		}
	})
}

func TestTracker_LeaveDelay(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a := topicOf(t, "a")
		tracker.Enter(a, never)
		tracker.Enter(a, never)
		time.Sleep(2 * batchInterval)
		store.expect(t, map[tally.Topic]int64{a: 2})
		tracker.Leave(a)
		time.Sleep(leaveDelay - batchInterval)
		store.expect(t, map[tally.Topic]int64{a: 2})
		time.Sleep(3 * batchInterval)
		store.expect(t, map[tally.Topic]int64{a: 1})
		// The count does not fall to 0 during a reload.
		tracker.Leave(a)
		time.Sleep(leaveDelay - 2*batchInterval)
		tracker.Enter(a, never)
		time.Sleep(3 * batchInterval / 2)
		store.expect(t, map[tally.Topic]int64{a: 2})
		time.Sleep(leaveDelay)
		store.expect(t, map[tally.Topic]int64{a: 1})
	})
}

// A page that returns while the store takes the share of 0 is counted.
func TestTracker_ReturnWhileStored(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a := topicOf(t, "a")
		store.onZero = func() { tracker.Enter(a, never) }
		tracker.Enter(a, never)
		tracker.Leave(a)
		time.Sleep(leaveDelay + 3*batchInterval)
		store.expect(t, map[tally.Topic]int64{a: 1})
	})
}

func TestTracker_Renewal(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a := topicOf(t, "a")
		tracker.Enter(a, never)
		time.Sleep(2 * batchInterval)
		store.expire()
		time.Sleep(renewInterval)
		store.expect(t, map[tally.Topic]int64{a: 1})
	})
}

// A share that the store refused is set again with the next renewal.
func TestTracker_StoreFails(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a := topicOf(t, "a")
		store.fail(errors.New("away"))
		tracker.Enter(a, never)
		time.Sleep(2 * batchInterval)
		if got := tracker.failures.Load(); got != 1 {
			t.Errorf("%d failures counted, want 1", got)
		}
		store.fail(nil)
		time.Sleep(renewInterval)
		store.expect(t, map[tally.Topic]int64{a: 1})
	})
}

// A topic counts towards the limit until the store knows that its pages left.
func TestTracker_MaxTopics(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a, b, c := topicOf(t, "a"), topicOf(t, "b"), topicOf(t, "c")
		for topic, want := range map[tally.Topic]bool{a: true, b: true} {
			if tracker.Enter(topic, never) != want {
				t.Errorf("Enter(%s) returned %v", topic, !want)
			}
		}
		if tracker.Enter(c, never) || !tracker.Enter(a, never) {
			t.Error("the third topic was taken, or the first was refused")
		}
		time.Sleep(2 * batchInterval)
		tracker.Leave(b)
		time.Sleep(leaveDelay + 3*batchInterval)
		if !tracker.Enter(c, never) {
			t.Error("the topic was refused after another one was left")
		}
	})
}

// A share may begin the history of its topic if one of its pages may. The others are not asked.
func TestTracker_MayRecord(t *testing.T) {
	run(t, func(t *testing.T, tracker *Tracker, store *recordingStore) {
		a, b := topicOf(t, "a"), topicOf(t, "b")
		asked := 0
		for _, answer := range []bool{false, true, true} {
			tracker.Enter(a, func() bool { asked++; return answer })
		}
		tracker.Enter(b, never)
		time.Sleep(2 * batchInterval)
		store.mu.Lock()
		defer store.mu.Unlock()
		if asked != 2 || !store.lasts[a] || store.lasts[b] {
			t.Errorf("%d pages were asked; the shares that may are %v", asked, store.lasts)
		}
	})
}
