package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
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

// viewer is a sink that holds the newest value of each topic, as the hub does, and
// notes in what order it heard what matters.
type viewer struct {
	mu     sync.Mutex
	held   map[tally.Topic]tally.Change
	heard  []string // stale, live
	pushes int
}

func newViewer() *viewer { return &viewer{held: map[tally.Topic]tally.Change{}} }

func (v *viewer) merge(change tally.Change) tally.Change {
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
	v.merge(change)
}

func (v *viewer) Settle(read tally.Change) tally.Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.merge(read)
}

func (v *viewer) Stale() { v.say("stale") }
func (v *viewer) Live()  { v.say("live") }

func (v *viewer) say(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard = append(v.heard, what)
}

func (v *viewer) of(topic tally.Topic) tally.Change {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held[topic]
}

// said returns how often the viewer heard what.
func (v *viewer) said(what string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range v.heard {
		if h == what {
			n++
		}
	}
	return n
}

func (v *viewer) isLive() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.heard) > 0 && v.heard[len(v.heard)-1] == "live"
}

// watching runs the store's feed into a viewer that watches the topics, until the
// test ends, and waits until it is live.
func watching(t testing.TB, store *redisstore.Store, topics ...tally.Topic) *viewer {
	t.Helper()
	v := newViewer()
	for _, topic := range topics {
		store.Watch(topic)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		if err := store.Run(ctx, v, func([]byte) {}); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "the feed is live", v.isLive)
	return v
}

func eventually(t testing.TB, what string, met func() bool) {
	t.Helper()
	within(t, patience, what, met)
}

func within(t testing.TB, limit time.Duration, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !met(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// try asserts that the members contribute amount, each in a write of one batch.
func try(store tally.Store, limit time.Duration, topic tally.Topic, amount int64, members ...tally.Member) tally.Batch {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	batches := []tally.Batch{{Topic: topic}}
	for _, member := range members {
		batches[0].Writes = append(batches[0].Writes, tally.Write{Member: member, Amount: amount, MayCreate: true})
	}
	store.Apply(ctx, batches)
	return batches[0]
}

// like is try with 1, and must succeed.
func like(t testing.TB, store tally.Store, topic tally.Topic, members ...tally.Member) tally.Change {
	t.Helper()
	b := try(store, patience, topic, 1, members...)
	if b.Err != nil {
		t.Fatalf("like %s: %v", topic, b.Err)
	}
	return tally.Change{Topic: topic, Count: b.Count, Version: b.Version}
}

func read(t testing.TB, store tally.Store, topic tally.Topic, member tally.Member) tally.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := store.Read(ctx, []tally.Query{{Topic: topic, Member: member}})[0]
	if r.Err != nil {
		t.Fatalf("read %s: %v", topic, r.Err)
	}
	return r
}

// converges waits until the viewer is live and holds what is stored, which is count.
func (v *viewer) converges(t testing.TB, store tally.Store, topic tally.Topic, count int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the viewer of %s is live and shows %d", topic, count), func() bool {
		return v.isLive() && v.of(topic).Count == count
	})
	if stored := read(t, store, topic, 0).Change; v.of(topic) != stored {
		t.Errorf("the viewer holds %v, stored is %v", v.of(topic), stored)
	}
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
