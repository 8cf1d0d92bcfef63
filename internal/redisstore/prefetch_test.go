package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// farStore returns a store that is far, with a feed that is live, and the proxy in between.
func farStore(t *testing.T, server *redistest.Server, prefix string, delay time.Duration) (*redisstore.Store, *redistest.Proxy, *viewer) {
	t.Helper()
	proxy := redistest.StartProxy(t, server.Addr)
	proxy.Delay(delay)
	store := storeConfig{url: "redis://" + proxy.Addr}.connect(t, catalog(), prefix)
	v := startFeed(t, store)
	processtest.Eventually(t, "the feed is live", v.isLive)
	return store, proxy, v
}

// The first number of a page takes one round trip to a far store. The test repeats because other
// regular commands may end between.
func TestWatch_FarStore(t *testing.T) {
	t.Parallel()
	prefix := newPrefix()
	server := redistest.Start(t, redistest.Options{})
	near := storeConfig{url: server.URL(0)}.connect(t, catalog(), prefix)
	store, proxy, v := farStore(t, server, prefix, 25*time.Millisecond)
	least := 10
	for n := range 10 {
		page := topic(t, fmt.Sprintf("default/likes/%d", n))
		like(t, near, page, tally.Member(n+1))
		before := proxy.Rounds()
		store.Watch(page)
		processtest.Eventually(t, "the first number", func() bool { return v.shown(page).Count == 1 })
		if least = min(least, proxy.Rounds()-before); least <= 1 {
			break
		}
	}
	if least > 1 {
		t.Errorf("the first number takes %d round trips", least)
	}
}

// SUBSCRIBE arrives later than the read that was sent with it. A change between them is shown
// after the confirmation.
func TestWatch_FarStoreReadsFirst(t *testing.T) {
	t.Parallel()
	prefix := newPrefix()
	server := redistest.Start(t, redistest.Options{})
	near := storeConfig{url: server.URL(0)}.connect(t, catalog(), prefix)
	store, proxy, v := farStore(t, server, prefix, 10*time.Millisecond)
	proxy.DelayOnly(redistest.Flow{Direction: redistest.ToServer, Traffic: redistest.PubSub}, 300*time.Millisecond)
	page := topic(t, "default/likes/page")
	before := server.Calls("hmget")
	store.Watch(page)
	processtest.Eventually(t, "the read", func() bool { return server.Calls("hmget") != before })
	like(t, near, page, 1)
	processtest.Eventually(t, "the change", func() bool { return v.shown(page).Count == 1 })
}
