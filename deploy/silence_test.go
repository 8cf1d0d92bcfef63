package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// beat is how often an open page is sent something if nothing changes.
const beat = 25 * time.Second

// idleTimeouts matches the timeouts of a shipped configuration that end an open page to
// which nothing is sent.
var idleTimeouts = map[string]*regexp.Regexp{
	"nginx":   regexp.MustCompile(`(?m)^\s*(?:proxy_read_timeout|proxy_send_timeout)\s+(\S+);`),
	"HAProxy": regexp.MustCompile(`(?m)^\s*timeout (?:client|server|tunnel)\s+(\S+)`),
	"Caddy":   regexp.MustCompile(`(?m)^\s*(?:read_timeout|write_timeout)\s+(\S+)`), // 0: no limit
}

// An open page that is sent nothing but beats reaches no idle timeout, even if an instance
// hangs for a minute.
func TestProxies_IdleTimeouts(t *testing.T) {
	t.Parallel()
	for name, p := range proxies {
		text, err := os.ReadFile(p.config)
		if err != nil {
			t.Fatal(err)
		}
		found := idleTimeouts[name].FindAllStringSubmatch(string(text), -1)
		if len(found) < 2 {
			t.Errorf("%s: found the timeouts %q", name, found)
		}
		for _, match := range found {
			timeout, err := time.ParseDuration(match[1])
			if err != nil || timeout != 0 && timeout < beat+time.Minute {
				t.Errorf("%s: %q, %v", name, strings.TrimSpace(match[0]), err)
			}
		}
	}
}

// openBehindAll opens a page by each transport behind every proxy. All proxies have the
// same instances and run with the shipped configuration.
func openBehindAll(t *testing.T, topic string, instances ...*processtest.Instance) (pages []*page, url string) {
	t.Helper()
	for _, p := range proxies {
		running := p.start(t, p.config, nil, instances...)
		pages = append(pages, openStream(t, client, running.url, topic), openSocket(t, client, running.url, topic))
		url = running.url
	}
	return pages, url
}

// waitConnected lets time pass. No page may lose its connection meanwhile.
func waitConnected(t *testing.T, pages []*page, length time.Duration) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		for _, p := range pages {
			if _, _, err := p.state(); err != nil {
				t.Fatalf("the %s was disconnected after %s of silence: %v", p.transport, time.Since(began), err)
			}
		}
	}
}

// checkLatency sends likes to a topic that has count likes, until each page received one
// within 100 ms. A busy machine may delay some; a proxy that buffers delays all.
func checkLatency(t *testing.T, pages []*page, url, topic string, count int) {
	t.Helper()
	const promised, tries = 100 * time.Millisecond, 40
	best := map[*page]time.Duration{}
	for _, p := range pages {
		best[p] = time.Hour
	}
	for range tries {
		count++
		sent := time.Now()
		if status, _ := like(t, client, url, topic, fmt.Sprintf("visitor-%d", count)); status != http.StatusOK {
			t.Fatalf("a like: %d", status)
		}
		fast := true
		for _, p := range pages {
			best[p] = min(best[p], p.awaitCount(t, count).Sub(sent))
			fast = fast && best[p] <= promised
		}
		if fast {
			return
		}
	}
	for _, p := range pages {
		if best[p] > promised {
			t.Errorf("none of %d likes reached the %s within %s", tries, p.transport, best[p])
		}
	}
}

// Pages that are sent nothing but beats stay connected. The long form waits for longer
// than any shipped timeout; the short form waits for one beat.
func TestPages_SilentTopic(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/silence"
	silence, beats := beat+4*time.Second, 1
	if processtest.Long() {
		silence, beats = 95*time.Second, 3
	}
	instances, _ := startInstances(t, 2, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
	pages, url := openBehindAll(t, topic, instances...)
	waitConnected(t, pages, silence)
	for _, p := range pages {
		frames, _, _ := p.state()
		frames = frames[2:] // after the snapshot and live
		for _, f := range frames {
			if f.text != `{"event":"beat"}` {
				t.Errorf("the %s received %s", p.transport, f.text)
			}
		}
		if len(frames) < beats {
			t.Errorf("the %s received %d beats in %s, want %d", p.transport, len(frames), silence, beats)
		}
	}
	checkLatency(t, pages, url, topic, 0)
}

// Pages keep the connection to an instance that hangs. The long form waits for more than
// a minute, the usual idle timeout of proxies.
func TestPages_HungInstance(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/hangs"
	hangs := 15 * time.Second
	if processtest.Long() {
		hangs = 70 * time.Second
	}
	i := startInstance(t, "--trusted-proxy", "127.0.0.1", "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
	pages, url := openBehindAll(t, topic, i)
	i.Signal(syscall.SIGSTOP)
	waitConnected(t, pages, hangs)
	for _, p := range pages {
		if frames, _, _ := p.state(); len(frames) != 2 {
			t.Errorf("the %s received frames while the instance hung: %v", p.transport, frames)
		}
	}
	i.Signal(syscall.SIGCONT)
	processtest.Eventually(t, "the proxies use the instance again", func() bool {
		status, _, err := tryLike(t.Context(), client, url, topic, "visitor-0")
		return err == nil && status == http.StatusOK
	})
	checkLatency(t, pages, url, topic, 1)
	for _, p := range pages {
		if frames, disconnects, _ := p.state(); disconnects > 0 || strings.Contains(fmt.Sprint(frames), "stale") {
			t.Errorf("the %s was disconnected or became stale: %v", p.transport, frames)
		}
	}
}
