package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// topicsByNode returns n topics for each primary of the cluster.
func topicsByNode(t testing.TB, store *redisstore.Store, c *redistest.Cluster, n int) (byNode map[string][]tally.Topic) {
	t.Helper()
	byNode = map[string][]tally.Topic{}
	full := 0
	for i := 0; full < len(c.Primaries); i++ {
		topic := topic(t, fmt.Sprintf("default/likes/page-%d", i))
		addr := store.Lane(topic)
		if len(byNode[addr]) < n {
			if byNode[addr] = append(byNode[addr], topic); len(byNode[addr]) == n {
				full++
			}
		}
	}
	return byNode
}

func flat(byNode map[string][]tally.Topic) (all []tally.Topic) {
	for _, topics := range byNode {
		all = append(all, topics...)
	}
	return all
}

func TestCluster_SlotMigration(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	var log logBuffer
	p := storeConfig{url: cluster.URL(), options: redisstore.Options{Logger: log.logger(), History: tally.MaxHistory}}
	prefix := newPrefix()
	first, second := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	from, to := cluster.Primaries[0], cluster.Primaries[1]
	moving := topicsByNode(t, first, cluster, 2)[from.Addr]
	viewers := []*viewer{watch(t, first, moving...), watch(t, second, moving...)}
	likes := startVisitors(t, first, moving...)
	likes.waitForMore(t, "at first", 50)
	for _, topic := range moving {
		key := prefix + ":{" + topic.String() + "}:count"
		slot := int(from.Do("CLUSTER", "KEYSLOT", key).(int64))
		cluster.Move(slot, from, to, func() {
			// While some keys have moved and others not, a like waits and succeeds.
			done := make(chan tally.Batch, 1)
			go func() { done <- assertAll(second, processtest.Timeout, topic, 1, 1<<50) }() // ends with its deadline
			for _, keys := range from.Do("CLUSTER", "GETKEYSINSLOT", slot, 10).([]any) {
				from.Do("MIGRATE", "127.0.0.1", portOf(to.Addr), keys, 0, 5000)
			}
			// All keys have moved, but not the slot: likes continue, and viewers see them.
			if b := <-done; b.Err != nil {
				t.Errorf("a like on a slot that moves: %v", b.Err)
			}
			if r := first.Read(t.Context(), []tally.Query{{Topic: topic, Member: 1}})[0]; r.Err != nil || r.Change.Count == 0 {
				t.Errorf("a read on a slot that moves: %+v", r)
			}
			// So do comparisons of what an instance holds with what is stored.
			if err := first.Reissue(t.Context(), []tally.Change{{Topic: topic, Version: 1}}); err != nil {
				t.Errorf("a reissue on a slot that moves: %v", err)
			}
			before := likes.count(topic)
			processtest.Eventually(t, "likes continue while the slot moves", func() bool { return likes.count(topic) >= before+20 })
			for _, v := range viewers {
				seen := v.shown(topic)
				processtest.Eventually(t, "viewers see them", func() bool { return v.shown(topic).Count >= seen.Count+5 })
			}
		})
		likes.waitForMore(t, "after the move", 20)
		processtest.Eventually(t, "the stores have the new slot map", func() bool { return first.Lane(topic) == to.Addr && second.Lane(topic) == to.Addr })
	}
	for _, topic := range moving { // the like above
		likes.mu.Lock()
		likes.acknowledged[topic][1<<50] = true
		likes.mu.Unlock()
	}
	likes.check(t, viewers, 1<<50)
	for _, v := range viewers {
		if v.wasStale() {
			t.Error("viewers got stale without a fault")
		}
	}
	if n := metric(first, "redis_sweep_mismatches_total") + metric(second, "redis_sweep_mismatches_total"); n != 0 {
		t.Errorf("the sweep found %d missed publications", n)
	}
	if got := log.lines("ERROR", ""); len(got) != 0 {
		t.Errorf("logged: %q", got)
	}
}

func portOf(addr string) string { return addr[len("127.0.0.1:"):] }

// A like on a hung node fails after 2.5 s. Likes on other nodes through the same service do
// not wait for it, nor do reads of topics on all nodes.
//
// The test is not parallel: it measures time.
func TestCluster_HungNode(t *testing.T) {
	cluster := redistest.StartCluster(t, false)
	var log logBuffer
	p := storeConfig{url: cluster.URL(), options: redisstore.Options{Logger: log.logger()}}
	prefix := newPrefix()
	store := p.connect(t, catalog(), prefix)
	byNode := topicsByNode(t, store, cluster, 2)
	topics := flat(byNode)
	v := watch(t, store, topics...)
	service := tally.NewService(store, catalog())
	assert := func(topic tally.Topic, visitor int) error {
		_, err := service.Assert(context.Background(), tally.Assertion{
			Topic: topic, Visitor: fmt.Sprintf("visitor-%d", visitor), Amount: 1, MayCreate: true,
		})
		return err
	}
	for _, topic := range topics {
		if err := assert(topic, 0); err != nil {
			t.Fatal(err)
		}
	}

	hung := cluster.Primaries[1]
	hung.Suspend()
	var hungLikes sync.WaitGroup
	quit := make(chan struct{})
	refused := make(chan error, 64)
	for i, topic := range byNode[hung.Addr] {
		hungLikes.Go(func() { // ends with quit
			for n := 1; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				if err := assert(topic, 1000*i+n); err != nil {
					select {
					case refused <- err:
					default:
					}
				}
			}
		})
	}
	if err := <-refused; tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a like on the hung node: %v", err)
	}
	const likes = 300
	for addr, its := range byNode {
		if addr == hung.Addr {
			continue
		}
		worst := time.Duration(0)
		for _, topic := range its {
			for visitor := 1; visitor <= likes; visitor++ {
				var err error
				worst = max(worst, processtest.Measure(func() { err = assert(topic, visitor) }))
				if err != nil {
					t.Fatalf("a like on a healthy node: %v", err)
				}
			}
			processtest.Eventually(t, "viewers see likes on the healthy nodes", func() bool { return v.shown(topic).Count == likes+1 })
		}
		t.Logf("the slowest of %d likes on %s took %s", likes*len(its), addr, worst)
		if worst > time.Second {
			t.Errorf("a like on a healthy node took %s", worst)
		}
	}
	processtest.Eventually(t, "viewers get stale", func() bool { return v.wasStale() })
	processtest.Eventually(t, "Health names the node", func() bool {
		h := store.Health()
		return h.Err != nil && strings.Contains(h.Err.Error(), hung.Addr)
	})
	var queries []tally.Query
	for _, topic := range topics {
		queries = append(queries, tally.Query{Topic: topic})
	}
	var readings []tally.Reading
	if took := processtest.Measure(func() { readings = store.Read(t.Context(), queries) }); took > 2*time.Second {
		t.Errorf("a read of topics on all nodes took %s", took)
	}
	for _, r := range readings {
		if there := store.Lane(r.Change.Topic) == hung.Addr; there != (r.Err != nil) {
			t.Errorf("read %s (on the hung node: %t): %v", r.Change.Topic, there, r.Err)
		}
	}
	close(quit)
	hungLikes.Wait()
	hung.Resume()
	processtest.Within(t, afterFault, "viewers get live", v.isLive)
	for _, topic := range topics {
		stored := read(t, store, topic, 0).Change
		processtest.Within(t, afterFault, "viewers show the stored counts", func() bool { return v.shown(topic) == stored })
	}
	processtest.Within(t, afterFault, "Health is good again", func() bool { return store.Health().Err == nil })
	log.checkErrors(t, hung.Addr)
}

func TestConnect_WrongMode(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	for _, server := range cluster.Primaries {
		store := storeConfig{server: server, url: server.URL(0)}.open(t, catalog(), "tally")
		if err := store.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "redis+cluster://") {
			t.Errorf("connected: %v", err)
		}
		if h := store.Health(); h.Reached || h.Err == nil {
			t.Errorf("health %+v", h)
		}
	}
	single := redistest.Start(t, redistest.Options{})
	store := storeConfig{url: "redis+cluster://" + single.Addr}.open(t, catalog(), "tally")
	if err := store.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "cluster support disabled") {
		t.Errorf("connected: %v", err)
	}
}
