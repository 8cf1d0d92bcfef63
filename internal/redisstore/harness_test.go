package redisstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func catalog() *tally.Catalog { return tally.NewCatalog(nil, tally.DefaultMetrics()) }

func topic(t testing.TB, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// viewer is a sink that keeps the newest value of each topic, as the hub does, and records
// the events "stale" and "live".
type viewer struct {
	mu      sync.Mutex
	held    map[tally.Topic]tally.Change
	settled map[tally.Topic]int // how often
	events  []string
	pushes  int
}

func (v *viewer) mergeLocked(change tally.Change) tally.Change {
	if held, ok := v.held[change.Topic]; ok && held.Version >= change.Version {
		return held
	}
	v.held[change.Topic] = change
	return change
}

func (v *viewer) Push(change tally.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pushes++
	v.mergeLocked(change)
}

func (v *viewer) Settle(read tally.Change) tally.Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settled[read.Topic]++
	return v.mergeLocked(read)
}

func (v *viewer) Newest(topic tally.Topic) (tally.Change, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	held, ok := v.held[topic]
	return held, ok
}

// settles returns how often the topic was read.
func (v *viewer) settles(topic tally.Topic) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.settled[topic]
}

func (v *viewer) Stale() { v.record("stale") }
func (v *viewer) Live()  { v.record("live") }

func (v *viewer) record(event string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, event)
}

func (v *viewer) shown(topic tally.Topic) tally.Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held[topic]
}

// wasStale reports whether the viewer ever got stale.
func (v *viewer) wasStale() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Contains(v.events, "stale")
}

func (v *viewer) isLive() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.events) > 0 && v.events[len(v.events)-1] == "live"
}

// waitFor waits until the viewer is live and shows count, and checks that this is stored.
func (v *viewer) waitFor(t testing.TB, store tally.Store, topic tally.Topic, count int64) {
	t.Helper()
	processtest.Eventually(t, fmt.Sprintf("the viewer of %s is live and shows %d", topic, count), func() bool {
		return v.isLive() && v.shown(topic).Count == count
	})
	if stored := read(t, store, topic, 0).Change; v.shown(topic) != stored {
		t.Errorf("the viewer holds %v, stored is %v", v.shown(topic), stored)
	}
}

// startFeed runs the store's feed into a new viewer until the test ends.
func startFeed(t testing.TB, store *redisstore.Store) *viewer {
	v := &viewer{held: map[tally.Topic]tally.Change{}, settled: map[tally.Topic]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		if err := store.Run(ctx, v, func([]byte) {}); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return v
}

// watch watches the topics with a new viewer until the test ends, and waits until it is
// live.
func watch(t testing.TB, store *redisstore.Store, topics ...tally.Topic) *viewer {
	t.Helper()
	for _, topic := range topics {
		store.Watch(topic)
	}
	v := startFeed(t, store)
	processtest.Eventually(t, "the feed is live", v.isLive)
	return v
}

// assertAll asserts that the members contribute amount, each in a write of one batch.
func assertAll(store tally.Store, limit time.Duration, topic tally.Topic, amount int64, members ...tally.Member) tally.Batch {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	batches := []tally.Batch{{Topic: topic}}
	for _, member := range members {
		batches[0].Writes = append(batches[0].Writes, tally.Write{Member: member, Amount: amount, MayCreate: true})
	}
	store.Apply(ctx, batches)
	return batches[0]
}

// like asserts the amount 1, which must succeed.
func like(t testing.TB, store tally.Store, topic tally.Topic, members ...tally.Member) tally.Change {
	t.Helper()
	b := assertAll(store, processtest.Timeout, topic, 1, members...)
	if b.Err != nil {
		t.Fatalf("like %s: %v", topic, b.Err)
	}
	return tally.Change{Topic: topic, Count: b.Count, Version: b.Version}
}

func read(t testing.TB, store tally.Store, topic tally.Topic, member tally.Member) tally.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	r := store.Read(ctx, []tally.Query{{Topic: topic, Member: member}})[0]
	if r.Err != nil {
		t.Fatalf("read %s: %v", topic, r.Err)
	}
	return r
}

// metric returns a metric of the store; -1 if there is none of that name.
func metric(store *redisstore.Store, name string) int64 {
	for _, sample := range store.Metrics() {
		if sample.Name == name {
			return int64(sample.Value)
		}
	}
	return -1
}
