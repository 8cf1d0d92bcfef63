package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// fastSync starts a full synchronisation without waiting for further replicas.
var fastSync = redistest.Options{Args: []string{"--repl-diskless-sync-delay", "0"}}

// A repeated assertion changes nothing, but is acknowledged only when replicas confirm.
func TestApply_WaitForReplicas(t *testing.T) {
	t.Parallel()
	server, replica := redistest.Start(t, fastSync), redistest.Start(t, redistest.Options{})
	var log logBuffer
	p := storeConfig{server: server, url: server.URL(0) + "?wait=1", options: redisstore.Options{Logger: log.logger()}}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	store, fresh := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	v := watch(t, store, page)
	const limit = 500 * time.Millisecond
	for i, instance := range []*redisstore.Store{store, store, fresh} {
		b := assertAll(instance, limit, page, 1, 7)
		if b.Err == nil || tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
			t.Errorf("attempt %d, without a replica: %+v", i, b)
		}
	}
	processtest.Eventually(t, "Health has the reason", func() bool {
		h := store.Health()
		return h.Err != nil && strings.Contains(h.Err.Error(), "0 of the 1 replicas")
	})
	if !v.isLive() {
		t.Error("viewers got stale")
	}

	host, port, _ := strings.Cut(server.Addr, ":")
	replica.Do("REPLICAOF", host, port)
	processtest.Eventually(t, "a like is acknowledged", func() bool { return assertAll(store, limit, page, 1, 7).Err == nil })
	replica.Suspend() // still connected, but it confirms nothing
	if b := assertAll(fresh, limit, page, 1, 8); b.Err == nil {
		t.Errorf("acknowledged while the replica hangs: %+v", b)
	}
	replica.Resume()
	processtest.Eventually(t, "the other like is, too", func() bool { return assertAll(fresh, limit, page, 1, 8).Err == nil })
	processtest.Eventually(t, "Health is good again", func() bool { return store.Health().Err == nil })
	v.waitFor(t, store, page, 2)
	log.checkErrors(t, "replicas")
}

func TestConnect_Replica(t *testing.T) {
	t.Parallel()
	server, replica := redistest.Start(t, fastSync), redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	like(t, storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix), page, 1)
	host, port, _ := strings.Cut(server.Addr, ":")
	replica.Do("REPLICAOF", host, port)
	processtest.Eventually(t, "the replica has the data", func() bool { return replica.Do("EXISTS", prefix+":secret") == int64(1) })

	store := storeConfig{server: replica, url: replica.URL(0)}.open(t, catalog(), prefix)
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	if err := store.Connect(ctx); err == nil || !strings.Contains(err.Error(), "read-only replica") {
		t.Errorf("connected: %v", err)
	}
	if h := store.Health(); h.Reached || h.Err == nil || !strings.Contains(h.Err.Error(), "read-only replica") {
		t.Errorf("health %+v", h)
	}
	if b := assertAll(store, processtest.Timeout, page, 1, 2); tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a like: %v", b.Err)
	}
}
