package api

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// attackScale divides the numbers of an attack. The tables of docs/guides/attacks.md have scale
// 1, and more attacks.
var attackScale = flag.Int("attack-scale", 100, "divide the numbers of TestAttack_DefaultLimits by this")

// attack is an attack on one topic in an hour, beside genuine visitors.
type attack struct {
	likes, addresses, genuine int

	accepted, genuineRefused int
	listedAfter              time.Duration // 0: never
	attackLeft, genuineLeft  int           // after a revert of the spike
}

// defaultLimits are the defaults of the flags.
var defaultLimits = ratelimit.Limits{
	Writes: ratelimit.Limit{Count: 20, Per: time.Second}, Reads: ratelimit.Limit{Count: 500, Per: time.Second},
	NewTopics: hourly(200), Topic: hourly(120),
}

// attackTarget are the instances of a service on one store, and its owner. Their clock is that
// of a synctest bubble.
type attackTarget struct {
	instances []*attackInstance
	owner     *owner.Service
	// follow sets the clock of a store that is outside the bubble.
	follow func()
}

type attackInstance struct {
	*API
	service *tally.Service
	limiter *ratelimit.Limiter
}

// attackStore is the part of a store that an attacked instance uses.
type attackStore interface {
	tally.Store
	tally.Ledger
	tally.Feed
}

// attackStores start the instances on each store: SQLite has one, Redis two.
var attackStores = map[string]func(t *testing.T, server *redistest.Server) *attackTarget{
	"SQLite": func(t *testing.T, _ *redistest.Server) *attackTarget {
		store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{Journal: 7 * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return newAttackTarget(t, func() {}, store)
	},
	"Redis": func(t *testing.T, server *redistest.Server) *attackTarget {
		follow := func() { // the server's clock runs on while the bubble's stands still
			var real syscall.Timeval
			if err := syscall.Gettimeofday(&real); err != nil {
				t.Fatal(err)
			}
			server.SetClock(time.Since(time.Unix(real.Unix())))
		}
		follow()
		stores := make([]attackStore, 2)
		for i := range stores {
			store, err := redisstore.Open(server.URL(0), catalog, redisstore.Options{Journal: 7 * 24 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			if err := store.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			stores[i] = store
		}
		return newAttackTarget(t, follow, stores...)
	},
}

// newAttackTarget starts an instance on each store. All stores have the same data.
func newAttackTarget(t *testing.T, follow func(), stores ...attackStore) *attackTarget {
	target := &attackTarget{follow: follow}
	log := slog.New(slog.DiscardHandler)
	for _, store := range stores {
		h, tracker, service := hub.New(store, hub.Options{Formats: push.Formats()}), presence.New(store, 0), tally.NewService(store, catalog)
		pusher, err := push.New(h, tracker, catalog, push.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if target.owner == nil {
			target.owner = owner.New(store, service, owner.Options{Log: log})
		}
		i := &attackInstance{service: service, limiter: ratelimit.New(defaultLimits, store.Secret)}
		i.API, err = New(Options{
			Service: service, Hub: h, Push: pusher, Health: store.Health, Sites: map[string][]string{"blog": {"*"}},
			TrustedProxies: private, Limits: i.limiter, Logger: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		target.instances = append(target.instances, i)
	}
	return target
}

// share makes the instances share what addresses used, until the test ends.
func (g *attackTarget) share(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, from := range g.instances {
		running.Go(func() {
			_ = from.limiter.Run(ctx, func(payload []byte) {
				for _, to := range g.instances {
					if to != from {
						to.limiter.Receive(payload)
					}
				}
			})
		})
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// run measures the attack through the public handlers, with a trusted proxy.
func (a *attack) run(t *testing.T, target *attackTarget) {
	random := rand.New(rand.NewPCG(14, uint64(a.addresses)))
	hello, err := catalog.Resolve("blog/likes/hello")
	if err != nil {
		t.Fatal(err)
	}
	var turn atomic.Int64 // of the instances
	like := func(visitor string, from netip.Addr) bool {
		request := httptest.NewRequest("POST", "/v1/blog/likes/hello", strings.NewReader(`{"visitor":"`+visitor+`"}`))
		request.RemoteAddr = "127.0.0.1:9"
		request.Header.Set("X-Forwarded-For", from.String())
		w := httptest.NewRecorder()
		target.instances[int(turn.Add(1))%len(target.instances)].Public().ServeHTTP(w, request)
		return w.Code == 200
	}
	// Genuine visitors have addresses of their own, a tenth of them in one school.
	genuineAddress := func(i int) netip.Addr {
		if i%10 == 0 {
			return netip.MustParseAddr("198.51.100.7")
		}
		return netip.AddrFrom4([4]byte{91, byte(i >> 8), byte(i), 5})
	}
	// Up to 50 addresses of the attacker are ten in each network. More are random.
	addresses := make([]netip.Addr, a.addresses)
	for i := range addresses {
		addresses[i] = netip.AddrFrom4([4]byte{byte(11 + random.IntN(60)), byte(random.IntN(256)), byte(random.IntN(256)), byte(1 + random.IntN(250))})
		if a.addresses <= 50 {
			addresses[i] = netip.AddrFrom4([4]byte{203, 0, byte(i / 10), byte(i)})
		}
	}
	wait := func(d time.Duration) {
		time.Sleep(d)
		target.follow()
	}
	for i := range 6 * 24 { // a usual week
		if i%2 == 0 {
			like(fmt.Sprint("earlier-", i), netip.AddrFrom4([4]byte{92, byte(i), 1, 1}))
		}
		wait(time.Hour)
	}
	target.share(t)
	steps, perMinute := 3600, 60
	if *attackScale > 1 {
		steps, perMinute = 360, 6
	}
	began := time.Now()
	var spike owner.Spike
	search := func() {
		spikes, err := target.owner.Spikes(t.Context(), tally.Scope{}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(spikes) > 0 {
			spike = spikes[0]
		}
	}
	for step := range steps {
		var pending sync.WaitGroup
		var mu sync.Mutex
		send := func(visitor string, from netip.Addr, count func(ok bool)) {
			pending.Go(func() {
				ok := like(visitor, from)
				mu.Lock()
				defer mu.Unlock()
				count(ok)
			})
		}
		for i := a.likes * step / steps; i < a.likes*(step+1)/steps; i++ {
			send(fmt.Sprint("attacker-", i), addresses[random.IntN(a.addresses)], func(ok bool) {
				if ok {
					a.accepted++
				}
			})
		}
		for i := a.genuine * step / steps; i < a.genuine*(step+1)/steps; i++ {
			send(fmt.Sprint("genuine-", i), genuineAddress(i), func(ok bool) {
				if !ok {
					a.genuineRefused++
				}
			})
		}
		pending.Wait()
		wait(time.Minute / time.Duration(perMinute))
		if step%perMinute == perMinute-1 && a.listedAfter == 0 {
			if search(); spike.Contributions > 0 {
				a.listedAfter = time.Since(began)
			}
		}
	}
	search()
	if a.listedAfter > 0 {
		if _, err := target.owner.Revert(t.Context(), "test", owner.Selection{Topics: []tally.Topic{hello}, From: spike.From, To: spike.To, Repeated: true}, false); err != nil {
			t.Fatal(err)
		}
	}
	left := func(prefix string, n int) (left int) {
		for i := range n {
			readings, err := target.instances[0].service.Read(t.Context(), []tally.Topic{hello}, fmt.Sprint(prefix, i))
			if err != nil {
				t.Fatal(err)
			}
			left += int(readings[0].Mine)
		}
		return left
	}
	a.attackLeft, a.genuineLeft = left("attacker-", a.likes), left("genuine-", a.genuine)
}

// The limits, the list of spikes and a revert bound the effect of an attack on a topic, and do not affect
// genuine visitors.
func TestAttack_DefaultLimits(t *testing.T) {
	for name, start := range attackStores {
		for _, addresses := range []int{50, 5_000, 50_000} {
			if *attackScale > 1 && addresses != map[string]int{"SQLite": 50_000, "Redis": 50}[name] {
				continue
			}
			t.Run(fmt.Sprint(name, "/", addresses), func(t *testing.T) {
				var server *redistest.Server
				if name == "Redis" {
					server = redistest.Start(t, redistest.Options{Clock: true}) // outside the bubble
				}
				synctest.Test(t, func(t *testing.T) {
					a := attack{likes: 100_000 / *attackScale, addresses: max(addresses / *attackScale, 1), genuine: 1000 / *attackScale}
					a.run(t, start(t, server))
					t.Logf("%d likes from %d addresses, %d genuine visitors: accepted %d, genuine refused %d, listed after %v; after a revert %d of the attack, %d genuine",
						a.likes, a.addresses, a.genuine, a.accepted, a.genuineRefused, a.listedAfter, a.attackLeft, a.genuineLeft)
					if a.accepted > 240*a.addresses*11/10 || a.genuineRefused > 0 || a.listedAfter == 0 {
						t.Errorf("%+v", a)
					}
					if 10*a.attackLeft > 4*a.accepted || 10*a.genuineLeft < 8*a.genuine {
						t.Errorf("after the revert: %+v", a)
					}
				})
			})
		}
	}
}
