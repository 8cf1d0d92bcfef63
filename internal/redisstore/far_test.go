package redisstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// oneBatch is a store without [tally.Distant]: one batch at a time is in flight.
type oneBatch struct{ tally.ServiceStore }

// likeFor likes one topic with so many likes in flight, and returns how long each took in the
// second half of the time.
func likeFor(t *testing.T, store tally.ServiceStore, name string, inFlight int, limit time.Duration) (took []time.Duration) {
	service := tally.NewService(store, catalog())
	if _, _, err := service.LoadSettings(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := topic(t, "default/likes/"+name)
	began := time.Now()
	var mu sync.Mutex
	var loops sync.WaitGroup
	for loop := range inFlight {
		loops.Go(func() { // ends after limit
			for n := 0; time.Since(began) < limit; n++ {
				sent := time.Now()
				_, err := service.Assert(context.Background(), tally.Assertion{Topic: page, Visitor: fmt.Sprintf("visitor-%d-%d", loop, n), Amount: 1, MayCreate: true})
				if err != nil {
					t.Error(err)
					return
				}
				if sent.Sub(began) > limit/2 {
					mu.Lock()
					took = append(took, time.Since(sent))
					mu.Unlock()
				}
			}
		})
	}
	loops.Wait()
	slices.Sort(took)
	return took
}

// With a far store several batches are in flight: a like takes little more than the round trip,
// and the store takes nearly twice as many likes in the same time as with one batch at a time.
func TestApply_FarStore(t *testing.T) {
	t.Parallel()
	inFlight, trip, limit := 64, 60*time.Millisecond, 1500*time.Millisecond
	if processtest.Long() {
		inFlight, trip, limit = 256, 150*time.Millisecond, 12*time.Second
	}
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.StartProxy(t, server.Addr)
	proxy.Delay(trip / 2)
	store := storeConfig{url: "redis://" + proxy.Addr}.connect(t, catalog(), newPrefix())
	of := func(took []time.Duration, percent int) float64 {
		return float64(took[len(took)*percent/100]) / float64(trip)
	}
	before := likeFor(t, oneBatch{store}, "before", inFlight, limit)
	var after []time.Duration
	for attempt := range 5 { // a busy machine takes long to connect
		after = likeFor(t, store, fmt.Sprint("after-", attempt), inFlight, limit)
		if len(before) == 0 || len(after) == 0 {
			t.Fatal("no likes")
		}
		t.Logf("round trip %s, %d in flight: before %d likes a second, p50 %.2f round trips, p99 %.2f; after %d, %.2f, %.2f", trip, inFlight,
			time.Duration(len(before))*time.Second/(limit/2), of(before, 50), of(before, 99),
			time.Duration(len(after))*time.Second/(limit/2), of(after, 50), of(after, 99))
		if len(after) >= len(before)*3/2 {
			return
		}
	}
	t.Errorf("%d likes, and %d with one batch at a time", len(after), len(before))
}
