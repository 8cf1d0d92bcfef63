package redisstore

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A hosted service may answer INFO without some sections. The instance then says what it could
// not check.
func TestReviewServer_MissingSections(t *testing.T) {
	t.Parallel()
	server := map[string]string{"redis_version": "7.2.0"}
	memory := map[string]string{"maxmemory_policy": "noeviction"}
	persistence := map[string]string{"aof_enabled": "1"}
	for name, c := range map[string]struct {
		info map[string]map[string]string
		want string
	}{
		"all":            {map[string]map[string]string{"Server": server, "Memory": memory, "Persistence": persistence}, ""},
		"no memory":      {map[string]map[string]string{"Server": server, "Persistence": persistence}, "noeviction"},
		"no persistence": {map[string]map[string]string{"Server": server, "Memory": memory}, "appendonly yes"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := &redis.InfoCmd{}
			reply.SetVal(c.info)
			warnings, err := (&node{store: &Store{}}).reviewServer(reply)
			if err != nil || (len(warnings) == 1) != (c.want != "") || !strings.Contains(strings.Join(warnings, "; "), c.want) {
				t.Errorf("%q, %v; want %q", warnings, err, c.want)
			}
		})
	}
}

// A restart of Redis is noticed by its run_id, or by when it started. If INFO tells neither, a
// reconnection is no restart.
func TestReviewServer_Restart(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	n := f.nodes()[0]
	// review reports whether a restart was noticed.
	review := func(server map[string]string) bool {
		f.repairs.isUrgent.Store(false)
		reply := &redis.InfoCmd{}
		reply.SetVal(map[string]map[string]string{"Server": server})
		if server == nil {
			reply.SetErr(replyError("NOPERM"))
		}
		if _, err := n.reviewServer(reply); err != nil {
			t.Fatal(err)
		}
		return f.repairs.isUrgent.Load()
	}
	type info = map[string]string
	for i, step := range []struct {
		server    info
		isNoticed bool
	}{
		{info{"run_id": "a"}, true}, // another than that of the server
		{info{"run_id": "a"}, false},
		{info{"run_id": "b"}, true},
		{info{}, false},
		{nil, false},
		{info{"run_id": "b"}, false},
		{info{"run_id": "a"}, true},
		{info{"uptime_in_seconds": "1000"}, true},
		{info{"uptime_in_seconds": "1001"}, false},
		{info{"uptime_in_seconds": "5"}, true},
		{info{}, false},
		{info{"uptime_in_seconds": "5"}, false},
	} {
		if got := review(step.server); got != step.isNoticed {
			t.Errorf("step %d, %v: a restart was noticed: %t", i+1, step.server, got)
		}
	}
	n.run.Store(nil) // the node is new after a failover
	if !review(nil) || review(nil) {
		t.Error("a new node counts as restarted once")
	}
}

// An instance whose user may not use INFO does not scan the store after each reconnection.
func TestCheck_ReconnectWithoutInfo(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >word ~* &* +@all -info"}})
	store, err := Open(server.URLAs("app", "word", 0), tally.NewCatalog(nil, tally.DefaultMetrics()), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for i := range 3 {
		if err := store.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if isUrgent := store.repairs.isUrgent.Swap(false); isUrgent {
			t.Errorf("after connection %d everything is scanned", i+1)
		}
	}
}
