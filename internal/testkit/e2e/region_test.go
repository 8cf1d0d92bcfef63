package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// delay is the delay of a proxy between two regions, half of the round trip.
const delay = 40 * time.Millisecond

// An instance beside a replica shows what others like at the primary. Without the link to the
// primary its pages are stale, and new pages get the numbers of the replica. Likes are refused.
// Within 5 s after the link is back everything agrees.
func TestRegion_LinkBreaks(t *testing.T) {
	t.Parallel()
	primary := redistest.StartPrimary(t, redistest.Options{})
	line, link := redistest.StartProxy(t, primary.Addr), redistest.StartProxy(t, primary.Addr)
	replica := redistest.StartReplica(t, link.Addr, redistest.Options{})
	line.Delay(delay)
	link.Delay(delay)
	a := serve(t, "--store", primary.URL(0))
	b := serve(t, "--store", "redis://"+line.Addr, "--store-replica", replica.URL(0))
	isUsed := func() bool { return b.Metric("tallycast_redis_replica_used") == 1 }
	processtest.Eventually(t, "the replica is used", isUsed)
	const topic, other = "default/likes/x", "default/likes/y"
	a.like(topic, "visitor-0", "1")
	a.like(other, "visitor-0", "1")
	open := b.watch("?topic=" + topic)
	open.awaitCount(topic, 1)
	open.awaitEvents("live", 1)
	b.like(topic, "visitor-1", "1")
	open.awaitCount(topic, 2)

	processtest.Eventually(t, "the replica has the leaderboard", func() bool { return len(b.get("/v1/top/default/likes").counts()) == 2 })
	cut := func(isCut bool) {
		for _, p := range []*redistest.Proxy{line, link} {
			p.BlackHole(isCut)
			p.Cut()
		}
	}
	cut(true)
	broken := time.Now()
	if f := open.awaitFrame("stale", func(f frame) bool { return f.Event == "stale" }); f.at.Sub(broken) > 10*time.Second {
		t.Errorf("stale after %s", f.at.Sub(broken))
	}
	late := b.watch("?topic=" + other)
	late.awaitCount(other, 1)
	if first := late.received()[0]; first.Event != "stale" {
		t.Errorf("a stream that was opened during the fault begins with %s", first.raw)
	}
	held := b.get("/v1/"+other).wantHeader("Cache-Control", "no-store").wantHeader("ETag", "")
	if c := held.count(); c.Count != 1 || !c.Stale {
		t.Errorf("without the primary: %s", held.body)
	}
	for _, read := range []response{
		b.get("/v1/top/default/likes"), b.get("/v1/history/" + other),
		b.get("/v1/"+other, "Tally-Visitor: visitor-0"),
		b.do("POST", "/v1/counts", `{"topics":["`+other+`"],"visitor":"visitor-0"}`),
	} {
		read.wantStatus(200).wantBody(`"count":1`).wantBody(`"stale":true}`).wantHeader("ETag", "")
		if strings.Contains(read.body, `"mine"`) || !strings.HasSuffix(read.header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %s, %v", read.request, read.body, read.header)
		}
	}
	refused, err := b.try("POST", "/v1/"+topic, "", "Tally-Visitor: visitor-2")
	if err != nil {
		t.Fatal(err)
	}
	refused.wantProblem(503, "store_unavailable")
	b.get("/readyz").wantStatus(200).wantBody(`"status":"away"`)
	a.like(topic, "visitor-3", "1")

	cut(false)
	back := time.Now()
	for _, v := range []*viewer{open, late} {
		f := v.awaitFrame("live again", func(f frame) bool { return f.Event == "live" && f.at.After(back) })
		if f.at.Sub(back) > soon {
			t.Errorf("live %s after the link was back", f.at.Sub(back))
		}
	}
	b.like(topic, "visitor-2", "1")
	open.awaitCount(topic, 4)
	processtest.Eventually(t, "the replica is used again", isUsed)
	open.checkVersions()
	late.checkVersions()
	if c := a.read(topic); c.Count != 4 {
		t.Errorf("stored: %+v", c)
	}
	mine := b.get("/v1/"+other, "Tally-Visitor: visitor-0").wantBody(`"mine":1`)
	for _, read := range []response{mine, b.get("/v1/top/default/likes"), b.get("/v1/history/" + other)} {
		if strings.Contains(read.body, `"stale"`) {
			t.Errorf("with the primary: %s: %s", read.request, read.body)
		}
	}
}
