package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// prompt does not wait for further replicas before it serves the first.
var prompt = redistest.Options{Args: []string{"--repl-diskless-sync-delay", "0"}}

// An assertion that is repeated changes nothing more, and must not be acknowledged
// for that.
func TestNothingIsAcknowledgedThatReplicasHaveNot(t *testing.T) {
	t.Parallel()
	server, replica := redistest.Start(t, prompt), redistest.Start(t, redistest.Options{})
	var log diary
	p := place{server: server, url: server.URL(0) + "?wait=1", options: redisstore.Options{Logger: log.logger()}}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	store, fresh := p.connected(t, catalog(), prefix), p.connected(t, catalog(), prefix)
	v := watching(t, store, page)
	const limit = 500 * time.Millisecond
	for i, instance := range []*redisstore.Store{store, store, fresh} {
		b := try(instance, limit, page, 1, 7)
		if b.Err == nil || tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
			t.Errorf("attempt %d, without a replica: %+v", i, b)
		}
	}
	eventually(t, "Health says why", func() bool {
		h := store.Health()
		return h.Err != nil && contains(h.Err.Error(), "0 of the 1 replicas")
	})
	if !v.isLive() {
		t.Error("viewers were told that numbers are stale")
	}

	host, port, _ := strings.Cut(server.Addr, ":")
	replica.Do("REPLICAOF", host, port)
	eventually(t, "a like is acknowledged", func() bool { return try(store, limit, page, 1, 7).Err == nil })
	replica.Suspend() // connected still, and confirms nothing
	if b := try(fresh, limit, page, 1, 8); b.Err == nil {
		t.Errorf("acknowledged, though the replica hangs: %+v", b)
	}
	replica.Resume()
	eventually(t, "the other like is, too", func() bool { return try(fresh, limit, page, 1, 8).Err == nil })
	eventually(t, "Health is good again", func() bool { return store.Health().Err == nil })
	v.converges(t, store, page, 2)
	log.tells(t, "replicas")
}

func TestAReplicaInTheURLIsNamed(t *testing.T) {
	t.Parallel()
	server, replica := redistest.Start(t, prompt), redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	like(t, place{server: server, url: server.URL(0)}.connected(t, catalog(), prefix), page, 1)
	host, port, _ := strings.Cut(server.Addr, ":")
	replica.Do("REPLICAOF", host, port)
	eventually(t, "the replica has the data", func() bool { return replica.Do("EXISTS", prefix+":secret") == int64(1) })

	store := place{server: replica, url: replica.URL(0)}.open(t, catalog(), prefix)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := store.Connect(ctx); err == nil || !contains(err.Error(), "read-only replica") {
		t.Errorf("connected: %v", err)
	}
	if h := store.Health(); h.Reached || h.Err == nil || !contains(h.Err.Error(), "read-only replica") {
		t.Errorf("health %+v", h)
	}
	if b := try(store, patience, page, 1, 2); tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a like: %v", b.Err)
	}
}
