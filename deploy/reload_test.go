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

// presser likes through one address until it is stopped, each time as another visitor.
type presser struct {
	stop func() (acknowledged int) // and waits
	// answered returns how many likes were acknowledged so far.
	answered func() int
}

// startPressing likes topic through url. A like that gets no answer is said again,
// which counts once; one that is refused fails the test.
func startPressing(t *testing.T, url, topic string) *presser {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var pressing sync.WaitGroup
	acknowledged := 0
	read := func() int {
		mu.Lock()
		defer mu.Unlock()
		return acknowledged
	}
	pressing.Go(func() { // ends with ctx
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n, tries := 1, 0; ctx.Err() == nil; <-tick.C {
			// Not with ctx: what was sent is answered.
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
	p := &presser{answered: read, stop: func() int {
		cancel()
		pressing.Wait()
		return read()
	}}
	t.Cleanup(func() { p.stop() })
	return p
}

// While likes come, a reload refuses none, and pages stay as they are; those of Caddy,
// which closes them, come back by themselves and have missed nothing.
func TestAReloadRefusesNoLikeAndLeavesEveryPageCurrent(t *testing.T) {
	t.Parallel()
	behindEach(t, func(t *testing.T, s shipped) {
		const topic = "default/likes/reload"
		instances, _ := share(t, 2, "--drain", "0s", "--rate-limit", "off")
		f := s.start(t, s.path, nil, instances...)
		var pages []*page
		for range 2 {
			pages = append(pages, openAgain(t, "stream", client, f.url, topic), openAgain(t, "socket", client, f.url, topic))
		}
		presser := startPressing(t, f.url, topic)
		likes := func(n int) {
			t.Helper()
			before := presser.answered()
			processtest.Eventually(t, "likes", func() bool { return t.Failed() || presser.answered() >= before+n })
		}
		likes(10)
		f.reload(t)
		if f.cutsPages {
			processtest.Eventually(t, "the sockets were closed", func() bool {
				for _, p := range pages {
					if _, cuts, _ := p.seen(); p.kind == "socket" && cuts == 0 {
						return false
					}
				}
				return true
			})
		}
		likes(10)
		acknowledged := presser.stop()
		// 5 s are promised from the end of a fault; a page that was cut off waits first.
		processtest.Within(t, 10*time.Second, "every page is current", func() bool {
			for _, p := range pages {
				if frames, _, _ := p.seen(); p.count(frames) != acknowledged {
					return false
				}
			}
			return true
		})
		for _, p := range pages {
			_, cuts, _ := p.seen()
			if cuts > 0 && !f.cutsPages {
				t.Errorf("a %s was cut off", p.kind)
			}
			p.onlyGrows(t)
			t.Logf("a %s was cut off %d times, and shows %d likes", p.kind, cuts, acknowledged)
		}
		openSocket(t, client, f.url, topic).awaitCount(t, acknowledged)
	})
}
