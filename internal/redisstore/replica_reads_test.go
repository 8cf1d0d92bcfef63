package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// The link between the regions breaks: pages get stale, and new ones get the numbers of the
// replica. Afterwards they show what was stored.
func TestReplica_PrimaryAway(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	other := topic(t, "default/likes/other")
	like(t, g.far, other, 1, 2)
	cut := func(isCut bool) {
		for _, p := range []*redistest.Proxy{g.line, g.link} {
			p.BlackHole(isCut)
			p.Cut()
		}
	}
	processtest.Eventually(t, "the replica has the likes", func() bool { return g.replica.Do("HGET", g.prefix+":{default/likes/other}:count", "n") == "2" })
	reads := newPageReads(g)
	processtest.Eventually(t, "nothing is stale", func() bool { return reads.staleness(t) == "" })
	cut(true)
	if r := reads.named(t); r.Err != nil || r.Change.Count != 1 || !r.IsStale {
		t.Errorf("before the fault is noticed, a visitor reads %+v", r)
	}
	processtest.Eventually(t, "the viewer is stale", func() bool { return !g.viewer.isLive() })
	if got := reads.staleness(t); got != "visitor, history, top, gains" {
		t.Errorf("without the primary these are stale: %s", got)
	}
	g.near.Watch(other)
	processtest.Eventually(t, "a new page gets the number of the replica", func() bool { return g.viewer.shown(other).Count == 2 })
	if got := g.readNear(t); got.Err != nil || got.Change.Count != 1 || !got.IsStale {
		t.Errorf("without the primary %+v is read", got)
	}
	var b tally.Batch
	took := processtest.Measure(func() { b = assertAll(g.near, 2800*time.Millisecond, g.page, 1, 2) })
	if b.Err == nil || tally.AsError(b.Err).Code != tally.CodeStoreUnavailable || took > 3*time.Second {
		t.Errorf("a like fails with %v after %s", b.Err, took)
	}
	like(t, g.far, g.page, 3, 4)

	cut(false)
	g.viewer.waitFor(t, g.far, g.page, 3)
	g.viewer.waitFor(t, g.far, other, 2)
	g.awaitUse(t)
	like(t, g.near, g.page, 2)
	g.viewer.waitFor(t, g.far, g.page, 4)
	if got := g.readNear(t); got.IsStale {
		t.Error("with the primary the number is stale")
	}
	if got := reads.staleness(t); got != "" {
		t.Errorf("with the primary these are stale: %s", got)
	}
	if n := metric(g.near, "redis_reissues_total"); n != 0 {
		t.Errorf("%d topics were reissued", n)
	}
}

// pageReads are the reads of a page, through a service beside the replica.
type pageReads struct {
	service *tally.Service
	page    tally.Topic
}

func newPageReads(g *region) pageReads {
	return pageReads{tally.NewService(g.near.Near(), catalog()), g.page}
}

// named reads the page for a visitor.
func (p pageReads) named(t testing.TB) tally.Reading {
	t.Helper()
	readings, err := p.service.Read(t.Context(), []tally.Topic{p.page}, "some-visitor")
	if err != nil {
		t.Fatal(err)
	}
	return readings[0]
}

// staleness names the reads whose results are stale. It fails if one has no result.
func (p pageReads) staleness(t testing.TB) string {
	t.Helper()
	reading := p.named(t)
	history, err1 := p.service.History(t.Context(), p.page, tally.Day)
	top, isTopStale, err2 := p.service.Top(t.Context(), "default", "likes", 10)
	gains, isGainsStale, err3 := p.service.TopGains(t.Context(), "default", "likes", tally.Since24h, 10)
	var stale []string
	for _, read := range []struct {
		name    string
		isStale bool
		err     error
		results int
	}{
		{"visitor", reading.IsStale, reading.Err, int(reading.Change.Count)},
		{"history", history.IsStale, err1, int(history.Count)},
		{"top", isTopStale, err2, len(top)},
		{"gains", isGainsStale, err3, len(gains)},
	} {
		if read.err != nil || read.results == 0 {
			stale = append(stale, fmt.Sprintf("%s: %d results, %v", read.name, read.results, read.err))
		} else if read.isStale {
			stale = append(stale, read.name)
		}
	}
	return strings.Join(stale, ", ")
}

// A replica that lags is used. What a visitor contributed is read at the primary.
func TestReplica_Lag(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	const lag = 500 * time.Millisecond
	g.link.Delay(lag)
	processtest.Eventually(t, "the lag is measured", func() bool { return g.near.Health().Replica.Lag >= lag })
	began := time.Now()
	like(t, g.near, g.page, 2)
	readings := g.near.Near().Read(t.Context(), []tally.Query{{Topic: g.page, Member: 2}, {Topic: g.page}})
	if readings[0].Err != nil || readings[0].Mine != 1 || readings[0].Change.Count != 2 {
		t.Errorf("after the like %+v is read", readings[0])
	}
	if got := g.readNear(t); time.Since(began) < lag && got.Change.Count != 1 {
		t.Errorf("%+v was not read at the replica", got)
	}
	g.near.Refresh(g.page)
	g.viewer.waitFor(t, g.far, g.page, 2)
	if took := time.Since(began); took < lag {
		t.Errorf("the change came after %s and not by the replica", took)
	}
	if !g.isUsed() || metric(g.near, "redis_reissues_total") != 0 || g.viewer.wasStale() {
		t.Errorf("a lag of %s: used %t, reissues %d, stale %t", lag, g.isUsed(), metric(g.near, "redis_reissues_total"), g.viewer.wasStale())
	}
}

// A version below the shown one is compared at the primary when that lasts longer than the lag.
func TestReplica_LowerVersion(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	lost := g.viewer.shown(g.page)
	lost.Count, lost.Version = 7, lost.Version+time.Minute.Microseconds()
	g.viewer.Push(lost)
	began := time.Now()
	g.near.Refresh(g.page)
	g.viewer.waitFor(t, g.far, g.page, 1)
	if took := time.Since(began); took < 500*time.Millisecond || g.viewer.shown(g.page).Version <= lost.Version {
		t.Errorf("after %s the viewer has %v", took, g.viewer.shown(g.page))
	}
	if n := metric(g.near, "redis_reissues_total"); n != 1 {
		t.Errorf("%d topics were reissued", n)
	}
}

// An instance in another region dies with its readers. Pages at a replica notice it with the next
// sweep, and do not take it for lag.
func TestReplica_ExpiredShares(t *testing.T) {
	t.Parallel()
	primary := redistest.StartPrimary(t, redistest.Options{})
	replica := redistest.StartReplica(t, primary.Addr, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/readers/page")
	far := storeConfig{server: primary, url: primary.URL(0)}.connect(t, catalog(), prefix)
	intervals := testIntervals
	intervals.Behind = time.Hour
	near := storeConfig{url: primary.URL(0), options: redisstore.Options{ReplicaURL: replica.URL(0), Intervals: intervals}}.connect(t, catalog(), prefix)
	v := watch(t, near, page)
	processtest.Eventually(t, "the replica is used", func() bool { return near.Health().Replica.IsUsed })
	if err := far.SetShares(t.Context(), 300*time.Millisecond, []tally.Share{{Topic: page, Pages: 7}}); err != nil {
		t.Fatal(err)
	}
	processtest.Eventually(t, "7 are present", func() bool { return v.shown(page).Count == 7 })
	v.waitFor(t, near, page, 0)
	if metric(near, "redis_sweep_mismatches_total") == 0 && !v.wasStale() { // else a new session read it
		t.Error("the mismatch is not counted")
	}
}

// The first number of a page takes two round trips to the replica, to subscribe and to read, and
// does not wait for the far primary. The test repeats because other regular commands may end
// between.
func TestReplica_FirstNumber(t *testing.T) {
	t.Parallel()
	primary := redistest.StartPrimary(t, redistest.Options{})
	replica := redistest.StartReplica(t, primary.Addr, redistest.Options{})
	line, local := redistest.StartProxy(t, primary.Addr), redistest.StartProxy(t, replica.Addr)
	line.Delay(200 * time.Millisecond)
	local.Delay(25 * time.Millisecond)
	prefix := newPrefix()
	far := storeConfig{server: primary, url: primary.URL(0)}.connect(t, catalog(), prefix)
	near := storeConfig{url: "redis://" + line.Addr, options: redisstore.Options{ReplicaURL: "redis://" + local.Addr}}.connect(t, catalog(), prefix)
	v := watch(t, near, topic(t, "default/likes/other"))
	processtest.Eventually(t, "the replica is used", func() bool { return near.Health().Replica.IsUsed })
	processtest.Eventually(t, "the viewer is live", v.isLive)
	atReplica, atPrimary := 10, 10
	for n := range 10 {
		page := topic(t, fmt.Sprintf("default/likes/%d", n))
		like(t, far, page, 1)
		processtest.Eventually(t, "the replica has the like", func() bool { return replica.Do("HGET", prefix+":{"+page.String()+"}:count", "n") == "1" })
		replicaBefore, primaryBefore := local.Rounds(), line.Rounds()
		near.Watch(page)
		processtest.Eventually(t, "the first number", func() bool { return v.shown(page).Count == 1 })
		atReplica, atPrimary = min(atReplica, local.Rounds()-replicaBefore), min(atPrimary, line.Rounds()-primaryBefore)
		if atReplica <= 2 && atPrimary == 0 {
			return
		}
	}
	t.Errorf("the first number takes %d round trips to the replica and %d to the primary", atReplica, atPrimary)
}

// A topic that cannot be read does not make the others of the same read stale.
func TestReplica_KeyOfAnotherType(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	g.primary.Do("SET", g.prefix+":{default/likes/bad}:count", "42")
	service := tally.NewService(g.near.Near(), catalog())
	asserted, err := service.Assert(t.Context(), tally.Assertion{Topic: g.page, Visitor: "some-visitor", Amount: 1, MayCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	readings, err := service.Read(t.Context(), []tally.Topic{topic(t, "default/likes/bad"), g.page}, "some-visitor")
	if err != nil || readings[0].Err == nil {
		t.Fatalf("the key of another type is read as %+v, %v", readings, err)
	}
	if r := readings[1]; r.Err != nil || r.IsStale || r.Mine != 1 || r.Change != asserted.Change {
		t.Errorf("the other topic is read as %+v", r)
	}
}
