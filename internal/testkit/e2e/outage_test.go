package e2e_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Not beside other tests: what it holds the service to are seconds.
func TestALikeRefusedWhileRedisHungIsNotThereWhenItWakes(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	a.like(topic, "visitor-0", "1")
	stream, socket := a.watch("?topic="+topic), b.dial("?topic="+topic)
	stream.sawCount(topic, 1)
	socket.sawCount(topic, 1)
	stream.sawEvents("live", 1)
	socket.sawEvents("live", 1)

	redis.Stop()
	hung := time.Now()
	each(20, 20, func(i int) {
		sent := time.Now()
		answer, err := []*service{a, b}[i%2].try("POST", "/v1/"+topic, "", "Tally-Visitor: visitor-of-outage-"+visitor(i))
		if err != nil {
			t.Error(err)
			return
		}
		answer.refused(503, "store_unavailable")
		if took := time.Since(sent); took > 3500*time.Millisecond { // 3 s, and what this machine takes to say so
			t.Errorf("refused after %s", took)
		}
	})
	// Viewers are told, what is watched is read from memory, and the rest is not known.
	for _, v := range []*viewer{stream, socket} {
		f := v.saw("stale", func(f frame) bool { return f.Event == "stale" })
		if after := f.at.Sub(hung); after > 10*time.Second {
			t.Errorf("stale after %s", after)
		}
	}
	held := a.get("/v1/"+topic).has("Cache-Control", "no-store").has("ETag", "")
	if c := held.count(); c.Count != 1 || !c.Stale {
		t.Errorf("while Redis hangs: %s", held.body)
	}
	if list := a.get("/v1/counts?topic=" + topic + "&topic=default/likes/unwatched").counts(); len(list) != 2 || !list[0].Stale || list[1].Error == nil || list[1].Error.Code != "store_unavailable" {
		t.Errorf("while Redis hangs: %+v", list)
	}
	a.get("/v1/default/likes/unwatched").refused(503, "store_unavailable")
	a.get("/readyz").is(200).says("away") // to take every instance out would help nobody
	eventually(t, "the metric", func() bool { return a.metric("tallycast_store_up") == 0 })
	late := a.watch("?topic=" + topic)
	late.saw("stale first", func(f frame) bool { return f.Event == "stale" })

	redis.Cont()
	woke := time.Now()
	for _, v := range []*viewer{stream, socket, late} {
		v.saw("live again", func(f frame) bool { return f.Event == "live" && f.at.After(woke) })
	}
	if c := a.read(topic); c.Count != 1 || c.Stale {
		t.Errorf("after Redis woke: %+v", c)
	}
	a.like(topic, "visitor-1", "1")
	for _, v := range []*viewer{stream, socket, late} {
		if f := v.sawCount(topic, 2); f.at.Sub(woke) > soon {
			t.Errorf("current %s after Redis woke", f.at.Sub(woke))
		}
		v.onlyGrows()
		for _, f := range v.seen() {
			if f.Topic == topic && f.Count > 2 {
				t.Errorf("shown: %s", f.raw)
			}
		}
	}
	if first := late.seen()[0]; first.Event != "stale" {
		t.Errorf("a stream opened meanwhile begins with %s", first.raw)
	}
}

func TestARedisThatCameBackWithOtherDataIsShownAsItIs(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	for i := range 5 {
		a.like(topic, visitor(i), "1")
	}
	va, vb := a.watch("?topic="+topic), b.watch("?topic="+topic)
	va.sawCount(topic, 5)
	vb.sawCount(topic, 5)
	redis.Kill()
	va.sawEvents("stale", 1)
	redis.Empty()
	redis.Restart()
	// The stored number is nothing, under a version above what was pushed.
	for _, v := range []*viewer{va, vb} {
		eventually(t, "what is stored", func() bool { return v.last(topic).Count == 0 })
		v.sawEvents("live", 2)
		v.onlyGrows()
	}
	// Both have the same secret still: one visitor counts once.
	a.like(topic, "visitor-0", "1")
	if c := b.like(topic, "visitor-0", "1"); c.Count != 1 || *c.Changed {
		t.Errorf("%+v", c)
	}
	for _, v := range []*viewer{va, vb} {
		v.sawCount(topic, 1)
		v.onlyGrows()
	}
}
