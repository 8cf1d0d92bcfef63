package owner_test

import (
	"context"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// run runs an owner service until stop is called.
func run(t testing.TB, service interface{ Run(context.Context) error }) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; stop waits for it
		defer close(done)
		if err := service.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return sync.OnceFunc(func() { cancel(); <-done })
}

// viewer is a sink that keeps the newest value of each topic, as a page does.
type viewer struct {
	mu   sync.Mutex
	held map[tally.Topic]tally.Change
	live bool
}

func (v *viewer) take(change tally.Change) tally.Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	held, ok := v.held[change.Topic]
	if ok && held.Version >= change.Version {
		return held
	}
	v.held[change.Topic] = change
	return change
}

func (v *viewer) Push(change tally.Change)                  { v.take(change) }
func (v *viewer) Settle(read tally.Change) tally.Change     { return v.take(read) }
func (v *viewer) Newest(t tally.Topic) (tally.Change, bool) { return v.shown(t), true }
func (v *viewer) Stale()                                    { v.setLive(false) }
func (v *viewer) Live()                                     { v.setLive(true) }
func (v *viewer) shown(topic tally.Topic) (c tally.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held[topic]
}
func (v *viewer) setLive(live bool) { v.mu.Lock(); defer v.mu.Unlock(); v.live = live }
func (v *viewer) isLive() bool      { v.mu.Lock(); defer v.mu.Unlock(); return v.live }

// watch lets a viewer watch the topics until the test ends.
func watch(t testing.TB, feed tally.Feed, topics ...tally.Topic) *viewer {
	t.Helper()
	v := &viewer{held: map[tally.Topic]tally.Change{}}
	for _, topic := range topics {
		feed.Watch(topic)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		if err := feed.Run(ctx, v, func([]byte) {}); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	processtest.Eventually(t, "the feed is live", v.isLive)
	return v
}

// waitForStored waits until the viewer shows the stored counts.
func (v *viewer) waitForStored(t testing.TB, store tally.Reader, topics ...tally.Topic) {
	t.Helper()
	for _, topic := range topics {
		var stored tally.Change
		processtest.Eventually(t, "the viewer of "+topic.String()+" shows the stored count", func() bool {
			reading := store.Read(context.Background(), []tally.Query{{Topic: topic}})[0]
			if reading.Err != nil {
				t.Fatal(reading.Err)
			}
			stored = reading.Change
			return v.shown(topic).Count == stored.Count
		})
	}
}
