package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redistest"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestARedisRestartedFromAnOlderFileIsShownAsItIs(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	p := place{server: server, url: server.URL(0)}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	first, second := p.connected(t, catalog(), prefix), p.connected(t, catalog(), prefix)
	viewers := []*viewer{watching(t, first, page), watching(t, second, page)}
	like(t, first, page, 1, 2)
	server.Do("SAVE")
	newest := like(t, second, page, 3, 4, 5)
	for _, v := range viewers {
		v.converges(t, first, page, 5)
	}

	server.Kill9()
	server.Restart()
	for _, v := range viewers {
		v.converges(t, first, page, 2)
		if now := v.of(page); now.Version <= newest.Version {
			t.Errorf("version %d after %d", now.Version, newest.Version)
		}
		if v.said("stale") == 0 {
			t.Error("the viewer was not told that numbers may be old")
		}
	}
	// Who was lost may contribute again; who was kept has contributed.
	if c := like(t, second, page, 1, 3); c.Count != 3 {
		t.Errorf("%d likes, want those of 1, 2 and 3", c.Count)
	}
	for _, v := range viewers {
		v.converges(t, second, page, 3)
	}
}

func TestALatencyOfHalfASecondLosesNothing(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.StartProxy(t, server.Addr)
	near, far := place{server: server, url: server.URL(0)}, place{server: server, url: "redis://" + proxy.Addr + "/0"}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	quick, slow := near.connected(t, catalog(), prefix), far.connected(t, catalog(), prefix)
	v, w := watching(t, quick, page), watching(t, slow, page)

	proxy.Delay(250 * time.Millisecond)          // in each direction
	const answerWithin = 2800 * time.Millisecond // what a like has until it is refused
	for member := tally.Member(1); member <= 3; member++ {
		if b := try(slow, answerWithin, page, 1, member); b.Err != nil {
			t.Errorf("like %d: %v", member, b.Err)
		}
	}
	like(t, quick, page, 4)
	v.converges(t, quick, page, 4)
	eventually(t, "the viewer far away shows it, too", func() bool { return w.of(page).Count == 4 })
	proxy.Delay(0)
	w.converges(t, quick, page, 4)
}

func TestASubscriberTooSlowForRedisIsCutOffAndHeals(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.StartProxy(t, server.Addr)
	near, far := place{server: server, url: server.URL(0)}, place{server: server, url: "redis://" + proxy.Addr + "/0"}
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	quick, slow := near.connected(t, catalog(), prefix), far.connected(t, catalog(), prefix)
	v := watching(t, slow, page)
	like(t, quick, page, 1)
	v.converges(t, quick, page, 1)

	var channel string
	for _, name := range server.Do("PUBSUB", "CHANNELS", prefix+"*").([]any) {
		if strings.Contains(name.(string), page.String()) {
			channel = name.(string)
		}
	}
	server.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
	proxy.Delay(300 * time.Millisecond) // for each piece of some KB
	flood := strings.Repeat("x", 1<<20)
	for range 32 {
		server.Do("PUBLISH", channel, flood)
	}
	eventually(t, "the viewer hears that numbers may be old", func() bool { return v.said("stale") > 0 })
	like(t, quick, page, 2) // which nobody tells the slow one
	proxy.Delay(0)
	v.converges(t, quick, page, 2)
	if slow.Stats().Reconnects == 0 {
		t.Error("the operator is not told of it")
	}
}
