package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// liker sends likes, each of another visitor, until it is stopped.
type liker struct {
	stop         func() (acknowledged int) // and waits for the last response
	acknowledged func() int
}

// startLiking sends likes for topic to url. It repeats a like without a response, which
// counts once; a refused like fails the test.
func startLiking(t *testing.T, url, topic string) *liker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var liking sync.WaitGroup
	acknowledged := 0
	read := func() int {
		mu.Lock()
		defer mu.Unlock()
		return acknowledged
	}
	liking.Go(func() { // ends with ctx
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n, tries := 1, 0; ctx.Err() == nil; <-tick.C {
			// Not ctx: a like that was sent gets its response.
			status, _, err := tryLike(context.Background(), client, url, topic, fmt.Sprintf("visitor-%d", n))
			switch {
			case err != nil && tries < 100:
				tries++
			case err != nil || status != http.StatusOK:
				t.Errorf("like %d: %d %v", n, status, err)
				return
			default:
				n, tries = n+1, 0
				mu.Lock()
				acknowledged++
				mu.Unlock()
			}
		}
	})
	l := &liker{acknowledged: read, stop: func() int {
		cancel()
		liking.Wait()
		return read()
	}}
	t.Cleanup(func() { l.stop() })
	return l
}

// A reload under load refuses no like. Pages stay connected; if the proxy is Caddy, which
// closes them, they reconnect and show the current count.
func TestProxies_Reload(t *testing.T) {
	forEachProxy(t, func(t *testing.T, p proxy) {
		const topic = "default/likes/reload"
		instances, _ := startInstances(t, 2, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
		running := p.start(t, p.config, nil, instances...)
		var pages []*page
		for range 2 {
			pages = append(pages, openReconnecting(t, "stream", client, running.url, topic), openReconnecting(t, "socket", client, running.url, topic))
		}
		liker := startLiking(t, running.url, topic)
		likes := func(n int) {
			t.Helper()
			before := liker.acknowledged()
			processtest.Eventually(t, "likes", func() bool { return t.Failed() || liker.acknowledged() >= before+n })
		}
		likes(10)
		running.reload(t)
		if running.reloadDisconnects {
			processtest.Eventually(t, "the sockets are disconnected", func() bool {
				for _, p := range pages {
					if _, disconnects, _ := p.state(); p.transport == "socket" && disconnects == 0 {
						return false
					}
				}
				return true
			})
		}
		likes(10)
		acknowledged := liker.stop()
		// 5 s are promised after a fault; a disconnected page waits before it reconnects.
		processtest.Within(t, 10*time.Second, "every page shows the current count", func() bool {
			for _, p := range pages {
				if frames, _, _ := p.state(); p.count(frames) != acknowledged {
					return false
				}
			}
			return true
		})
		for _, p := range pages {
			_, disconnects, _ := p.state()
			if disconnects > 0 && !running.reloadDisconnects {
				t.Errorf("a %s was disconnected", p.transport)
			}
			p.checkVersions(t)
			t.Logf("a %s was disconnected %d times and shows %d likes", p.transport, disconnects, acknowledged)
		}
		openSocket(t, client, running.url, topic).awaitCount(t, acknowledged)
	})
}
