package api

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

var (
	alice   = netip.MustParseAddr("198.51.100.1")
	mallory = netip.MustParseAddr("198.51.100.2")
)

func TestAnAddressWritesInBurstsOfThreeSecondsWorth(t *testing.T) {
	l := newLimiter(Limit{20, time.Second}, Limit{}, Limit{})
	now := time.Hour
	for i := range 60 {
		if ok, _, _ := l.write(alice, now, true); !ok {
			t.Fatalf("write %d was refused", i)
		}
	}
	ok, _, wait := l.write(alice, now, true)
	if ok || wait != 50*time.Millisecond {
		t.Fatalf("write 61: %v, wait %v", ok, wait)
	}
	if ok, _, _ := l.write(mallory, now, true); !ok {
		t.Fatal("another address is refused too")
	}
	if ok, _, _ := l.write(alice, now+wait, true); !ok {
		t.Fatal("refused after the wait that was named")
	}
}

func TestReadsCountTopics(t *testing.T) {
	l := newLimiter(Limit{}, Limit{500, time.Second}, Limit{})
	if l.read(alice, 0, 1000) != 0 || l.read(alice, 0, 500) != 0 {
		t.Fatal("a burst is refused")
	}
	if wait := l.read(alice, 0, 1); wait != 2*time.Millisecond {
		t.Fatalf("wait %v", wait)
	}
	small := newLimiter(Limit{}, Limit{10, time.Second}, Limit{})
	if small.read(alice, 0, 1000) != 0 {
		t.Fatal("a call with more topics than a burst can never be made")
	}
	if small.read(alice, 0, 1) == 0 {
		t.Fatal("such a call leaves something over")
	}
}

func TestAReservedTopicIsGivenBackWhereNoneWasCreated(t *testing.T) {
	l := newLimiter(Limit{}, Limit{}, Limit{3, time.Hour})
	for range 100 {
		if _, mayCreate, _ := l.write(alice, 0, true); !mayCreate {
			t.Fatal("a like of what exists used up the limit")
		}
		l.settle(alice, 0, false)
	}
	for range 3 {
		l.write(alice, 0, true)
		l.settle(alice, 0, true)
	}
	if ok, mayCreate, wait := l.write(alice, 0, true); !ok || mayCreate || wait != 20*time.Minute {
		t.Fatalf("after three: %v %v %v", ok, mayCreate, wait)
	}
}

func TestOffLimitsNothing(t *testing.T) {
	l := newLimiter(Limit{}, Limit{}, Limit{})
	for range 10_000 {
		if ok, mayCreate, _ := l.write(alice, 0, true); !ok || !mayCreate || l.read(alice, 0, 1000) != 0 {
			t.Fatal("refused")
		}
		l.settle(alice, 0, true)
	}
	if l.Metrics()[3].Value != 0 {
		t.Error("addresses are remembered for nothing")
	}
}

// Whatever is asked, no bucket gives more than its burst and its rate.
func TestNoBucketGivesMoreThanItMay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 50).Draw(t, "count")
		r := newRate(Limit{count, time.Second}, burstFactor)
		var full, now time.Duration
		given := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond
			n := rapid.IntRange(1, count).Draw(t, "n")
			if wait := r.take(&full, now, n); wait == 0 {
				given += n
			} else if again := full; r.take(&again, now+wait, n) != 0 {
				t.Fatalf("refused after the wait of %v that was named", wait)
			}
			if most := burstFactor*count + int(now/r.interval) + 1; given > most {
				t.Fatalf("%d of at most %d after %v", given, most, now)
			}
		}
	})
}

func TestUsageElsewhereCounts(t *testing.T) {
	secret := []byte("the secret of the store")
	here, there := newLimiter(Limit{20, time.Second}, Limit{}, Limit{3, time.Hour}), newLimiter(Limit{20, time.Second}, Limit{}, Limit{3, time.Hour})
	here.rekey(secret)
	there.rekey(secret)
	for range 60 {
		here.write(alice, 0, true)
		here.settle(alice, 0, false)
	}
	here.write(mallory, 0, true)
	here.settle(mallory, 0, true)
	sent := 0
	send := func(payload []byte) { sent++; there.receive(payload, 0) }
	here.share(send)
	if ok, _, wait := there.write(alice, 0, true); ok || wait != 50*time.Millisecond {
		t.Fatalf("used up there, and here %v, wait %v", ok, wait)
	}
	if ok, _, _ := there.write(mallory, 0, true); !ok {
		t.Fatal("one write there is 60 here")
	}
	there.settle(mallory, 0, true)
	there.write(mallory, 0, true)
	there.settle(mallory, 0, true)
	if _, mayCreate, _ := there.write(mallory, 0, true); mayCreate {
		t.Fatal("a topic created there is not counted here")
	}
	here.share(send)
	if sent != 1 {
		t.Fatalf("%d payloads for one use", sent)
	}
}

func TestUsageIsSentInBoundedPieces(t *testing.T) {
	const addresses = 10_000
	here, there := newLimiter(Limit{1, time.Hour}, Limit{}, Limit{}), newLimiter(Limit{1, time.Hour}, Limit{}, Limit{})
	here.rekey([]byte("s"))
	there.rekey([]byte("s"))
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range addresses {
		for range 3 {
			here.write(address(i), 0, true)
		}
	}
	pieces := 0
	here.share(func(payload []byte) {
		if pieces++; len(payload) > maxUsageBytes {
			t.Errorf("a payload of %d bytes", len(payload))
		}
		there.receive(payload, 0)
	})
	for i := range addresses {
		if ok, _, _ := there.write(address(i), 0, true); ok {
			t.Fatalf("address %d is not known there", i)
		}
	}
	t.Logf("%d addresses in %d pieces", addresses, pieces)
}

func TestTheLimiterForgetsAndIsBounded(t *testing.T) {
	l := newLimiter(Limit{20, time.Second}, Limit{}, Limit{})
	for i := range 400_000 {
		l.write(netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 16), byte(i >> 8), byte(i)}), 0, true)
	}
	most := float64(limitShards * maxShardAddresses)
	if known := l.Metrics()[3].Value; known > most || known < most/2 {
		t.Fatalf("%v addresses are remembered, at most %v may be", known, most)
	}
	l.share(func([]byte) {})
	for range limitShards {
		l.sweep(time.Minute)
	}
	if known := l.Metrics()[3].Value; known != 0 {
		t.Fatalf("%v idle addresses are remembered", known)
	}
}

func FuzzUsage(f *testing.F) {
	l := newLimiter(Limit{20, time.Second}, Limit{}, Limit{3, time.Hour})
	l.write(alice, 0, true)
	l.share(func(payload []byte) { f.Add(payload) })
	f.Add([]byte("u\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"))
	f.Add([]byte("u\x02anything"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		l := newLimiter(Limit{20, time.Second}, Limit{}, Limit{3, time.Hour})
		l.receive(payload, 0)
		if wait := l.writes.take(&l.addressLocked(l.shard(1), 1, 0).writes, 0, 1); wait > l.writes.interval {
			t.Fatalf("a wait of %v: the bucket is more than empty", wait)
		}
	})
}

func TestLimitsAnswer429WithRetryAfter(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.WriteLimit, o.ReadLimit, o.NewTopicLimit = Limit{4, time.Hour}, Limit{4, time.Hour}, Limit{2, time.Hour}
	})
	for i := range 2 {
		r.do("POST", fmt.Sprintf("/v1/blog/likes/new%d", i), "").wants(200)
	}
	r.do("POST", "/v1/blog/likes/new2", "").refuses(429, "rate_limited").says("--new-topic-limit")
	r.do("GET", "/v1/blog/likes/new2", "").says(`"version":0`)
	for range 9 {
		r.do("POST", "/v1/blog/likes/new0", "").wants(200) // it exists
	}
	a := r.do("POST", "/v1/blog/likes/new0", "", "Origin", "https://blog.example").refuses(429, "rate_limited").says("--rate-limit")
	if a.header.Get("Retry-After") == "" || a.header.Get("Access-Control-Expose-Headers") == "" {
		t.Errorf("a page cannot tell when to come back: %v", a.header)
	}
	for range 11 {
		r.do("GET", "/v1/blog/likes/new0", "").wants(200)
	}
	r.do("GET", "/v1/blog/likes/new0", "").refuses(429, "rate_limited").says("--read-limit")
	r.do("POST", "/v1/counts", `{"topics":["blog/likes/a"]}`).refuses(429, "rate_limited")
	r.do("GET", "/v1/top/blog/likes", "").refuses(429, "rate_limited")
	r.do("GET", "/badge/blog/likes/a.svg", "").refuses(429, "rate_limited")
}

// The first round of sharing comes while somebody reads already.
func TestReadsBeforeTheFirstRoundOfSharingCount(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadLimit = Limit{1, time.Hour} })
	for range 3 {
		r.do("GET", "/v1/blog/likes/x", "").wants(200)
	}
	r.api.share()
	r.do("GET", "/v1/blog/likes/x", "").refuses(429, "rate_limited")
}

func TestTwoInstancesOnRedisCountTogether(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	instance := func() *rig {
		store, err := redisstore.Open(server.URL(0), catalog, redisstore.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := newRigOn(t, store, func(o *Options) { o.WriteLimit = Limit{10, time.Hour} })
		eventually(t, "the store is reached", func() bool { return r.do("GET", "/readyz", "").status == 200 })
		return r
	}
	here, there := instance(), instance()
	// One write here, seen there: from now on they know each other.
	eventually(t, "what is used here counts there", func() bool {
		here.do("POST", "/v1/blog/likes/x", "")
		return there.api.limits.Metrics()[3].Value == 1
	})
	for here.do("POST", "/v1/blog/likes/x", "").status != 429 {
	}
	// What was used before they knew each other may be lost, so: most of the bucket.
	limits := there.api.limits
	eventually(t, "the address is near its limit there too", func() bool {
		key := limits.key(netip.MustParseAddr("127.0.0.1"))
		shard := limits.shard(key)
		shard.mu.Lock()
		defer shard.mu.Unlock()
		known := shard.addresses[key] // nil until something was shared since it knows the secret
		return known != nil && known.writes-there.api.now() > limits.writes.depth/2
	})
	for allowed := 1; there.do("POST", "/v1/blog/likes/x", "").status != 429; allowed++ {
		if allowed > 15 {
			t.Fatalf("%d writes were allowed there after 30 here", allowed)
		}
	}
}

func BenchmarkLimits(b *testing.B) {
	l := newLimiter(Limit{1_000_000, time.Second}, Limit{}, Limit{200, time.Hour})
	addresses := make([]netip.Addr, 1000)
	for i := range addresses {
		addresses[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	start := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		address := addresses[i%len(addresses)]
		if _, mayCreate, _ := l.write(address, time.Since(start), true); mayCreate {
			l.settle(address, time.Since(start), false)
		}
		if i%1000 == 999 {
			l.share(func([]byte) {})
		}
	}
}
