package deploy_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// startInstances starts instances that share a Redis and trust only the address of the
// proxies, 127.0.0.1. It also returns their flags.
func startInstances(t *testing.T, count int, args ...string) (instances []*processtest.Instance, flags []string) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	flags = append(args, "--store", server.URL(0), "--trusted-proxy", "127.0.0.1")
	for range count {
		instances = append(instances, startInstance(t, flags...))
	}
	return instances, flags
}

// forEachProxy runs a test with each proxy, in parallel with other tests.
func forEachProxy(t *testing.T, test func(t *testing.T, p proxy)) {
	t.Parallel()
	for name, p := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// Every page on every instance receives a like at once: no proxy buffers frames.
func TestPages_LikeBehindProxy(t *testing.T) {
	forEachProxy(t, func(t *testing.T, p proxy) {
		const topic = "default/likes/hello"
		instances, _ := startInstances(t, 3, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
		running := p.start(t, p.config, nil, instances...)
		var pages []*page
		for range len(instances) {
			pages = append(pages, openStream(t, client, running.url, topic), openSocket(t, client, running.url, topic))
		}
		for _, i := range instances {
			if i.Metric("tallycast_viewers") < 1 {
				t.Error("an instance has no pages: the proxy does not balance them")
			}
		}
		checkLatency(t, pages, running.url, topic, 0)
	})
}

// The instances see each client's address, not the proxy's, and no address that the
// client made up.
func TestProxies_ClientAddress(t *testing.T) {
	forEachProxy(t, func(t *testing.T, p proxy) {
		const topic = "default/likes/addresses"
		instances, _ := startInstances(t, 2, "--drain", "0s", "--rate-limit", "10/h", "--max-viewers-per-address", "2")
		running := p.start(t, p.config, nil, instances...)
		one, other := clientFrom("127.0.0.2"), clientFrom("127.0.0.3")
		// A visitor without an id is identified by the address.
		for range 2 {
			if _, count := like(t, one, running.url, topic, ""); count != 1 {
				t.Errorf("the first address: count %d", count)
			}
		}
		if _, count := like(t, other, running.url, topic, ""); count != 2 {
			t.Errorf("the second address: count %d", count)
		}
		if _, count := like(t, one, running.url, topic, "", "X-Forwarded-For", "203.0.113.9"); count != 2 {
			t.Errorf("a made-up address: count %d", count)
		}
		// Limits count per address: a burst of 30, and more until the instances exchanged them.
		limited := false
		for n := 0; n < 300 && !limited; n++ {
			status, _ := like(t, one, running.url, topic, fmt.Sprintf("visitor-%d", n))
			limited = status == http.StatusTooManyRequests
		}
		if !limited {
			t.Error("one address was never limited")
		}
		if status, _ := like(t, other, running.url, topic, "visitor-x"); status != http.StatusOK {
			t.Errorf("the other address was limited too: %d", status)
		}
		// The limit of open pages also counts per address: two on each instance.
		held, most := 0, 2*len(instances)
		for range most + 2 {
			if _, _, err := tryOpen(t, "socket", one, running.url, topic).state(); err == nil {
				held++
			} else if websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
				t.Errorf("a page was refused: %v", err)
			}
		}
		if held == 0 || held > most {
			t.Errorf("one address holds %d pages", held)
		}
		openSocket(t, other, running.url, topic)
		openStream(t, other, running.url, topic)
	})
}

// No like is refused while instances end. A restarted instance gets requests again.
func TestProxies_InstanceEnds(t *testing.T) {
	forEachProxy(t, func(t *testing.T, p proxy) {
		const topic = "default/likes/rolling"
		instances, args := startInstances(t, 3, "--drain", "2s", "--rate-limit", "off", "--topic-limit", "off")
		running := p.start(t, p.config, nil, instances...)
		page := openStream(t, client, instances[2].URL, topic)
		likes := 0
		send := func() {
			t.Helper()
			likes++
			if status, _ := like(t, client, running.url, topic, fmt.Sprintf("visitor-%d", likes)); status != http.StatusOK {
				t.Fatalf("like %d: %d", likes, status)
			}
		}
		for _, i := range instances[:2] {
			for range 20 {
				send()
			}
			i.Terminate()
			for !i.HasEnded() {
				send()
			}
			if code := i.ExitCode(); code != 0 {
				t.Errorf("exit %d", code)
			}
		}
		for range 20 {
			send()
		}
		page.awaitCount(t, likes)

		restarted := startInstance(t, append(args, "--listen", instances[0].Address())...)
		processtest.Eventually(t, "a page on the restarted instance", func() bool {
			openStream(t, client, running.url, topic)
			return restarted.Metric("tallycast_viewers") > 0
		})
	})
}

// Behind a proxy that ends TLS, pages and likes work over HTTP/2, and the service
// recognises its own origin.
func TestProxies_TLSAndHTTP2(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"HAProxy", "Caddy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const topic = "default/likes/secure"
			instances, _ := startInstances(t, 2, "--drain", "0s")
			own := newCertificate(t)
			running := proxies[name].start(t, proxies[name].config, own, instances...)
			two := own.client()
			two.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			response, err := two.Get(running.url + "/v1/" + topic)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.ProtoMajor != 2 {
				t.Errorf("the protocol is %s", response.Proto)
			}
			pages := []*page{openStream(t, two, running.url, topic), openSocket(t, own.client(), running.url, topic)}
			// The service's own origin is allowed, so the proxy forwards host and port.
			if status, _ := like(t, two, running.url, topic, "visitor-1", "Origin", running.url); status != http.StatusOK {
				t.Errorf("a like from its own origin: %d", status)
			}
			for _, p := range pages {
				p.awaitCount(t, 1)
			}
			two.CloseIdleConnections()
		})
	}
}
