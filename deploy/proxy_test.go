package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/processtest"
	"github.com/tallycast/tallycast/internal/redistest"
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

func TestEveryPageOnEveryInstanceSeesALike(t *testing.T) {
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/hello"
		instances, _ := share(t, 3, "--drain", "0s")
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
		for n := 1; n <= 3; n++ {
			if status, count := like(t, client, f.url, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK || count != n {
				t.Fatalf("a like: %d, count %d", status, count)
			}
			began := time.Now()
			for _, p := range pages {
				p.awaitCount(t, n)
			}
			t.Logf("like %d was on all pages %v after its answer", n, time.Since(began).Round(time.Millisecond))
		}
	})
}

func TestTheClientsAddressIsKept(t *testing.T) {
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/addresses"
		instances, _ := share(t, 2, "--drain", "0s", "--rate-limit", "10/h")
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
	})
}

// With the exception of Caddy, whose pages have to come back.
func TestAReloadCutsNoPageOff(t *testing.T) {
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/reload"
		instances, _ := share(t, 2, "--drain", "0s")
		f := s.start(t, s.path, nil, instances...)
		open := func() []*page {
			return []*page{openStream(t, client, f.url, topic), openSocket(t, client, f.url, topic)}
		}
		pages := open()
		f.reload(t)
		if f.cutsPages {
			for _, p := range pages {
				processtest.Eventually(t, "the end of a page", p.ended)
			}
			pages = open() // as pages do by themselves
		}
		if status, _ := like(t, client, f.url, topic, "visitor-1"); status != http.StatusOK {
			t.Fatalf("a like: %d", status)
		}
		for _, p := range pages {
			p.awaitCount(t, 1)
		}
	})
}

// An instance that ends is left out, and asked again when it is back.
func TestNoLikeIsRefusedWhileAnInstanceEnds(t *testing.T) {
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
			if code := i.Exits(); code != 0 {
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

// What is shipped with 90 s runs here with three, and a page hears something each
// second instead of each 25.
func TestPagesThatHearBeatsAreNotCutOff(t *testing.T) {
	const theirs, here, every = 90 * time.Second, 3 * time.Second, time.Second
	if theirs < 2*beat+10*time.Second {
		t.Error("a beat that is late cuts a page off")
	}
	timeout := regexp.MustCompile(`(?m)^\s*(?:proxy_(?:read|send)_timeout|timeout (?:client|server|tunnel))\s+90s`)
	behindEach(t, func(t *testing.T, s shipped) {
		t.Parallel()
		const topic = "default/likes/silence"
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if found := len(timeout.FindAll(text, -1)); found < 2 && s.path != "Caddyfile" {
			t.Errorf("%d timeouts of %v", found, theirs)
		}
		shorter := filepath.Join(t.TempDir(), s.path)
		if err := os.WriteFile(shorter, []byte(strings.ReplaceAll(string(text), "90s", here.String())), 0o600); err != nil {
			t.Fatal(err)
		}
		instances, _ := share(t, 1, "--drain", "0s")
		f := s.start(t, shorter, nil, instances...)
		pages := []*page{openStream(t, client, f.url, topic), openSocket(t, client, f.url, topic)}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 1; time.Duration(n)*every <= 2*here+2*every; n++ {
			<-tick.C
			if status, _ := like(t, client, f.url, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK {
				t.Fatalf("a like: %d", status)
			}
			for _, p := range pages {
				p.awaitCount(t, n)
			}
		}
	})
}
