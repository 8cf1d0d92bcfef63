package deploy_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// beat is how often an open page hears something when nothing changes.
const beat = 25 * time.Second

// share starts instances that share a Redis. They trust the address from which the
// proxies come, 127.0.0.1, and no other.
func share(t *testing.T, count int, args ...string) (instances []*processtest.Instance, all []string) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	all = append(args, "--store", server.URL(0), "--trusted-proxy", "127.0.0.1")
	for range count {
		instances = append(instances, startInstance(t, all...))
	}
	return instances, all
}

func behindEach(t *testing.T, test func(t *testing.T, s shipped)) {
	for name, s := range fronts {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// At once: nothing between gathers what is to be live.
func TestEveryPageOnEveryInstanceSeesALike(t *testing.T) {
	t.Parallel()
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/hello"
		instances, _ := share(t, 3, "--drain", "0s", "--rate-limit", "off")
		f := s.start(t, s.path, nil, instances...)
		var pages []*page
		for range len(instances) {
			pages = append(pages, openStream(t, client, f.url, topic), openSocket(t, client, f.url, topic))
		}
		for _, i := range instances {
			if i.Metric("tallycast_viewers") < 1 {
				t.Error("the pages are not balanced: an instance has none")
			}
		}
		checkAtOnce(t, pages, f.url, topic, 0)
	})
}

func TestTheClientsAddressIsKept(t *testing.T) {
	t.Parallel()
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/addresses"
		instances, _ := share(t, 2, "--drain", "0s", "--rate-limit", "10/h", "--max-viewers-per-address", "2")
		f := s.start(t, s.path, nil, instances...)
		one, other := clientFrom("127.0.0.2"), clientFrom("127.0.0.3")
		// Who names no visitor is known by the address.
		for range 2 {
			if _, count := like(t, one, f.url, topic, ""); count != 1 {
				t.Errorf("the first address: count %d", count)
			}
		}
		if _, count := like(t, other, f.url, topic, ""); count != 2 {
			t.Errorf("the second address: count %d", count)
		}
		if _, count := like(t, one, f.url, topic, "", "X-Forwarded-For", "203.0.113.9"); count != 2 {
			t.Errorf("an address that the client made up: count %d", count)
		}
		// Limits are of an address: 30 at once, and what instances did not know yet.
		limited := false
		for n := 0; n < 300 && !limited; n++ {
			status, _ := like(t, one, f.url, topic, fmt.Sprintf("visitor-%d", n))
			limited = status == http.StatusTooManyRequests
		}
		if !limited {
			t.Error("one address was never limited")
		}
		if status, _ := like(t, other, f.url, topic, "visitor-x"); status != http.StatusOK {
			t.Errorf("the other address was limited too: %d", status)
		}
		// So are those of open pages: two on each instance.
		held, most := 0, 2*len(instances)
		for range most + 2 {
			if _, _, err := tryOpen(t, "socket", one, f.url, topic).seen(); err == nil {
				held++
			} else if websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
				t.Errorf("a page was refused: %v", err)
			}
		}
		if held == 0 || held > most {
			t.Errorf("one address holds %d pages", held)
		}
		openSocket(t, other, f.url, topic)
		openStream(t, other, f.url, topic)
	})
}

// An instance that ends is left out, and asked again when it is back.
func TestNoLikeIsRefusedWhileAnInstanceEnds(t *testing.T) {
	t.Parallel()
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/rolling"
		instances, args := share(t, 3, "--drain", "2s", "--rate-limit", "off")
		f := s.start(t, s.path, nil, instances...)
		survivor := openStream(t, client, instances[2].URL, topic)
		likes := 0
		press := func() {
			t.Helper()
			likes++
			if status, _ := like(t, client, f.url, topic, fmt.Sprintf("visitor-%d", likes)); status != http.StatusOK {
				t.Fatalf("like %d: %d", likes, status)
			}
		}
		for _, i := range instances[:2] {
			for range 20 {
				press()
			}
			i.Terminate()
			for !i.HasEnded() {
				press()
			}
			if code := i.ExitCode(); code != 0 {
				t.Errorf("exit %d", code)
			}
		}
		for range 20 {
			press()
		}
		survivor.awaitCount(t, likes)

		back := startInstance(t, append(args, "--listen", instances[0].Address())...)
		processtest.Eventually(t, "a page on the instance that is back", func() bool {
			openStream(t, client, f.url, topic)
			return back.Metric("tallycast_viewers") > 0
		})
	})
}

func TestOverTLSAndHTTP2(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"HAProxy", "Caddy"} {
		t.Run(name, func(t *testing.T) {
			const topic = "default/likes/secure"
			instances, _ := share(t, 2, "--drain", "0s")
			own := newCertificate(t)
			f := fronts[name].start(t, fronts[name].path, own, instances...)
			two := own.client()
			two.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			response, err := two.Get(f.url + "/v1/" + topic)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.ProtoMajor != 2 {
				t.Errorf("it speaks %s", response.Proto)
			}
			pages := []*page{openStream(t, two, f.url, topic), openSocket(t, own.client(), f.url, topic)}
			// A page's own origin is allowed, which shows that the host came with its port.
			if status, _ := like(t, two, f.url, topic, "visitor-1", "Origin", f.url); status != http.StatusOK {
				t.Errorf("a like from its own origin: %d", status)
			}
			for _, p := range pages {
				p.awaitCount(t, 1)
			}
			two.CloseIdleConnections()
		})
	}
}
