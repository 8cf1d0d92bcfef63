package e2e_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A like that is refused while Redis hangs is not applied when Redis continues. Viewers
// become stale within 10 s and current within 5 s after the fault.
func testHungRedis(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	a.like(topic, "visitor-0", "1")
	stream, socket := a.watch("?topic="+topic), b.dial("?topic="+topic)
	stream.awaitCount(topic, 1)
	socket.awaitCount(topic, 1)
	stream.awaitEvents("live", 1)
	socket.awaitEvents("live", 1)

	redis.Suspend()
	hung := time.Now()
	each(20, 20, func(i int) {
		sent := time.Now()
		answer, err := []*service{a, b}[i%2].try("POST", "/v1/"+topic, "", "Tally-Visitor: visitor-of-outage-"+visitor(i))
		if err != nil {
			t.Error(err)
			return
		}
		answer.wantProblem(503, "store_unavailable")
		if took := time.Since(sent); took > 3500*time.Millisecond { // the contract's 3 s, and the time of a request
			t.Errorf("refused after %s", took)
		}
	})
	// Viewers become stale. Watched topics are read from memory, others are unavailable.
	for _, v := range []*viewer{stream, socket} {
		f := v.awaitFrame("stale", func(f frame) bool { return f.Event == "stale" })
		if after := f.at.Sub(hung); after > 10*time.Second {
			t.Errorf("stale after %s", after)
		}
	}
	held := a.get("/v1/"+topic).wantHeader("Cache-Control", "no-store").wantHeader("ETag", "")
	if c := held.count(); c.Count != 1 || !c.Stale {
		t.Errorf("while Redis hangs: %s", held.body)
	}
	if list := a.get("/v1/counts?topic=" + topic + "&topic=default/likes/unwatched").counts(); len(list) != 2 || !list[0].Stale || list[1].Error == nil || list[1].Error.Code != "store_unavailable" {
		t.Errorf("while Redis hangs: %+v", list)
	}
	a.get("/v1/default/likes/unwatched").wantProblem(503, "store_unavailable")
	a.get("/readyz").wantStatus(200).wantBody("away") // otherwise a balancer would remove every instance
	processtest.Eventually(t, "the metric", func() bool { return a.Metric("tallycast_store_up") == 0 })
	late := a.watch("?topic=" + topic)
	late.awaitFrame("stale first", func(f frame) bool { return f.Event == "stale" })

	redis.Resume()
	resumed := time.Now()
	for _, v := range []*viewer{stream, socket, late} {
		v.awaitFrame("live again", func(f frame) bool { return f.Event == "live" && f.at.After(resumed) })
	}
	if c := a.read(topic); c.Count != 1 || c.Stale {
		t.Errorf("after Redis continued: %+v", c)
	}
	a.like(topic, "visitor-1", "1")
	for _, v := range []*viewer{stream, socket, late} {
		if f := v.awaitCount(topic, 2); f.at.Sub(resumed) > soon {
			t.Errorf("current %s after Redis continued", f.at.Sub(resumed))
		}
		v.checkVersions()
		for _, f := range v.received() {
			if f.Topic == topic && f.Count > 2 {
				t.Errorf("shown: %s", f.raw)
			}
		}
	}
	if first := late.received()[0]; first.Event != "stale" {
		t.Errorf("a stream that was opened during the fault begins with %s", first.raw)
	}
}

// After Redis restarts empty, pages show the stored counts under newer versions.
func TestRedis_RestartedEmpty(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true, Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	for i := range 5 {
		a.like(topic, visitor(i), "1")
	}
	va, vb := a.watch("?topic="+topic), b.watch("?topic="+topic)
	va.awaitCount(topic, 5)
	vb.awaitCount(topic, 5)
	redis.Kill()
	va.awaitEvents("stale", 1)
	redis.Empty()
	redis.Restart()
	// The stored count is 0, under a newer version than the pushed one.
	for _, v := range []*viewer{va, vb} {
		processtest.Eventually(t, "the stored count", func() bool { return v.last(topic).Count == 0 })
		v.awaitEvents("live", 2)
		v.checkVersions()
	}
	// Both instances still have the same secret: a visitor counts once.
	a.like(topic, "visitor-0", "1")
	if c := b.like(topic, "visitor-0", "1"); c.Count != 1 || *c.Changed {
		t.Errorf("%+v", c)
	}
	for _, v := range []*viewer{va, vb} {
		v.awaitCount(topic, 1)
		v.checkVersions()
	}
}
