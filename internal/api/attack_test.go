package api

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// attackScale divides the numbers of an attack. The table of docs/guides/attacks.md has scale
// 1.
var attackScale = flag.Int("attack-scale", 40, "divide the numbers of TestAttack_DefaultLimits by this")

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

// run measures the attack through the public handler, on SQLite, with a trusted proxy. It
// runs in a synctest bubble, whose clock is that of service and store.
func (a *attack) run(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{Journal: 7 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := slog.New(slog.DiscardHandler)
	h, tracker, service := hub.New(store, hub.Options{Formats: push.Formats()}), presence.New(store, 0), tally.NewService(store, catalog)
	pusher, err := push.New(h, tracker, catalog, push.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ownerService := owner.New(store, service, owner.Options{Log: log})
	api, err := New(Options{
		Service: service, Hub: h, Push: pusher, Health: store.Health, Sites: map[string][]string{"blog": {"*"}},
		TrustedProxies: private, Limits: ratelimit.New(defaultLimits, store.Secret), Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(14, uint64(a.addresses)))
	hello, err := catalog.Resolve("blog/likes/hello")
	if err != nil {
		t.Fatal(err)
	}
	like := func(visitor string, from netip.Addr) bool {
		request := httptest.NewRequest("POST", "/v1/blog/likes/hello", strings.NewReader(`{"visitor":"`+visitor+`"}`))
		request.RemoteAddr = "127.0.0.1:9"
		request.Header.Set("X-Forwarded-For", from.String())
		w := httptest.NewRecorder()
		api.Public().ServeHTTP(w, request)
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
	for i := range 6 * 24 { // a usual week
		if i%2 == 0 {
			like(fmt.Sprint("earlier-", i), netip.AddrFrom4([4]byte{92, byte(i), 1, 1}))
		}
		time.Sleep(time.Hour)
	}
	const steps, perMinute = 360, 6
	began := time.Now()
	var spike owner.Spike
	search := func() {
		spikes, err := ownerService.Spikes(t.Context(), tally.Scope{}, time.Hour)
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
		time.Sleep(time.Minute / perMinute)
		if step%perMinute == perMinute-1 && a.listedAfter == 0 {
			if search(); spike.Contributions > 0 {
				a.listedAfter = time.Since(began)
			}
		}
	}
	search()
	if a.listedAfter > 0 {
		if _, err := ownerService.Revert(t.Context(), "test", owner.Selection{Topics: []tally.Topic{hello}, From: spike.From, To: spike.To, Repeated: true}, false); err != nil {
			t.Fatal(err)
		}
	}
	left := func(prefix string, n int) (left int) {
		for i := range n {
			readings, err := service.Read(t.Context(), []tally.Topic{hello}, fmt.Sprint(prefix, i))
			if err != nil {
				t.Fatal(err)
			}
			left += int(readings[0].Mine)
		}
		return left
	}
	a.attackLeft, a.genuineLeft = left("attacker-", a.likes), left("genuine-", a.genuine)
}

// The limits, the list of spikes and a revert bound what an attack does to a topic, and spare
// genuine visitors.
func TestAttack_DefaultLimits(t *testing.T) {
	for _, addresses := range []int{50, 5_000, 50_000} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attack{likes: 100_000 / *attackScale, addresses: max(addresses / *attackScale, 1), genuine: 1000 / *attackScale}
				a.run(t)
				t.Logf("%d likes from %d addresses, %d genuine visitors: accepted %d, genuine refused %d, listed after %v; after a revert %d of the attack, %d genuine",
					a.likes, a.addresses, a.genuine, a.accepted, a.genuineRefused, a.listedAfter, a.attackLeft, a.genuineLeft)
				if a.accepted > 240*a.addresses || a.genuineRefused > 0 || a.listedAfter == 0 {
					t.Errorf("%+v", a)
				}
				if 10*a.attackLeft > 4*a.accepted || 10*a.genuineLeft < 8*a.genuine {
					t.Errorf("after the revert: %+v", a)
				}
			})
		})
	}
}
