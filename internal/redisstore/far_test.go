package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A like does not wait for the replies to others if the store is far: several batches are in
// flight. The test repeats because likes fail if the machine is too busy to send all of them before
// the deadline of the first.
func TestApply_FarStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.StartProxy(t, server.Addr)
	proxy.Delay(15 * time.Millisecond) // a round trip is 15 gaps
	prefix := newPrefix()
	store := storeConfig{url: "redis://" + proxy.Addr}.connect(t, catalog(), prefix)
	service := tally.NewService(store, catalog())
	const inFlight = 8
	attempt, executed := 0, 0
	processtest.Eventually(t, fmt.Sprint(inFlight, " likes are in flight"), func() bool {
		attempt++
		page := topic(t, fmt.Sprint("default/likes/page-", attempt))
		// The store reads settings and the clock with the first like, and opens connections.
		_, err := service.Assert(t.Context(), tally.Assertion{Topic: page, Visitor: "first-visitor", Amount: 1, MayCreate: true})
		if calls, _ := store.Window(store.Lane(page), 2); err != nil || calls < inFlight {
			return false
		}
		executed = executedWithoutReplies(t, server, proxy, service, prefix, page, inFlight)
		return executed == inFlight
	})
	t.Logf("%d likes in attempt %d", executed, attempt)
}

// executedWithoutReplies sends n likes of a topic, each after Redis executed the one before. The
// proxy holds all replies until one is not executed, or one ends. It returns how many likes Redis
// executed.
func executedWithoutReplies(t *testing.T, server *redistest.Server, proxy *redistest.Proxy, service *tally.Service, prefix string, page tally.Topic, n int) (executed int) {
	count := func() any { return server.Do("HGET", prefix+":{"+page.String()+"}:count", "n") }
	var likes sync.WaitGroup
	defer likes.Wait()
	var ended atomic.Bool
	proxy.Hold(func() {
		for ; executed < n; executed++ {
			like, before := tally.Assertion{Topic: page, Visitor: fmt.Sprint("visitor-", executed), Amount: 1, MayCreate: true}, count()
			likes.Go(func() { // ends by its deadline
				_, _ = service.Assert(context.Background(), like)
				ended.Store(true)
			})
			if !processtest.Await(time.Second, func() bool { return ended.Load() || count() != before }) || ended.Load() {
				return
			}
		}
	})
	return executed
}
