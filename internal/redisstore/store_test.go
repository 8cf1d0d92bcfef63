package redisstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestOpen_InvalidURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "localhost:6379", "http://localhost", "redis://u:hunter2@host:port/0", "redis://u:hun%ter2@host/0",
		"redis://u:hunter2@host/zero", "redis://u:hunter2@host/0?wait=x", "redis://u:hunter2@host/0?tls=x", "redis://u:hunter2@host/0?max=1",
		"redis://u:hunter2@a:1,b:2", "redis+sentinel://u:hunter2@a:1,b:2", "redis+sentinel://u:hunter2@a:x/m", "redis+sentinel://u:hunter2@a,/m",
		"redis+cluster://u:hunter2@a/1", "redis+cluster://u:hunter2@", "redis+ring://u:hunter2@a", "redis+sentinel://u:hunter2@a/m/x", "redis://u:hunter2@host/1/2",
		"redis://host?sentinel_password=hunter2", "redis+cluster://host?sentinel_password=hunter2", "redis+sentinel://host/m?sentinel_user=hunter2",
		"redis+sentinel://host/m?sentinel_password=a%hunter2", "redis+sentinel://host/m?sentinel_password=a&hunter2", "redis+sentinel://host/m?sentinel_password=a#hunter2",
		"redis+sentinel://host/m?sentinel_password=a;hunter2",
	} {
		store, err := redisstore.Open(url, catalog(), redisstore.Options{})
		if err == nil {
			store.Close()
			t.Errorf("%q was accepted", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("the error of %q contains the password: %v", url, err)
		}
	}
	for _, prefix := range []string{"a{b", "a*", "a b", strings.Repeat("x", 65)} {
		if _, err := redisstore.Open("redis://localhost", catalog(), redisstore.Options{Prefix: prefix}); err == nil {
			t.Errorf("the prefix %q was accepted", prefix)
		}
	}
}

func TestStore_NeverConnected(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	server.Kill()
	store := p.open(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	if _, err := store.Secret(); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("secret: %v", err)
	}
	if b := assertAll(store, processtest.Timeout, page, 1, 1); tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("like: %v", b.Err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	if err := store.Connect(ctx); err == nil {
		t.Error("connected to nothing")
	}
	if h := store.Health(); h.Reached || h.Err == nil {
		t.Errorf("health %+v", h)
	}
	server.Restart()
	v := watch(t, store, page)
	like(t, store, page, 1)
	v.waitFor(t, store, page, 1)
}

func TestConnect_OtherSecret(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	first := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Secret: []byte("the first secret")}}
	store := first.connect(t, catalog(), prefix)
	like(t, store, page, 1)

	other := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Secret: []byte("hunter2")}}.open(t, catalog(), prefix)
	if err := other.Connect(context.Background()); err == nil || !strings.Contains(err.Error(), "--secret") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("connected: %v", err)
	}
	if other.Health().Conflict == nil {
		t.Error("there is no conflict")
	}
	if b := assertAll(other, processtest.Timeout, page, 1, 2); tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a like under another secret: %v", b.Err)
	}
	if _, err := other.Secret(); err == nil {
		t.Error("the secret is returned in a conflict")
	}
	// An instance without a secret uses the stored one.
	adopter := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	if secret, err := adopter.Secret(); err != nil || string(secret) != "the first secret" {
		t.Errorf("secret %q: %v", secret, err)
	}

	// Once the secrets agree, the store is used without a restart.
	v := startFeed(t, other)
	server.Do("SET", prefix+":secret", "hunter2")
	processtest.Eventually(t, "the conflict is over", func() bool { return other.Health().Conflict == nil && v.isLive() })
}

func TestProbe_OtherSecret(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	v := watch(t, store, page)
	server.Do("SET", prefix+":secret", "of somebody else")
	processtest.Eventually(t, "there is a conflict", func() bool { return store.Health().Conflict != nil })
	processtest.Eventually(t, "the viewer gets stale", func() bool { return v.wasStale() })
	if b := assertAll(store, processtest.Timeout, page, 1, 1); b.Err == nil {
		t.Error("a like was stored")
	}
}

func TestConnect_LayoutAndEviction(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix := newPrefix()
	server.Do("SET", prefix+":layout", "2")
	store := p.open(t, catalog(), prefix)
	if err := store.Connect(context.Background()); err == nil || store.Health().Conflict == nil || !strings.Contains(err.Error(), "layout") {
		t.Errorf("another layout: %v", err)
	}

	server.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	store = p.open(t, catalog(), newPrefix())
	if err := store.Connect(context.Background()); err == nil || store.Health().Conflict == nil || !strings.Contains(err.Error(), "--allow-eviction") {
		t.Errorf("an evicting Redis: %v", err)
	}
	p.options.AllowEviction = true
	store = p.connect(t, catalog(), newPrefix())
	if warnings := store.Health().Warnings; len(warnings) != 2 {
		t.Errorf("warnings of eviction and of no append-only file: %q", warnings)
	}
}

func TestStore_DatabasesAndPrefixes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	page, other := topic(t, "default/likes/page"), topic(t, "default/likes/other")
	prefix := newPrefix()
	stores := []*redisstore.Store{
		storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix),
		storeConfig{server: server, url: server.URL(5)}.connect(t, catalog(), prefix),
		storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix+":top"),
	}
	var viewers []*viewer
	for _, store := range stores {
		viewers = append(viewers, watch(t, store, page, other))
	}
	for i, store := range stores {
		for member := range i + 1 {
			like(t, store, page, tally.Member(member+1))
		}
	}
	for i, v := range viewers {
		v.waitFor(t, stores[i], page, int64(i+1))
		like(t, stores[i], other, 9) // after any change of page
		v.waitFor(t, stores[i], other, 1)
		v.mu.Lock()
		if v.pushes > i+2 {
			t.Errorf("the feed of store %d pushed %d changes, want %d", i, v.pushes, i+2)
		}
		v.mu.Unlock()
	}
}

func TestSettle_BusyTopic(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix, hot := newPrefix(), topic(t, "default/likes/hot")
	store, other := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	v := watch(t, store, hot)
	for member := tally.Member(1); member <= 500; member++ {
		like(t, other, hot, member)
		store.Watch(hot) // reads and settles it again
	}
	v.waitFor(t, store, hot, 500)
	if n := metric(store, "redis_reissues_total"); n != 0 {
		t.Errorf("%d reissues of a busy topic", n)
	}
}

func TestSettle_EqualVersions(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	store, other := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	viewers := []*viewer{watch(t, store, page), watch(t, other, page)}
	shown := like(t, store, page, 1, 2)
	for _, v := range viewers {
		v.waitFor(t, store, page, 2)
	}
	// As if a failover had lost a like, and another like had got its version.
	server.Do("HSET", prefix+":{default/likes/page}:count", "n", 1)
	store.Watch(page)
	for _, v := range viewers {
		v.waitFor(t, store, page, 1)
		if v.shown(page).Version <= shown.Version {
			t.Errorf("version %d after %d", v.shown(page).Version, shown.Version)
		}
	}
	if n := metric(store, "redis_reissues_total") + metric(other, "redis_reissues_total"); n != 1 {
		t.Errorf("%d reissues", n)
	}
}

// A sweep reads the topics that differ from what the sink holds, and no others.
func TestSweep_LostChange(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	config := storeConfig{server: server, url: server.URL(0)}
	config.options.Intervals = redisstore.Intervals{Busy: 20 * time.Millisecond, Sweep: time.Millisecond}
	store := config.connect(t, catalog(), prefix)
	same, missing, broken := topic(t, "default/likes/same"), topic(t, "default/likes/missing"), topic(t, "default/likes/broken")
	choice, changed, created := topic(t, "default/votes/choice"), topic(t, "default/likes/changed"), topic(t, "default/likes/created")
	for _, topic := range []tally.Topic{same, broken, choice, changed} {
		like(t, store, topic, 1)
	}
	v := watch(t, store, same, missing, broken, choice, changed, created)
	key := func(topic tally.Topic) string { return prefix + ":{" + topic.String() + "}:count" }
	server.Do("DEL", key(broken))
	server.Do("SET", key(broken), "text")
	for i, topic := range []tally.Topic{changed, created, changed} { // each is found in another sweep
		server.Do("HSET", key(topic), "n", i+7, "v", v.shown(changed).Version+int64(i)+1)
		v.waitFor(t, store, topic, int64(i+7))
	}
	for _, topic := range []tally.Topic{same, missing, broken, choice} {
		if n := v.settles(topic); n != 1 {
			t.Errorf("%s was settled %d times", topic, n)
		}
	}
}

func TestSweep_ExpiredShares(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/readers/page")
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	v := watch(t, store, page)
	// The share expires without a publication: no other instance has one.
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	if err := store.SetShares(ctx, 300*time.Millisecond, []tally.Share{{Topic: page, Pages: 7}}); err != nil {
		t.Fatal(err)
	}
	processtest.Eventually(t, "7 are present", func() bool { return v.shown(page).Count == 7 })
	v.waitFor(t, store, page, 0)
	if metric(store, "redis_sweep_mismatches_total") == 0 && !v.wasStale() { // else a new session read it
		t.Error("the mismatch is not counted")
	}
}

// Versions grow even if the clock of Redis goes back.
func TestApply_ClockGoesBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Clock: true})
	server.SetClock(time.Hour)
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	before := like(t, store, page, 1)
	server.SetClock(0)
	var after tally.Batch
	processtest.Eventually(t, "the store has read the clock", func() bool {
		after = assertAll(store, processtest.Timeout, page, 1, 2)
		return after.Err == nil
	})
	if after.Version <= before.Version {
		t.Errorf("version %d after %d", after.Version, before.Version)
	}
}

// A like takes most memory when most buckets were just divided: 14.4 bytes at 720,000. It is
// 12.2 at a million and 9.7 at 200,000.
func TestApply_Memory(t *testing.T) {
	t.Parallel()
	checkMemory(t, "default/likes/hot", 1400*tally.MaxBatchWrites, 16)
}

// A choice takes at most 14 bytes on a topic with a million.
func TestApply_MemoryOfChoices(t *testing.T) {
	t.Parallel()
	checkMemory(t, "default/rating/hot", 1_000_000, 14)
}

// checkMemory fills a topic with so many contributions, of which each may take so many bytes. The
// usual form has a sixteenth of them. These fill as much of each bucket, since a full bucket is
// divided into 16.
func checkMemory(t *testing.T, name string, likes int, most int64) {
	if !processtest.Long() {
		likes /= 16
	}
	server := redistest.Start(t, redistest.Options{})
	prefix, hot := newPrefix(), topic(t, name)
	key := prefix + ":{" + name + "}:members"
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	random := rand.New(rand.NewPCG(1, 2))
	began, cpu := time.Now(), server.CPU()
	batch := tally.Batch{Topic: hot, Writes: make([]tally.Write, tally.MaxBatchWrites)}
	members := make([]tally.Member, 0, likes)
	for len(members) < likes {
		batch.Writes = batch.Writes[:min(tally.MaxBatchWrites, likes-len(members))]
		for i := range batch.Writes {
			batch.Writes[i] = tally.Write{Member: tally.Member(random.Uint64()), Amount: 1, MayCreate: true}
			members = append(members, batch.Writes[i].Member)
		}
		ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
		b := []tally.Batch{batch}
		store.Apply(ctx, b)
		cancel()
		if b[0].Err != nil {
			t.Fatal(b[0].Err)
		}
	}
	took := time.Since(began)
	cpu = server.CPU() - cpu
	if got := read(t, store, hot, 0).Change.Count; got != int64(likes) {
		t.Fatalf("%d likes are counted", got)
	}
	for range 1000 {
		if member := members[random.IntN(likes)]; read(t, store, hot, member).Mine != 1 {
			t.Fatalf("member %x is not found", uint64(member))
		}
	}
	bytes := server.Do("MEMORY", "USAGE", key, "SAMPLES", 0).(int64)
	t.Logf("%.2f bytes a like in %v buckets; %s in all, %.2f µs of Redis a like", float64(bytes)/float64(likes),
		server.Do("HLEN", key), took.Round(time.Millisecond), float64(cpu.Microseconds())/float64(likes))
	if bytes > most*int64(likes) {
		t.Errorf("%.1f bytes a like, at most %d", float64(bytes)/float64(likes), most)
	}
	// Some likes are withdrawn, from buckets of every depth.
	const back = 20 * tally.MaxBatchWrites
	for from := 0; from < back; from += tally.MaxBatchWrites {
		b := assertAll(store, processtest.Timeout, hot, 0, members[from:from+tally.MaxBatchWrites]...)
		if b.Err != nil {
			t.Fatal(b.Err)
		}
	}
	if got := read(t, store, hot, 0).Change.Count; got != int64(likes-back) {
		t.Errorf("%d likes are left", got)
	}
}

// BenchmarkRedis reports the processor time of redis-server a like.
func BenchmarkRedis(b *testing.B) {
	const week = 7 * 24 * time.Hour
	for _, shape := range []struct {
		name           string
		topics, writes int
		journal        time.Duration
	}{
		{"hot, 1 a batch", 1, 1, 0}, {"hot, 30 a batch", 1, 30, 0}, {"hot, 300 a batch", 1, 300, 0},
		{"1 topic a batch of 10000", -1, 1, 0}, {"60 topics a batch of 10000", -60, 1, 0},
		{"hot, 1 a batch, journal", 1, 1, week}, {"hot, 30 a batch, journal", 1, 30, week}, {"hot, 300 a batch, journal", 1, 300, week},
		{"1 topic a batch of 10000, journal", -1, 1, week}, {"60 topics a batch of 10000, journal", -60, 1, week},
	} {
		b.Run(shape.name, func(b *testing.B) {
			server := redistest.Start(b, redistest.Options{})
			p := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Journal: shape.journal, TopInterval: time.Hour}}
			store := p.connect(b, catalog(), newPrefix())
			var topics []tally.Topic
			for i := range 10_000 {
				topics = append(topics, topic(b, fmt.Sprintf("default/likes/page-%d", i)))
			}
			batches := make([]tally.Batch, max(1, -shape.topics))
			cpu, likes := server.CPU(), 0
			for b.Loop() {
				for i := range batches {
					batches[i] = tally.Batch{Topic: topics[0], Writes: make([]tally.Write, shape.writes)}
					if shape.topics < 0 {
						batches[i].Topic = topics[rand.IntN(len(topics))]
					}
					for j := range batches[i].Writes {
						batches[i].Writes[j] = tally.Write{Member: tally.Member(rand.Uint64()), Source: tally.Source(rand.Uint32()), Amount: 1, MayCreate: true}
					}
					likes += shape.writes
				}
				ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
				store.Apply(ctx, batches)
				cancel()
				if batches[0].Err != nil {
					b.Fatal(batches[0].Err)
				}
			}
			b.ReportMetric(float64((server.CPU()-cpu).Nanoseconds())/float64(likes), "redis-ns/like")
			b.ReportMetric(0, "ns/op")
		})
	}
}
