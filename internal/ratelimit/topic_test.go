package ratelimit

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

const (
	hello = "blog/likes/hello"
	other = "blog/likes/other"
)

// add makes a write that adds a contribution if it may. It returns whether it did.
func add(l *Limiter, client netip.Addr, topic string) bool {
	p, wait := l.Write(client, Write{Topic: topic, Adds: true})
	if wait > 0 {
		return false
	}
	p.Settle(false, p.MayAdd)
	return p.MayAdd
}

// An address adds as many contributions to a topic as the limit says. A write that adds none is
// free.
func TestTopicLimit_Address(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Topic: perHour(120)}, nil)
		for i := range 120 {
			if p, _ := l.Write(alice, Write{Topic: hello, Adds: true}); p.MayAdd {
				p.Settle(false, false) // a repetition
			} else {
				t.Fatalf("repetitions used up the limit after %d contributions", i)
			}
			if !add(l, alice, hello) {
				t.Fatalf("contribution %d is refused", i)
			}
		}
		p, wait := l.Write(alice, Write{Topic: hello, Adds: true})
		if wait != 0 || p.MayAdd || p.WaitToAdd != 30*time.Second {
			t.Fatalf("contribution 121: may add %t, wait %v and %v", p.MayAdd, wait, p.WaitToAdd)
		}
		if p, _ := l.Write(alice, Write{Topic: hello}); !p.MayAdd {
			t.Error("a withdrawal is limited")
		}
		if !add(l, alice, other) || !add(l, mallory, hello) {
			t.Error("another topic or address is limited")
		}
		time.Sleep(p.WaitToAdd)
		if !add(l, alice, hello) || add(l, alice, hello) {
			t.Error("not one contribution after the promised wait")
		}
	})
}

type sentPayload struct {
	sender  *Limiter
	payload []byte
}

// One address that never pauses adds at most 240 contributions to a topic in the first hour
// and 120 in each later one, through three instances at most 10% more.
func TestTopicLimit_Hours(t *testing.T) {
	const instances, delay = 3, 5 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{Writes: perSecond(20), NewTopics: perHour(200), Topic: perHour(120)}
		alone, all := New(limits, nil), []*Limiter{}
		for range instances {
			all = append(all, New(limits, secret))
		}
		for hour := range 2 {
			one, many := 0, 0
			for at := time.Duration(0); at < time.Hour; at += shareInterval {
				attempts := 1
				if at == 0 {
					attempts = 200 // as fast as possible, before the instances share
				}
				for range attempts {
					if add(alone, alice, hello) {
						one++
					}
					for _, l := range all {
						if add(l, alice, hello) {
							many++
						}
					}
				}
				var sent []sentPayload
				for _, l := range all {
					l.share(func(payload []byte) { sent = append(sent, sentPayload{l, payload}) })
				}
				time.Sleep(delay)
				for _, p := range sent {
					for _, l := range all {
						if l != p.sender {
							l.Receive(p.payload)
						}
					}
				}
				time.Sleep(shareInterval - delay)
			}
			most := 120
			if hour == 0 {
				most = 240
			}
			t.Logf("hour %d: %d through one instance, %d through %d", hour+1, one, many, instances)
			if one > most || one < most-1 {
				t.Errorf("hour %d: one instance accepted %d, want %d", hour+1, one, most)
			}
			if many > most*11/10 {
				t.Errorf("hour %d: %d instances accepted %d, want at most %d and 10%%", hour+1, instances, many, most)
			}
		}
	})
}

// Ten thousand addresses that contribute once are not refused, nor those of one IPv6 /48
// below its limit.
func TestTopicLimit_ManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Writes: perSecond(20), NewTopics: perHour(200), Topic: perHour(120)}, secret)
		for i := range 10_000 {
			if !add(l, netip.AddrFrom4([4]byte{203, byte(i >> 8), 113, byte(i)}), hello) {
				t.Fatalf("address %d is refused", i)
			}
		}
	})
}

// An IPv6 /48 has 16 times each limit, whatever /64 its clients use.
func TestLimiter_WideNetwork(t *testing.T) {
	const subnets = 4000
	address := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(i >> 8), byte(i)})
	}
	neighbour := netip.MustParseAddr("2001:db8:2::")
	for name, test := range map[string]struct {
		limits Limits
		try    func(*Limiter, netip.Addr) bool
		want   int
	}{
		"writes": {Limits{Writes: perHour(2)}, func(l *Limiter, client netip.Addr) bool {
			ok, _, _ := like(l, client, false)
			return ok
		}, 16 * burst * 2},
		"new topics": {Limits{NewTopics: perHour(3)}, func(l *Limiter, client netip.Addr) bool {
			_, mayCreate, _ := like(l, client, true)
			return mayCreate
		}, 16 * 3},
		"contributions": {Limits{Topic: perHour(120)}, func(l *Limiter, client netip.Addr) bool {
			return add(l, client, hello)
		}, 16 * 120},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := New(test.limits, secret), New(test.limits, secret)
				got := 0
				for i := range subnets {
					if test.try(here, address(i)) {
						got++
					}
				}
				if got != test.want {
					t.Errorf("the /48 got %d, want %d", got, test.want)
				}
				here.share(there.Receive)
				if test.try(there, address(subnets)) {
					t.Error("another instance does not know of it")
				}
				if !test.try(here, neighbour) || !test.try(there, neighbour) {
					t.Error("a neighbour is limited")
				}
			})
		})
	}
}

// Memory is bounded, and an empty bucket is kept longer than those that are nearly full.
func TestTopicLimit_Memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Limits{Topic: perHour(120)}, nil)
		for add(l, mallory, hello) {
		}
		const most = shardCount * maxShardLines * lineCells
		for i := range most * 5 / 4 {
			add(l, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), hello)
		}
		lines := 0
		for i := range l.tables[topicBucket].shards {
			lines += len(l.tables[topicBucket].shards[i].lines)
		}
		if lines*lineCells > most {
			t.Errorf("%d buckets, at most %d may be", lines*lineCells, most)
		}
		if l.tables[topicBucket].evicted.Load() == 0 {
			t.Error("no bucket was forgotten")
		}
		if add(l, mallory, hello) {
			t.Error("the empty bucket was forgotten")
		}
	})
}
