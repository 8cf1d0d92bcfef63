package ratelimit

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alice   = netip.MustParseAddr("198.51.100.1")
	mallory = netip.MustParseAddr("198.51.100.2")
)

func perSecond(n int) Limit { return Limit{Count: n, Per: time.Second} }
func perHour(n int) Limit   { return Limit{Count: n, Per: time.Hour} }

func secret() ([]byte, error) { return []byte("the secret of the store"), nil }

// like makes a write that may create its topic, and does if created is true. It returns whether
// the limit of writes admits it, whether it may create, and how long to wait.
func like(l *Limiter, client netip.Addr, created bool) (ok, mayCreate bool, wait time.Duration) {
	p, wait := l.Write(client, Write{Topic: "blog/likes/hello", Creates: true})
	if wait > 0 {
		return false, false, wait
	}
	p.Settle(created, false)
	return true, p.MayCreate, p.WaitToCreate
}

// A bucket gives no more than its burst and its rate, and gives what a refusal promised.
func TestRate_Bounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 50).Draw(t, "count")
		r := NewRate(perSecond(count), burst)
		var full, now time.Duration
		given := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond
			n := rapid.IntRange(1, count).Draw(t, "n")
			if wait := r.Take(&full, now, n); wait == 0 {
				given += n
			} else if again := full; r.Take(&again, now+wait, n) != 0 {
				t.Fatalf("refused after the promised wait of %v", wait)
			}
			if most := burst*count + int(now/r.interval) + 1; given > most {
				t.Fatalf("%d of at most %d after %v", given, most, now)
			}
		}
	})
}

func TestLimiter_Writes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Writes: perSecond(20)}, nil)
		for i := range 60 {
			if ok, _, _ := like(l, alice, false); !ok {
				t.Fatalf("write %d was refused", i)
			}
		}
		ok, _, wait := like(l, alice, false)
		if ok || wait != 50*time.Millisecond {
			t.Fatalf("write 61: %v, wait %v", ok, wait)
		}
		if ok, _, _ := like(l, mallory, false); !ok {
			t.Fatal("another address is refused too")
		}
		time.Sleep(wait)
		if ok, _, _ := like(l, alice, false); !ok {
			t.Fatal("refused after the promised wait")
		}
	})
}

func TestLimiter_Reads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Reads: perSecond(500)}, nil)
		if l.Read(alice, 1000) != 0 || l.Read(alice, 500) != 0 {
			t.Fatal("a burst is refused")
		}
		if wait := l.Read(alice, 1); wait != 2*time.Millisecond {
			t.Fatalf("wait %v", wait)
		}
		small := New(Limits{Reads: perSecond(10)}, nil)
		if small.Read(alice, 1000) != 0 {
			t.Fatal("a call with more topics than a burst can never be made")
		}
		if small.Read(alice, 1) == 0 {
			t.Fatal("such a call leaves something in the bucket")
		}
	})
}

func TestLimiter_NewTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{NewTopics: perHour(3)}, nil)
		for range 100 {
			if _, mayCreate, _ := like(l, alice, false); !mayCreate {
				t.Fatal("likes of topics that exist used up the limit")
			}
		}
		for range 3 {
			like(l, alice, true)
		}
		if ok, mayCreate, wait := like(l, alice, false); !ok || mayCreate || wait != 20*time.Minute {
			t.Fatalf("after three: %v %v %v", ok, mayCreate, wait)
		}
	})
}

func TestLimiter_Off(t *testing.T) {
	l := New(Limits{}, secret)
	for range 10_000 {
		if ok, mayCreate, _ := like(l, alice, true); !ok || !mayCreate || l.Read(alice, 1000) != 0 {
			t.Fatal("refused")
		}
	}
	if n := l.addressCount(); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Instances count the writes and new topics of an address together. The first share,
// which applies the secret, forgets no reads.
func TestLimiter_Share(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := New(Limits{Writes: perSecond(20), Reads: perHour(1), NewTopics: perHour(3)}, secret), New(Limits{Writes: perSecond(20), NewTopics: perHour(3)}, secret)
		for range 60 {
			like(here, alice, false)
		}
		like(here, mallory, true)
		here.Read(alice, burst)
		sent := 0
		send := func(payload []byte) { sent++; there.Receive(payload) }
		here.share(send)
		if ok, _, wait := like(there, alice, false); ok || wait != 50*time.Millisecond {
			t.Fatalf("used up there, and here %v, wait %v", ok, wait)
		}
		if ok, _, _ := like(there, mallory, true); !ok {
			t.Fatal("one write there is 60 here")
		}
		like(there, mallory, true)
		if _, mayCreate, _ := like(there, mallory, false); mayCreate {
			t.Fatal("a topic created there is not counted here")
		}
		here.share(send)
		if sent != 1 {
			t.Fatalf("%d payloads for one use", sent)
		}
		if here.Read(alice, 1) == 0 {
			t.Fatal("the reads before the first share are forgotten")
		}
	})
}

func TestLimiter_SharePayloadSize(t *testing.T) {
	const addresses = 10_000
	here, there := New(Limits{Writes: perHour(1)}, secret), New(Limits{Writes: perHour(1)}, secret)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range addresses {
		for range burst {
			like(here, address(i), false)
		}
	}
	here.share(func(payload []byte) {
		if len(payload) > maxPayloadBytes {
			t.Errorf("a payload of %d bytes", len(payload))
		}
		there.Receive(payload)
	})
	for i := range addresses {
		if ok, _, _ := like(there, address(i), false); ok {
			t.Fatalf("address %d is not known there", i)
		}
	}
}

// Memory is bounded, and idle addresses are forgotten.
func TestLimiter_Memory(t *testing.T) {
	unknown := func() ([]byte, error) { return nil, errors.New("the store was not reached yet") }
	for name, secret := range map[string]func() ([]byte, error){"shared": secret, "unknown": unknown, "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Limits{Writes: perSecond(20)}, secret)
				for i := range 600_000 {
					like(l, netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 16), byte(i >> 8), byte(i)}), false)
				}
				const most = shardCount * maxShardLines * lineCells
				if n := l.addressCount(); n > most || n < most/2 {
					t.Fatalf("%d addresses are remembered, at most %d may be", n, most)
				}
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { _ = l.Run(ctx, func([]byte) {}) })
				time.Sleep(2 * shardCount * shareInterval)
				if n := l.addressCount(); n != 0 {
					t.Fatalf("%d idle addresses are remembered", n)
				}
				stop()
				running.Wait()
			})
		})
	}
}

func TestClientAddress(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7":          "203.0.113.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2:ffff::1": "2001:db8:1:2::",
	} {
		if got := ClientAddress(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s is counted as %s, want %s", address, got, want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	l := New(Limits{Writes: perSecond(20), NewTopics: perHour(3)}, secret)
	like(l, alice, false)
	l.share(func(payload []byte) { f.Add(payload) })
	f.Add([]byte("u\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"))
	f.Add([]byte("u\x02anything at all"))
	f.Add([]byte("u\x03anything"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		l := New(Limits{Writes: perSecond(20), NewTopics: perHour(3)}, secret)
		l.Receive(payload)
		rate := l.tables[writeBucket].rate
		for i := range l.tables[writeBucket].shards {
			for _, line := range l.tables[writeBucket].shards[i].lines {
				for _, b := range line {
					if wait := rate.Take(&b.full, l.now(), 1); wait > rate.interval+maxDebt*rate.depth {
						t.Fatalf("a wait of %v: the debt is above its bound", wait)
					}
				}
			}
		}
	})
}

func BenchmarkLimiter(b *testing.B) {
	l := New(Limits{Writes: perSecond(1_000_000), NewTopics: perHour(200), Topic: perHour(120)}, secret)
	addresses := make([]netip.Addr, 1000)
	for i := range addresses {
		addresses[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		address := addresses[i%len(addresses)]
		if p, wait := l.Write(address, Write{Topic: "blog/likes/hello", Creates: true, Adds: true}); wait == 0 {
			p.Settle(false, i < len(addresses))
		}
		if i%1000 == 999 {
			l.share(func([]byte) {})
		}
	}
}
