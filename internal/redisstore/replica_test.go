package redisstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

const (
	usedMessage   = "numbers are read and followed at the replica"
	failedMessage = "the replica cannot be used"
)

// region is an instance beside a replica, and one beside the primary.
type region struct {
	primary, replica *redistest.Server
	line             *redistest.Proxy // from the instance to the primary
	link             *redistest.Proxy // from the replica to the primary
	log              *logBuffer
	config           storeConfig
	prefix           string
	far, near        *redisstore.Store
	page             tally.Topic
	viewer           *viewer // of page, at near
}

// startRegion starts a region whose viewer is live.
func startRegion(t testing.TB) *region {
	t.Helper()
	g := &region{primary: redistest.StartPrimary(t, redistest.Options{Args: durable}), prefix: newPrefix(), log: &logBuffer{}, page: topic(t, "default/likes/page")}
	g.line, g.link = redistest.StartProxy(t, g.primary.Addr), redistest.StartProxy(t, g.primary.Addr)
	g.far = withGains(g.primary, g.primary.URL(0)).connect(t, catalog(), g.prefix)
	like(t, g.far, g.page, 1)
	g.replica = redistest.StartReplica(t, g.link.Addr, redistest.Options{Users: []string{"app on >app ~* &* +@all"}})
	intervals := testIntervals
	intervals.Busy, intervals.Watched, intervals.Behind = 100*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	g.config = storeConfig{url: "redis://" + g.line.Addr, options: redisstore.Options{
		ReplicaURL: g.replica.URLAs("app", "app", 0), Intervals: intervals, Logger: g.log.logger(), History: tally.MaxHistory,
	}}
	g.near = g.config.connect(t, catalog(), g.prefix)
	g.viewer = watch(t, g.near, g.page)
	return g
}

func (g *region) isUsed() bool { return g.near.Health().Replica.IsUsed }

// awaitUse waits until the replica is used, and checks that the viewer is live.
func (g *region) awaitUse(t testing.TB) {
	t.Helper()
	processtest.Eventually(t, "the replica is used", g.isUsed)
	processtest.Eventually(t, "the viewer is live", g.viewer.isLive)
}

// readNear reads a topic without a visitor.
func (g *region) readNear(t testing.TB) tally.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	return g.near.Near().Read(ctx, []tally.Query{{Topic: g.page}})[0]
}

// In each fault of the replica pages follow the primary, and later the replica again. The log
// has one line of each.
func TestReplica_Faults(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		cause  string // is part of the logged line
		begin  func(t testing.TB, g *region)
		repair func(g *region)
	}{
		{"dies", "", func(_ testing.TB, g *region) { g.replica.Kill() }, func(g *region) { g.replica.Restart() }},
		{"hangs", "", func(_ testing.TB, g *region) { g.replica.Suspend() }, func(g *region) { g.replica.Resume() }},
		{"lags", "lags by more than", func(_ testing.TB, g *region) { g.link.Delay(4 * time.Second) },
			func(g *region) { g.link.Delay(0); g.link.Cut() }},
		{"loses its link", "has no connection to its primary",
			func(_ testing.TB, g *region) { g.link.BlackHole(true); g.link.Cut() },
			func(g *region) { g.link.BlackHole(false); g.link.Cut() }},
		{"is promoted", "its role is primary", func(_ testing.TB, g *region) { g.replica.Replicate("") },
			func(g *region) { g.replica.Replicate(g.link.Addr) }},
		{"resynchronises in full", "read all data", func(_ testing.TB, g *region) {
			g.replica.Replicate("")
			g.replica.Do("SET", "other", "") // its history is not the primary's any more
			g.replica.Replicate(g.link.Addr)
		}, func(*region) {}},
		{"replicates another primary", "its primary", func(t testing.TB, g *region) {
			other := redistest.StartPrimary(t, redistest.Options{})
			like(t, storeConfig{url: other.URL(0)}.connect(t, catalog(), g.prefix), g.page, 1, 2, 3)
			g.replica.Replicate(other.Addr)
		}, func(g *region) { g.replica.Replicate(g.link.Addr) }},
		{"is empty", "its role is primary", func(_ testing.TB, g *region) {
			g.replica.Replicate("")
			g.replica.Do("FLUSHALL")
		}, func(g *region) { g.replica.Replicate(g.link.Addr) }},
		{"has another password", "", func(_ testing.TB, g *region) {
			g.replica.Do("ACL", "SETUSER", "app", "resetpass", ">other")
			g.replica.Do("CLIENT", "KILL", "USER", "app")
		}, func(g *region) { g.replica.Do("ACL", "SETUSER", "app", ">app") }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			g := startRegion(t)
			g.awaitUse(t)
			if g.near.Health().Replica.Lag <= 0 {
				t.Error("the lag was not measured")
			}
			like(t, g.far, g.page, 2)
			g.viewer.waitFor(t, g.far, g.page, 2)

			fault.begin(t, g)
			like(t, g.far, g.page, 3)
			processtest.Eventually(t, "the fault is logged", func() bool { return len(g.log.lines("WARN", failedMessage)) == 1 })
			g.viewer.waitFor(t, g.far, g.page, 3)
			if got := g.readNear(t); got.Err != nil || got.Change.Count != 3 || got.IsStale {
				t.Errorf("during the fault %+v is read", got)
			}
			like(t, g.near, g.page, 4)
			g.viewer.waitFor(t, g.far, g.page, 4)

			fault.repair(g)
			g.awaitUse(t)
			like(t, g.far, g.page, 5)
			g.viewer.waitFor(t, g.far, g.page, 5)
			lines := g.log.lines("WARN", "")
			lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "redis: slow") }) // a busy machine is slow
			if len(lines) != 1 || !strings.Contains(lines[0], failedMessage) || !strings.Contains(lines[0], fault.cause) {
				t.Errorf("the fault is logged as %q", lines)
			}
			if lines := g.log.lines("INFO", usedMessage); len(lines) != 2 {
				t.Errorf("the use of the replica is logged as %q", lines)
			}
			if n := metric(g.near, "redis_reissues_total"); n != 0 {
				t.Errorf("%d topics were reissued", n)
			}
			g.viewer.mu.Lock()
			defer g.viewer.mu.Unlock()
			if events := g.viewer.events; !slices.Equal(events, []string{"live", "stale", "live"}) {
				t.Errorf("events %v", events)
			}
		})
	}
}

// A primary that refuses writes still publishes probes, so that a replica without its link is noticed.
func TestReplica_PrimaryRefusesWrites(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	g.primary.Do("CONFIG", "SET", "maxmemory", "1")
	processtest.Eventually(t, "writes are refused", func() bool { return g.near.Health().Err != nil })
	if got := g.readNear(t); got.Err != nil || got.IsStale {
		t.Errorf("while the replica follows %+v is read", got)
	}
	g.link.BlackHole(true)
	g.link.Cut()
	processtest.Eventually(t, "the fault of the replica is logged", func() bool { return len(g.log.lines("WARN", failedMessage)) == 1 })
	processtest.Eventually(t, "the primary is followed", func() bool { return !g.isUsed() && g.viewer.isLive() })
}

// replicaRights are all that a user needs at the replica.
const replicaRights = "-@all +evalsha +script|load +time +get +hmget +hgetall +zrange +subscribe +unsubscribe" +
	" +multi +exec +watch +exists +info +ping +hello +auth +select"

// The replica takes TLS connections only, from a user without further rights, and the store has
// another database.
func TestReplica_TLS(t *testing.T) {
	t.Parallel()
	primary := redistest.StartPrimary(t, redistest.Options{})
	replica := redistest.StartReplica(t, primary.Addr, redistest.Options{
		TLS: true, Users: []string{"app on >word ~test* &test* " + replicaRights},
	})
	c := storeConfig{server: replica, url: primary.URL(3), options: redisstore.Options{
		ReplicaURL: replica.URLAs("app", "word", 3), History: tally.MaxHistory,
	}}
	page := topic(t, "default/likes/page")
	store := c.connect(t, catalog(), newPrefix())
	v := watch(t, store, page)
	processtest.Eventually(t, "the replica is used", func() bool { return store.Health().Replica.IsUsed })
	like(t, store, page, 1)
	v.waitFor(t, store, page, 1)
	near := store.Near()
	if r := near.Read(t.Context(), []tally.Query{{Topic: page}})[0]; r.Err != nil || r.Change.Count != 1 {
		t.Errorf("read: %+v", r)
	}
	if h := near.History(t.Context(), tally.Day, []tally.Topic{page})[0]; h.Err != nil || h.Count != 1 {
		t.Errorf("history: %+v", h)
	}
	processtest.Eventually(t, "the leaderboard", func() bool {
		top, err := near.Top(t.Context(), "default", "likes", 10)
		return err == nil && len(top) == 1 && top[0].Count == 1
	})
	processtest.Eventually(t, "the gains", func() bool {
		gains, err := near.TopGains(t.Context(), "default", "likes", tally.Since24h, 10)
		return err == nil && len(gains) == 1 && gains[0].Gain == 1
	})
	if n := replica.Do("ACL", "LOG").([]any); len(n) != 0 {
		t.Errorf("refused: %v", n)
	}
	if replica.Calls("zrange") == 0 {
		t.Error("the replica was not read")
	}
}

// The Sentinels promote another replica. The replica of the region follows it, and pages do.
func TestReplica_Failover(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.Options{})
	old, next := sentinels.Servers[0], sentinels.Servers[1]
	replica := sentinels.StartReplica(t)
	page := topic(t, "default/likes/page")
	store := storeConfig{url: sentinels.URL(0) + "?wait=2", options: redisstore.Options{ReplicaURL: replica.URL(0)}}.connect(t, catalog(), newPrefix())
	v := watch(t, store, page)
	isUsed := func() bool { return store.Health().Replica.IsUsed }
	processtest.Eventually(t, "the replica is used", isUsed)
	likes := startVisitors(t, store, page)
	likes.waitForMore(t, "at first", 50)
	sentinels.FailOver(t, old.Kill, next)
	old.Restart() // each like waits for both replicas, since one alone may be the region's
	likes.waitForMore(t, "after the failover", 50)
	processtest.Eventually(t, "the replica is used again", isUsed)
	likes.check(t, []*viewer{v})
}

func TestOpen_RefusesReplica(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ store, replica, want string }{
		{"redis+cluster://a:1", "redis://b:1", "Cluster has only the slots"},
		{"redis://a:1", "redis+cluster://b:1", "one server"},
		{"redis://a:1", "redis+sentinel://b:1/tally", "Sentinels do not tell"},
		{"redis://a:1/2", "redis://b:1", "database 0 and the store 2"},
		{"redis://a:1", "redis://b:1?wait=1", "wait"},
		{"redis://a:1", "redis://b:x", "port"},
	} {
		_, err := redisstore.Open(c.store, catalog(), redisstore.Options{ReplicaURL: c.replica})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with the replica %s: %v", c.store, c.replica, err)
		}
	}
}
