package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// After Redis restarted from an older file, gains are those of its counts.
func TestTopGains_OlderFile(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	c := withGains(server, server.URL(0))
	c.options.Intervals.RepairAgain = time.Hour // the restart alone makes one due
	prefix := newPrefix()
	first, second := c.connect(t, catalog(), prefix), c.connect(t, catalog(), prefix)
	watch(t, first, topic(t, "default/likes/other"))
	watch(t, second, topic(t, "default/likes/other"))
	likePages(t, first, map[string][]tally.Member{"a": {1, 2}, "b": {1}, "lost": {1}})
	awaitGains(t, second, map[string]int64{"a": 2, "b": 1, "lost": 1})
	// The file has counts that its projections lack.
	server.Do("ZREM", prefix+":top:{default/likes}:24h", "lost")
	server.Do("ZREM", prefix+":top:{default/likes}:changed", "lost")
	server.Do("ZREM", prefix+":topics:{default}", "likes/lost")
	server.Do("ZADD", prefix+":top:{default/likes}:24h", "-9", "b")
	// In a Cluster the projections are on a node that did not restart, and newer.
	server.Do("ZADD", prefix+":top:{default/likes}:24h", "-9", "a")
	server.Do("ZADD", prefix+":top:{default/likes}:changed", time.Now().Add(time.Minute).UnixMicro(), "a")
	server.Do("SAVE")
	likePages(t, second, map[string][]tally.Member{"c": {3}, "new": {1, 2}})
	processtest.Eventually(t, "the gains follow", func() bool {
		got, err := gains(t, first)
		return err == nil && got["c"] == 1 && got["new"] == 2
	})
	server.Kill()
	server.Restart()
	for _, store := range []*redisstore.Store{first, second} {
		awaitGains(t, store, map[string]int64{"a": 2, "b": 1, "lost": 1})
	}
	likePages(t, first, map[string][]tally.Member{"a": {4}})
	awaitGains(t, second, map[string]int64{"a": 3, "b": 1, "lost": 1})
}

// Changes that no instance of this release knows of, as those of the release before, appear with
// a repair.
func TestTopGains_UnknownChanges(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	c := withGains(server, server.URL(0))
	prefix := newPrefix()
	store := c.connect(t, catalog(), prefix)
	processtest.Eventually(t, "the feed is live", startFeed(t, store).isLive)
	likePages(t, store, map[string][]tally.Member{"a": {1, 2}, "b": {1}})
	awaitGains(t, store, map[string]int64{"a": 2, "b": 1})
	other := storeConfig{server: server, url: server.URL(0)} // without a history it keeps no gains
	likePages(t, other.connect(t, catalog(), prefix), map[string][]tally.Member{"b": {2, 3}})
	likePages(t, store, map[string][]tally.Member{"a": {3}}) // makes the repair due
	awaitGains(t, store, map[string]int64{"a": 3, "b": 3})
}

// If the instance that computes the gains of an hour dies, another one computes them.
func TestTopGains_HolderDies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Clock: true})
	line := redistest.StartProxy(t, server.Addr)
	prefix := newPrefix()
	dying := withGains(nil, "redis://"+line.Addr).connect(t, catalog(), prefix)
	store := withGains(server, server.URL(0)).connect(t, catalog(), prefix)
	beforeHour := time.Until(time.Now().Truncate(time.Hour).Add(2*time.Hour - time.Minute))
	server.SetClock(beforeHour)
	const topics = 300
	want := map[string]int64{}
	for i := range topics {
		key := fmt.Sprintf("page-%d", i)
		want[key] = 1
		likePages(t, store, map[string][]tally.Member{key: {1}})
	}
	awaitAll := func(store *redisstore.Store, gain int64) {
		t.Helper()
		processtest.Eventually(t, fmt.Sprintf("%d topics gained %d", topics, gain), func() bool {
			gains, err := store.TopGains(t.Context(), "default", "likes", tally.Since24h, topics)
			return err == nil && len(gains) == topics && gains[0].Gain == gain && gains[topics-1].Gain == gain
		})
	}
	awaitAll(store, 1)
	awaitAll(dying, 1)
	line.Delay(200 * time.Millisecond)
	server.SetClock(beforeHour + time.Minute + 25*time.Hour) // all leave the list
	lease := prefix + ":lease:gains:default/likes"
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan struct{})
	go func() { // ends with ctx
		defer close(read)
		_, _ = dying.TopGains(ctx, "default", "likes", tally.Since24h, 10)
	}()
	processtest.Eventually(t, "the instance computes the gains", func() bool { return server.Do("EXISTS", lease) == int64(1) })
	line.BlackHole(true)
	line.Cut()
	cancel()
	<-read
	stop, stopped, liked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(stopped)
		for n := 0; ; {
			select {
			case <-stop:
				return
			default:
			}
			if b := assertAll(store, time.Second, topic(t, fmt.Sprintf("default/likes/page-%d", n%topics)), 1, 2); b.Err != nil {
				continue
			}
			if n++; n == topics {
				close(liked)
			}
		}
	}()
	if _, err := gains(t, store); err != nil {
		t.Errorf("while a dead instance has the lease: %v", err)
	}
	server.SetClock(beforeHour + time.Minute + 25*time.Hour + 16*time.Second) // ends the lease
	<-liked                                                                   // else the list could be that of the hour before
	awaitAll(store, 1)
	close(stop)
	<-stopped
	awaitAll(store, 1)
	processtest.Eventually(t, "the gains of the hour are complete", func() bool {
		hour := server.Do("ZSCORE", prefix+":top:{default/likes}:changed", "")
		return hour != nil && !strings.Contains(fmt.Sprint(hour), ".")
	})
	awaitAll(store, 1)
	line.BlackHole(false) // so that the store closes soon
}

// A full Redis refuses to compute gains. Those before are shown.
func TestTopGains_RedisFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Clock: true})
	store := withGains(server, server.URL(0)).connect(t, catalog(), newPrefix())
	beforeHour := time.Until(time.Now().Truncate(time.Hour).Add(2*time.Hour - time.Minute))
	server.SetClock(beforeHour)
	likePages(t, store, map[string][]tally.Member{"a": {1, 2}, "b": {1}})
	want := map[string]int64{"a": 2, "b": 1}
	awaitGains(t, store, want)
	server.Do("CONFIG", "SET", "maxmemory", 1)
	server.SetClock(beforeHour + 2*time.Minute)
	took := processtest.Measure(func() {
		if got, err := gains(t, store); err != nil || !maps.Equal(got, want) {
			t.Errorf("the gains of a full Redis are %v, %v", got, err)
		}
	})
	if took > time.Second {
		t.Errorf("they were read after %s", took)
	}
	server.Do("CONFIG", "SET", "maxmemory", 0)
	server.SetClock(beforeHour + 26*time.Hour)
	awaitGains(t, store, map[string]int64{})
}

// A reader does not wait long for gains that take long to compute, nor ask Redis again and again.
func TestTopGains_SlowComputation(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	c := withGains(server, server.URL(0))
	prefix := newPrefix()
	store := c.connect(t, catalog(), prefix)
	likePages(t, store, map[string][]tally.Member{"a": {1, 2}})
	awaitGains(t, store, map[string]int64{"a": 2})
	lease := prefix + ":lease:gains:default/likes"
	server.Do("DEL", prefix+":top:{default/likes}:read") // nobody read for an hour
	server.Do("SET", lease, "slow", "PX", 60_000)
	likePages(t, store, map[string][]tally.Member{"b": {1}})
	const reads = 5
	before := server.Calls("evalsha")
	for range reads {
		if got, err := gains(t, store); err != nil || got["a"] != 2 {
			t.Errorf("while gains are computed: %v, %v", got, err)
		}
	}
	// The other instance is asked every 50 to 100 ms, with two scripts.
	n := server.Calls("evalsha") - before
	if n > reads*20 {
		t.Errorf("%d scripts for %d reads", n, reads)
	}
	server.Do("DEL", lease)
	awaitGains(t, store, map[string]int64{"a": 2, "b": 1})
}

// While Redis does not answer, a list of gains is unavailable, also for the first reader.
func TestTopGains_RedisAway(t *testing.T) {
	t.Parallel()
	for name, isRead := range map[string]bool{"first read": false, "later read": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Options{})
			store := withGains(server, server.URL(0)).connect(t, catalog(), newPrefix())
			likePages(t, store, map[string][]tally.Member{"a": {1, 2}})
			if isRead {
				awaitGains(t, store, map[string]int64{"a": 2})
			}
			server.Suspend()
			took := processtest.Measure(func() {
				if got, err := gains(t, store); tally.AsError(err).Code != tally.CodeStoreUnavailable {
					t.Errorf("while Redis hangs: %v, %v", got, err)
				}
			})
			if took > 2*tally.GainWait+time.Second {
				t.Errorf("refused after %s", took)
			}
			server.Resume()
			awaitGains(t, store, map[string]int64{"a": 2})
			server.Kill()
			if got, err := gains(t, store); tally.AsError(err).Code != tally.CodeStoreUnavailable {
				t.Errorf("without Redis: %v, %v", got, err)
			}
			server.Restart() // without a file it is empty
			awaitGains(t, store, map[string]int64{})
		})
	}
}

// A topic with data of another program is left out. It does not make the lists unavailable.
func TestTopGains_BrokenTopic(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := withGains(server, server.URL(0)).connect(t, catalog(), prefix)
	likePages(t, store, map[string][]tally.Member{"a": {1, 2}, "b": {1}})
	awaitGains(t, store, map[string]int64{"a": 2, "b": 1})
	server.Do("SET", prefix+":{default/likes/b}:count", "other data")
	if got, err := gains(t, store); err != nil || !maps.Equal(got, map[string]int64{"a": 2}) {
		t.Errorf("the gains are %v, %v", got, err)
	}
	if top, err := store.Top(t.Context(), "default", "likes", 10); err != nil || len(top) != 1 || top[0].Topic.Key() != "a" {
		t.Errorf("the highest counts are %v, %v", top, err)
	}
	processtest.Eventually(t, "the topic has no gain", func() bool {
		return server.Do("ZSCORE", prefix+":top:{default/likes}:24h", "b") == nil
	})
}
