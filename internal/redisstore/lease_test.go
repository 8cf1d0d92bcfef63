package redisstore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// usageOf returns the usage of the only site.
func usageOf(t *testing.T, store *redisstore.Store, maxAge time.Duration) (tally.SiteUsage, tally.Usage) {
	usage, err := store.Usage(t.Context(), maxAge)
	if err != nil || len(usage.Sites) != 1 {
		t.Errorf("usage %+v: %v", usage, err)
		return tally.SiteUsage{}, usage
	}
	return usage.Sites[0], usage
}

// One instance measures the usage for all of them, and later ones use what it measured.
func TestUsage_OneInstanceMeasures(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	var stores []*redisstore.Store
	for range 4 {
		stores = append(stores, storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix))
	}
	like(t, stores[0], topic(t, "default/likes/page"), 1, 2)
	before := server.Calls("scan")
	var all sync.WaitGroup
	for _, store := range stores[:3] {
		all.Go(func() {
			if u, _ := usageOf(t, store, time.Hour); u.Contributions != 2 {
				t.Errorf("usage %+v", u)
			}
		})
	}
	all.Wait()
	like(t, stores[0], topic(t, "default/likes/page"), 3)
	if u, usage := usageOf(t, stores[3], time.Hour); u.Contributions != 2 || usage.Age > processtest.Timeout {
		t.Errorf("usage %+v, %+v", u, usage)
	}
	if n := server.Calls("scan") - before; n != 1 {
		t.Errorf("%d scans for 4 calls, want 1", n)
	}
	for i, maxAge := range []time.Duration{time.Nanosecond, 0} { // too old; not shared
		if u, _ := usageOf(t, stores[i], maxAge); u.Contributions != 3 {
			t.Errorf("with the maximum age %s: %+v", maxAge, u)
		}
	}
	if n := server.Calls("scan") - before; n != 3 {
		t.Errorf("%d scans, want 3", n)
	}
	server.Do("SET", prefix+":usage", "of another release")
	if u, _ := usageOf(t, stores[0], time.Hour); u.Contributions != 3 {
		t.Errorf("after nonsense: %+v", u)
	}
}

// If the instance that measures dies, another measures.
func TestUsage_HolderDies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	like(t, store, topic(t, "default/likes/page"), 1)
	lease := prefix + ":lease:usage"
	server.Do("SET", lease, "dead", "PX", 1500)
	before := server.Calls("scan")
	done := make(chan tally.SiteUsage)
	go func() { // ends with the lease
		u, _ := usageOf(t, store, time.Hour)
		done <- u
	}()
	processtest.Eventually(t, "the usage is measured", func() bool { return server.Calls("scan") > before })
	if holder, err := server.Try("GET", lease); err == nil && holder == "dead" {
		t.Error("it is measured though another instance has the lease")
	}
	if u := <-done; u.Contributions != 1 {
		t.Errorf("usage %+v", u)
	}
}

// A full Redis refuses leases. Its usage is measured nevertheless.
func TestUsage_RedisFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), newPrefix())
	like(t, store, topic(t, "default/likes/page"), 1)
	server.Do("CONFIG", "SET", "maxmemory", 1)
	if u, _ := usageOf(t, store, time.Hour); u.Contributions != 1 {
		t.Errorf("usage %+v", u)
	}
}

// The rankings are repaired by one instance at a time, and by another after it died.
func TestRepair_OneInstance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	stores := []*redisstore.Store{
		storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix),
		storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix),
	}
	like(t, stores[0], page, 1)
	board := prefix + ":top:{default/likes}"
	processtest.Eventually(t, "the leaderboard has the topic", func() bool { return server.Do("ZCARD", board) == int64(1) })
	server.Do("DEL", board, board+":versions")
	lease := prefix + ":lease:repair"
	server.Do("SET", lease, "dead", "PX", 4000)
	for _, store := range stores {
		processtest.Eventually(t, "the feed is live", startFeed(t, store).isLive)
	}
	before := server.Calls("scan") // checks of rights are among them
	processtest.Eventually(t, "the first step of a repair", func() bool { return server.Calls("scan") > before })
	if holder, err := server.Try("GET", lease); err == nil && holder == "dead" {
		t.Error("there was a repair though another instance has the lease")
	}
	processtest.Eventually(t, "the leaderboard is repaired", func() bool {
		top, err := stores[1].Top(t.Context(), "default", "likes", 10)
		return err == nil && len(top) == 1 && top[0].Topic == page
	})
}

// Instances of a Cluster share the measured usage.
func TestUsage_Cluster(t *testing.T) {
	t.Parallel()
	prefix := newPrefix()
	c := storeConfig{url: redistest.StartCluster(t, false).URL()}
	first, second := c.connect(t, catalog(), prefix), c.connect(t, catalog(), prefix)
	like(t, first, topic(t, "default/likes/a"), 1)
	usageOf(t, first, time.Hour)
	like(t, first, topic(t, "default/likes/b"), 1)
	if u, _ := usageOf(t, second, time.Hour); u.Topics != 1 {
		t.Errorf("shared usage %+v", u)
	}
}
