package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// countMembers returns how many of the members up to last contribute.
func countMembers(t testing.TB, store tally.Store, topic tally.Topic, last tally.Member) (n int64) {
	t.Helper()
	var queries []tally.Query
	for member := tally.Member(1); member <= last; member++ {
		queries = append(queries, tally.Query{Topic: topic, Member: member})
	}
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	for _, r := range store.Read(ctx, queries) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		n += r.Mine
	}
	return n
}

func TestFeed_RedisReturnsEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	first, second := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	viewers := []*viewer{watch(t, first, page), watch(t, second, page)}
	before := like(t, first, page, 1, 2, 3)
	for _, v := range viewers {
		v.waitFor(t, first, page, 3)
	}
	secret, err := first.Secret()
	if err != nil {
		t.Fatal(err)
	}

	server.Kill()
	server.Empty()
	server.Restart()
	for _, v := range viewers {
		v.waitFor(t, first, page, 0)
		if now := v.shown(page); now.Version <= before.Version {
			t.Errorf("version %d after %d", now.Version, before.Version)
		}
	}
	if again, err := second.Secret(); err != nil || string(again) != string(secret) {
		t.Errorf("the secret changed: %v", err)
	}
	if got := server.Do("GET", prefix+":secret"); got != string(secret) {
		t.Error("the secret was not stored again")
	}
	after := like(t, second, page, 1)
	if after.Count != 1 || after.Version <= before.Version {
		t.Errorf("a like after the loss results in %v", after)
	}
	for _, v := range viewers {
		v.waitFor(t, second, page, 1)
	}
}

// A like that failed while Redis hung is not applied later. The test is not parallel: it
// measures time.
func TestApply_HungRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	store := p.connect(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	v := watch(t, store, page)
	like(t, store, page, 1)

	server.Suspend()
	const limit = 700 * time.Millisecond
	var callers sync.WaitGroup
	for member := tally.Member(2); member < 12; member++ {
		callers.Go(func() {
			var b tally.Batch
			if took := processtest.Measure(func() { b = assertAll(store, limit, page, 1, member) }); took > limit+time.Second {
				t.Errorf("a like took %s while Redis hung", took)
			}
			if tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
				t.Errorf("a like while Redis hung: %v", b.Err)
			}
		})
	}
	callers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if r := store.Read(ctx, []tally.Query{{Topic: page}})[0]; tally.AsError(r.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a read while Redis hung: %v", r.Err)
	}
	processtest.Within(t, 10*time.Second, "the viewer gets stale", func() bool { return v.wasStale() })
	server.Resume()
	processtest.Eventually(t, "the viewer gets live", v.isLive)

	if got := read(t, store, page, 0).Change.Count; got != 1 {
		t.Errorf("%d likes, 1 was acknowledged", got)
	}
	if b := assertAll(store, processtest.Timeout, page, 1, 2); b.Err != nil || !b.Writes[0].Changed {
		t.Errorf("a like that failed, repeated: %+v", b)
	}
	v.waitFor(t, store, page, 2)
}

func TestApply_ScriptsFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	store := p.connect(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	like(t, store, page, 1)
	server.Do("SCRIPT", "FLUSH")
	if got := like(t, store, page, 2).Count; got != 2 {
		t.Errorf("count %d", got)
	}
	if n := metric(store, "redis_script_reloads_total"); n != 1 {
		t.Errorf("%d reloads", n)
	}
}

func TestConnect_NoRightToPublish(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >word ~* &* " + rights + " -publish"}})
	p := storeConfig{server: server, url: server.URLAs("app", "word", 0)}
	store := p.open(t, catalog(), newPrefix())
	err := store.Connect(context.Background())
	if err == nil || !strings.Contains(err.Error(), "PUBLISH") {
		t.Fatalf("connected: %v", err)
	}
	if h := store.Health(); h.Reached || h.Err == nil {
		t.Errorf("health %+v", h)
	}
	if b := assertAll(store, processtest.Timeout, topic(t, "default/likes/page"), 1, 1); tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a like: %v", b.Err)
	}
}

func TestApply_RightToPublishRevoked(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >word ~* &* " + rights}})
	p := storeConfig{server: server, url: server.URLAs("app", "word", 0)}
	store := p.connect(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	v := watch(t, store, page)
	server.Do("ACL", "SETUSER", "app", "-publish")
	b := assertAll(store, processtest.Timeout, page, 1, 1)
	if tally.AsError(b.Err).Code != tally.CodeStoreUnavailable || !strings.Contains(b.Err.Error(), "publish") {
		t.Errorf("a like that cannot be published: %v", b.Err)
	}
	processtest.Eventually(t, "Health has the missing right", func() bool {
		h := store.Health()
		return h.Err != nil && strings.Contains(h.Err.Error(), "PUBLISH")
	})
	if metric(store, "redis_publications_failed_total") == 0 {
		t.Error("failed publications are not counted")
	}
	server.Do("ACL", "SETUSER", "app", "+publish")
	processtest.Eventually(t, "Health is good again", func() bool { return store.Health().Err == nil })
	like(t, store, page, 1, 2) // a client repeats it
	v.waitFor(t, store, page, 2)
}

func TestConnect_NoRightToSubscribe(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >word ~* resetchannels &other* " + rights}})
	p := storeConfig{server: server, url: server.URLAs("app", "word", 0)}
	store := p.open(t, catalog(), newPrefix())
	if err := store.Connect(context.Background()); err == nil || !strings.Contains(err.Error(), "channel") {
		t.Fatalf("connected: %v", err)
	}
}

func TestApply_KeyOfAnotherType(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix := newPrefix()
	store := p.connect(t, catalog(), prefix)
	bad, good := topic(t, "default/likes/bad"), topic(t, "default/likes/good")
	server.Do("SET", prefix+":{default/likes/bad}:count", "42")
	v := watch(t, store, bad, good)
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	batches := []tally.Batch{
		{Topic: bad, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}},
		{Topic: good, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}},
	}
	store.Apply(ctx, batches)
	var e *tally.Error
	if !errors.As(batches[0].Err, &e) || e.Code != tally.CodeStoreUnavailable {
		t.Errorf("the topic with the wrong type: %v", batches[0].Err)
	}
	if batches[1].Err != nil {
		t.Errorf("the other topic: %v", batches[1].Err)
	}
	v.waitFor(t, store, good, 1)
	if server.Do("EXISTS", prefix+":{default/likes/bad}:members") != int64(0) {
		t.Error("a failed batch wrote members")
	}
}
