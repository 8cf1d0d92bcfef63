package deploy_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// behindAll opens a page by each transport behind every proxy, all of them in front of
// the same instances, with the configuration that is shipped.
func behindAll(t *testing.T, topic string, instances ...*processtest.Instance) (pages []*page, url string) {
	t.Helper()
	for _, s := range fronts {
		f := s.start(t, s.path, nil, instances...)
		pages = append(pages, openStream(t, client, f.url, topic), openSocket(t, client, f.url, topic))
		url = f.url
	}
	return pages, url
}

// sit lets time pass, in which no page may be cut off.
func sit(t *testing.T, pages []*page, length time.Duration) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		for _, p := range pages {
			if _, _, err := p.seen(); err != nil {
				t.Fatalf("the %s was cut off after %s of silence: %v", p.kind, time.Since(began), err)
			}
		}
	}
}

// checkAtOnce presses likes, count of which the topic has already, until each page has
// had one within 100 ms: the machine may be busy, a proxy that gathers never is so
// quick.
func checkAtOnce(t *testing.T, pages []*page, url, topic string, count int) {
	t.Helper()
	const promised, tries = 100 * time.Millisecond, 40
	best := map[*page]time.Duration{}
	for _, p := range pages {
		best[p] = time.Hour
	}
	for range tries {
		count++
		pressed := time.Now()
		if status, _ := like(t, client, url, topic, fmt.Sprintf("visitor-%d", count)); status != http.StatusOK {
			t.Fatalf("a like: %d", status)
		}
		kept := true
		for _, p := range pages {
			best[p] = min(best[p], p.awaitCount(t, count).Sub(pressed))
			kept = kept && best[p] <= promised
		}
		if kept {
			return
		}
	}
	for _, p := range pages {
		if best[p] > promised {
			t.Errorf("of %d likes none was with the %s before %s", tries, p.kind, best[p])
		}
	}
}

// Only the beats of the service are heard, for longer than any of the timeouts that
// are shipped.
func TestPagesSitThroughSilenceThatIsLongerThanAnyTimeout(t *testing.T) {
	t.Parallel()
	const topic, silence = "default/likes/silence", 95 * time.Second
	instances, _ := share(t, 2, "--drain", "0s", "--rate-limit", "off")
	pages, url := behindAll(t, topic, instances...)
	sit(t, pages, silence)
	for _, p := range pages {
		frames, _, _ := p.seen()
		beats := 0
		for _, f := range frames[2:] { // after the snapshot and live
			if f.frame != `{"event":"beat"}` {
				t.Errorf("the %s heard %s", p.kind, f.frame)
			}
			beats++
		}
		if least := int(silence/beat) - 1; beats < least {
			t.Errorf("the %s heard %d beats in %s", p.kind, beats, silence)
		}
	}
	checkAtOnce(t, pages, url, topic, 0)
}

// It is the beats' 25 s and not the proxies' patience that is short: an instance that
// hangs for more than a minute and says nothing at all keeps its pages.
func TestPagesOutlastAnInstanceThatHangsForMoreThanAMinute(t *testing.T) {
	t.Parallel()
	const topic, hangs = "default/likes/hangs", 70 * time.Second
	i := startInstance(t, "--trusted-proxy", "127.0.0.1", "--drain", "0s", "--rate-limit", "off")
	pages, url := behindAll(t, topic, i)
	i.Signal(syscall.SIGSTOP)
	sit(t, pages, hangs)
	for _, p := range pages {
		if frames, _, _ := p.seen(); len(frames) != 2 {
			t.Errorf("the %s heard something while the instance hung: %v", p.kind, frames)
		}
	}
	i.Signal(syscall.SIGCONT)
	processtest.Eventually(t, "the proxies know that it is back", func() bool {
		status, _, err := tryLike(t.Context(), client, url, topic, "visitor-0")
		return err == nil && status == http.StatusOK
	})
	checkAtOnce(t, pages, url, topic, 1)
	for _, p := range pages {
		if frames, cuts, _ := p.seen(); cuts > 0 || strings.Contains(fmt.Sprint(frames), "stale") {
			t.Errorf("the %s noticed: %v", p.kind, frames)
		}
	}
}
