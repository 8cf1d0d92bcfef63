package e2e_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// warnings returns the warnings and errors in the log, except those that each test causes by its
// environment.
func (s *service) warnings() (found []string) {
	for line := range strings.Lines(s.Log.String()) {
		expected := strings.Contains(line, "limit of open files is too low") || strings.Contains(line, "append-only file is off") || strings.Contains(line, "INFO is forbidden")
		if (strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`)) && !expected {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// Presence counts across instances. A killed instance loses its readers and no likes.
func TestKill_InstanceUnderLoad(t *testing.T) {
	t.Parallel()
	const topic, likes = "default/likes/x", 600
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
	watcher := b.watch("?topic=" + topic + "&topic=" + readers + "&present=" + readers)
	watcher.awaitCount(readers, 1)
	for range 3 {
		a.watch("?present="+readers).awaitEvents("live", 1)
	}
	watcher.awaitCount(readers, 4)
	if c := a.read(readers); c.Count != 4 {
		t.Errorf("the other instance reads %+v", c)
	}

	var killed atomic.Int64 // when, in nanoseconds since the Unix epoch
	each(likes, 8, func(i int) {
		if i == likes/3 {
			a.Kill()
			killed.Store(time.Now().UnixNano())
		}
		s := []*service{a, b}[i%2]
		answer, err := s.try("POST", "/v1/"+topic, "", "Tally-Visitor: "+visitor(i))
		if s == a && err != nil { // the client repeats the assertion
			answer, err = b.try("POST", "/v1/"+topic, "", "Tally-Visitor: "+visitor(i))
		}
		if err != nil || answer.status != 200 {
			t.Errorf("like %d: %d %v", i, answer.status, err)
		}
	})
	if c := b.read(topic); c.Count != likes {
		t.Errorf("%d likes were acknowledged, %d are counted", likes, c.Count)
	}
	processtest.Within(t, soon, "the viewer of the other instance is current", func() bool { return watcher.last(topic).Count == likes })
	f := watcher.awaitFrame("the readers of the killed instance are gone", func(f frame) bool {
		return f.Topic == readers && f.Count == 1 && f.at.UnixNano() > killed.Load()
	})
	// The lease is 10 s. Another instance notices its end when it renews its own lease, up to
	// 3 s later.
	if after := f.at.UnixNano() - killed.Load(); time.Duration(after) > 15*time.Second {
		t.Errorf("gone after %s", time.Duration(after))
	}
	watcher.checkVersions()
	if lines := b.warnings(); len(lines) > 0 || b.Metric("tallycast_store_up") != 1 {
		t.Errorf("warnings of the other instance: %v", lines)
	}
}

// Behind a proxy the pages of a killed instance reconnect to others, and no like is
// refused.
func TestKill_PagesBehindProxy(t *testing.T) {
	t.Parallel()
	const pages, topic = 90, "default/likes/killed"
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	args := append([]string{"--store", redis.URL(0), "--trusted-proxy", "127.0.0.1"}, unlimited...)
	var all []*processtest.Instance
	for range 3 {
		all = append(all, processtest.Serve(t, binary, nil, args...))
	}
	for _, i := range all {
		i.AwaitReady()
	}
	nginx := processtest.StartNginx(t, shippedNginx, all...)
	crowd := openCrowd(t, nginx.Address, topic, pages)
	likers := startLikers(t, nginx.Address, topic)
	processtest.Eventually(t, "likes", func() bool { return likers.count() > 20 })
	held := int(all[0].Metric("tallycast_viewers"))
	if held < pages/6 {
		t.Errorf("the instance held %d of %d pages", held, pages)
	}
	all[0].Kill()
	processtest.Eventually(t, "its pages are disconnected", func() bool { return len(crowd.disconnects(time.Time{})) >= held })
	processtest.Eventually(t, "all pages are live", func() bool { return crowd.current() == pages })
	before := likers.count()
	processtest.Eventually(t, "more likes", func() bool { return likers.count() > before+20 })
	likers.close()
	processtest.Within(t, soon, "every page shows the stored count", func() bool { return crowd.showing(likers.acknowledged) == pages })
	if n := len(crowd.disconnects(time.Time{})); n != held {
		t.Errorf("%d pages were disconnected, and the instance held %d", n, held)
	}
	for _, i := range all[1:] {
		if c := newClient(t, i.URL).read(topic); c.Count != likers.acknowledged {
			t.Errorf("%d likes were acknowledged, %d are counted", likers.acknowledged, c.Count)
		}
		if up := i.Metric("tallycast_store_up"); up != 1 || strings.Contains(i.Log.String(), `"level":"ERROR"`) {
			t.Errorf("the other instance has store_up %v, or logged errors", up)
		}
	}
	if len(likers.failures) > 0 {
		t.Errorf("%d likes were refused: %s", len(likers.failures), likers.failures[0])
	}
}

// An instance that is cut off from Redis reports it. The other instance works.
func testInstanceWithoutRedis(t *testing.T) {
	const topic = "default/likes/x"
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	proxy := redistest.StartProxy(t, redis.Addr)
	cut, healthy := serve(t, "--store", "redis://"+proxy.Addr+"/0"), serve(t, "--store", redis.URL(0))
	cutViewer, healthyViewer := cut.watch("?topic="+topic), healthy.dial("?topic="+topic)
	cutViewer.awaitEvents("live", 1)
	healthyViewer.awaitEvents("live", 1)
	cut.like(topic, "visitor-1", "1")

	proxy.BlackHole(true)
	proxy.Swallow(true)
	began := time.Now()
	answer := cut.do("POST", "/v1/"+topic, `{"visitor":"visitor-2"}`).wantProblem(503, "store_unavailable")
	if took := time.Since(began); took > 3500*time.Millisecond { // the contract's 3 s, and the time of a request
		t.Errorf("%s was answered after %s", answer.request, took)
	}
	f := cutViewer.awaitFrame("stale", func(f frame) bool { return f.Event == "stale" })
	if after := f.at.Sub(began); after > 10*time.Second {
		t.Errorf("stale after %s", after)
	}
	cut.get("/readyz").wantStatus(200).wantBody("away") // otherwise a balancer would disconnect its pages
	processtest.Eventually(t, "the metric", func() bool { return cut.Metric("tallycast_store_up") == 0 })
	for i := range 5 { // the other instance works
		healthy.like(topic, visitor(10+i), "1")
	}
	healthyViewer.awaitCount(topic, healthy.read(topic).Count)

	proxy.BlackHole(false)
	proxy.Swallow(false)
	proxy.Cut() // lost data does not arrive later
	ended := time.Now()
	stored := healthy.read(topic)
	processtest.Within(t, soon, "the viewer is current again", func() bool { return cutViewer.last(topic).Count == stored.Count })
	cutViewer.awaitFrame("live again", func(f frame) bool { return f.Event == "live" && f.at.After(ended) })
	// The refused likes were not applied later.
	if c := cut.read(topic); c.Count != stored.Count || c.Count != 6 {
		t.Errorf("%+v, stored was %+v", c, stored)
	}
	cutViewer.checkVersions()
	healthyViewer.checkVersions()
	for _, f := range healthyViewer.received() {
		if f.Event == "stale" {
			t.Error("the viewer of the healthy instance received stale")
		}
	}
	if lines := cut.warnings(); len(lines) == 0 || len(lines) > 3 {
		t.Errorf("%d warnings about the fault: %v", len(lines), lines)
	}
	away, back := cut.Log.Records("redis: cannot be used"), cut.Log.Records("redis: usable")
	if len(away) != 1 || len(back) != 2 || away[0]["cause"] == nil { // usable at the start, too
		t.Errorf("%d records that Redis cannot be used: %v; %d records that it can", len(away), away, len(back))
	}
	processtest.Eventually(t, "metrics and readiness report the end of the fault", func() bool {
		return cut.Metric("tallycast_store_up") == 1 && strings.Contains(cut.get("/readyz").body, `"up"`)
	})
	if lines := healthy.warnings(); len(lines) > 0 {
		t.Errorf("warnings of the healthy instance: %v", lines)
	}
}
