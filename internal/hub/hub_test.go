package hub

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestSubscribe_SnapshotLiveChanges(t *testing.T) {
	h, _ := running(t, Options{})
	a, b := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/b")
	p := viewer(h, -1, a, b)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1")
	h.Settle(tally.Change{Topic: b})
	p.expect(t, "default/likes/a=1@1", "default/likes/b=0@0", "live")
	h.Push(change(b, 7))
	p.expect(t, "default/likes/a=1@1", "default/likes/b=0@0", "live", "default/likes/b=7@7")

	late := viewer(h, -1, b, a)
	late.expect(t, "default/likes/b=7@7", "default/likes/a=1@1", "live")
	late.mu.Lock()
	defer late.mu.Unlock()
	if late.writes != 1 {
		t.Errorf("a snapshot of known topics took %d writes, want 1", late.writes)
	}
}

func TestPush_OlderOrEqualVersion(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Millisecond})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 5))
	p.expect(t, "default/likes/a=5@5", "live")
	h.Push(change(a, 4))
	if held := h.Settle(tally.Change{Topic: a, Count: 9, Version: 5}); held != change(a, 5) {
		t.Errorf("Settle returned %v, want what is held", held)
	}
	h.Push(change(a, 6))
	p.expect(t, "default/likes/a=5@5", "live", "default/likes/a=6@6")
}

func TestPush_Storm(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: 20 * time.Millisecond})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 0))
	p.expect(t, "default/likes/a=0@0", "live")
	began := time.Now()
	const last = 20_000
	for n := int64(1); n <= last; n++ {
		h.Push(change(a, n))
	}
	eventually(t, func() bool {
		frames := p.frames(t)
		return frames[len(frames)-1].Count == last
	}, func() string { return "last value" })
	frames := p.frames(t)
	most := 4 + int(time.Since(began)/(20*time.Millisecond))
	if len(frames) > most {
		t.Errorf("%d frames in %v, want at most %d", len(frames), time.Since(began), most)
	}
	for i := 2; i < len(frames); i++ {
		if i > 2 && frames[i].Version <= frames[i-1].Version {
			t.Errorf("frame %v follows %v", frames[i], frames[i-1])
		}
	}
}

func TestViewer_CutFrame(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Millisecond})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, 30, a)
	h.Settle(change(a, 1))
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.accepted.Len() == 30 }, func() string { return "cut" })
	for n := int64(2); n <= 50; n++ {
		h.Push(change(a, n))
	}
	p.setCapacity(-1)
	p.expect(t, "default/likes/a=1@1", "default/likes/a=50@50", "live")
}

func TestViewer_WriteTimeout(t *testing.T) {
	h, _ := running(t, Options{WriteTimeout: time.Second})
	a := topicOf(t, "default/likes/a")
	slow, quick := viewer(h, 0, a), viewer(h, -1, a)
	h.Settle(change(a, 1))
	eventually(t, func() bool { return len(slow.closeReasons()) == 1 }, func() string { return "closing" })
	if got := slow.closeReasons()[0]; got != ReasonWriteTimeout {
		t.Errorf("closed for %v", got)
	}
	if len(quick.closeReasons()) != 0 {
		t.Error("its neighbour was closed too")
	}
}

func TestStale_LiveAfterCorrections(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Hour})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1", "live")
	h.Stale()
	h.Stale()
	p.expect(t, "default/likes/a=1@1", "live", "stale")
	late := viewer(h, -1, a)
	late.expect(t, "stale")
	h.Settle(change(a, 2)) // not due for an hour, but sent before live
	h.Live()
	p.expect(t, "default/likes/a=1@1", "live", "stale", "default/likes/a=2@2", "live")
	late.expect(t, "stale", "default/likes/a=2@2", "live")
}

// With a replica a viewer that joins while the hub is stale gets the snapshot after stale.
func TestStale_Snapshots(t *testing.T) {
	h, _ := running(t, Options{StaleSnapshots: true})
	a := topicOf(t, "default/likes/a")
	h.Stale()
	p := viewer(h, -1, a)
	p.expect(t, "stale")
	h.SettleLagging(change(a, 2))
	p.expect(t, "stale", "default/likes/a=2@2")
	h.Live()
	p.expect(t, "stale", "default/likes/a=2@2", "live")
}

func TestSubscribe_Twice(t *testing.T) {
	h, feed := running(t, Options{})
	a, b := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/b")
	p := viewer(h, -1, a, a)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1", "live")
	h.Subscribe(&p.Viewer, []tally.Topic{a, b})
	h.Settle(change(b, 2))
	p.expect(t, "default/likes/a=1@1", "live", "default/likes/b=2@2", "live")
	h.Unsubscribe(&p.Viewer, []tally.Topic{a})
	eventually(t, func() bool { return feed.watching() == 1 }, func() string { return "a is left" })
	if _, ok := h.Newest(a); ok {
		t.Error("a is still held")
	}
	h.Subscribe(&p.Viewer, []tally.Topic{a})
	eventually(t, func() bool { return feed.watching() == 2 }, func() string { return "a is watched again" })
	h.Settle(change(a, 3))
	p.expect(t, "default/likes/a=1@1", "live", "default/likes/b=2@2", "live", "default/likes/a=3@3", "live")
}

func TestSubscribe_TooManyTopics(t *testing.T) {
	h, _ := running(t, Options{MaxTopics: 3, MaxTopicsPerViewer: 2})
	a, b, c := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/b"), topicOf(t, "default/likes/c")
	p := viewer(h, -1, a, b, c)
	h.Settle(change(a, 1))
	h.Settle(change(b, 1))
	p.expect(t, "default/likes/c!too_many_topics", "default/likes/a=1@1", "default/likes/b=1@1", "live")
	other := &pipe{capacity: -1}
	other.Quota = NewQuota(2)
	h.Adopt(&other.Viewer, other, 0)
	h.Subscribe(&other.Viewer, []tally.Topic{c})
	h.Join(&other.Viewer, nil)
	h.Settle(change(c, 1))
	other.expect(t, "default/likes/c=1@1", "live")
	if full, overQuota := h.Subscribe(&other.Viewer, []tally.Topic{topicOf(t, "default/likes/d")}); len(full) != 1 || len(overQuota) != 0 {
		t.Errorf("refused %v and %v, want one: the hub is full", full, overQuota)
	}
	if used := other.Quota.used.Load(); used != 1 {
		t.Errorf("%d topics are counted, want 1: the hub refused the other", used)
	}
}

func TestSubscribe_FewWrites(t *testing.T) {
	h, _ := running(t, Options{})
	var topics []tally.Topic
	for i := range 900 {
		topics = append(topics, topicOf(t, fmt.Sprintf("default/likes/page-%d", i)))
	}
	p := viewer(h, -1, topics...)
	for i, topic := range topics {
		h.Settle(change(topic, int64(i)))
	}
	eventually(t, func() bool { return len(p.frames(t)) == 901 }, func() string { return "snapshot" })
	other := viewer(h, -1, topics...)
	eventually(t, func() bool { return len(other.frames(t)) == 901 }, func() string { return "snapshot" })
	other.mu.Lock()
	defer other.mu.Unlock()
	if most := other.accepted.Len()/maxWrite + 1; other.writes > most {
		t.Errorf("%d writes, want at most %d", other.writes, most)
	}
}

func TestFinish_CloseFrame(t *testing.T) {
	h, _ := running(t, Options{})
	p := viewer(h, -1)
	p.expect(t, "live")
	h.Finish(&p.Viewer, line(nil, []byte(`{"event":"bye"}`)), ReasonDraining)
	p.expect(t, "live", "bye")
	eventually(t, func() bool { return len(p.closeReasons()) == 1 }, func() string { return "closed" })
	h.Leave(&p.Viewer, ReasonGone)
	h.Send(&p.Viewer, []byte("x\n"))
	h.Subscribe(&p.Viewer, []tally.Topic{topicOf(t, "default/likes/a")})
	p.expect(t, "live", "bye")
}

func TestViewer_Beat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := &recordedFeed{watched: map[tally.Topic]int{}}
		h := New(feed, Options{Formats: []Encoder{line}, Shards: 2})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }() // ends with ctx, waited for below
		a := topicOf(t, "default/likes/a")
		silent, busy := viewer(h, -1), viewer(h, -1, a)
		for n := range 90 {
			h.Settle(change(a, int64(n)))
			time.Sleep(time.Second)
		}
		silent.expect(t, "live", "beat", "beat", "beat")
		for _, f := range busy.frames(t) {
			if f.Event == "beat" {
				t.Error("a viewer that gets changes got a beat")
			}
		}
		stop()
		<-ended
	})
}

// A delivery to a viewer allocates nothing once its buffers have grown.
func TestDelivery_Allocations(t *testing.T) {
	feed := &recordedFeed{watched: map[tally.Topic]int{}}
	h := New(feed, Options{Formats: []Encoder{line}, Shards: 1, FlushInterval: 1})
	s := h.shards[0]
	a := topicOf(t, "default/likes/a")
	const viewers = 1000
	for range viewers {
		p := &discard{}
		h.Adopt(&p.Viewer, p, 0)
		h.Subscribe(&p.Viewer, []tally.Topic{a})
		h.Join(&p.Viewer, nil)
	}
	n := int64(0)
	round := func() {
		n++
		h.Settle(change(a, n))
		s.processInbox(s.now())
		s.flushScheduled()
		for s.serveChunk() {
		}
	}
	round()
	before := h.stats.delivered.Load()
	const rounds = 20
	allocations := testing.AllocsPerRun(rounds, round)
	if got := h.stats.delivered.Load() - before; got != (rounds+1)*viewers {
		t.Fatalf("%d deliveries, want %d", got, (rounds+1)*viewers)
	}
	if perDelivery := allocations / viewers; perDelivery > 0.02 {
		t.Errorf("%.3f allocations a delivery (%v a change)", perDelivery, allocations)
	}
	s.shutdown()
}

// discard accepts everything.
type discard struct{ Viewer }

func (*discard) TryWrite(p []byte) (int, error) { return len(p), nil }
func (*discard) Close(Reason)                   {}

// Every way of ending a subscription returns it to the quota.
func TestQuota_CountsSubscriptions(t *testing.T) {
	h, _ := running(t, Options{MaxTopicsPerViewer: 3})
	a, b, c, d := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/b"), topicOf(t, "default/likes/c"), topicOf(t, "default/likes/d")
	quota := NewQuota(4)
	join := func(topics ...tally.Topic) (p *pipe, overQuota []tally.Topic) {
		p = &pipe{capacity: -1}
		p.Quota = quota
		h.Adopt(&p.Viewer, p, 0)
		_, overQuota = h.Subscribe(&p.Viewer, topics)
		h.Join(&p.Viewer, nil)
		return p, overQuota
	}
	used := func(want int64) {
		t.Helper()
		eventually(t, func() bool { return quota.used.Load() == want }, func() string { return fmt.Sprintf("%d are counted, want %d", quota.used.Load(), want) })
	}
	first, overQuota := join(a, a, b) // one of them twice
	used(2)
	if len(overQuota) != 0 {
		t.Errorf("refused %v", overQuota)
	}
	second, overQuota := join(a, c, d)
	if len(overQuota) != 1 || overQuota[0] != d {
		t.Errorf("refused %v, want %s", overQuota, d)
	}
	used(4)
	h.Unsubscribe(&second.Viewer, []tally.Topic{a, d})
	used(3)
	h.Leave(&first.Viewer, ReasonGone)
	used(1)
	h.Subscribe(&first.Viewer, []tally.Topic{b}) // is closed
	used(1)
	h.Subscribe(&second.Viewer, []tally.Topic{a, b, d}) // one topic above the limit of a viewer
	used(3)
	h.Leave(&second.Viewer, ReasonGone)
	used(0)
	if viewer, overQuota := join(a, b, c, d); len(overQuota) != 0 {
		t.Errorf("refused %v after all have left", overQuota)
		h.Leave(&viewer.Viewer, ReasonGone)
	}
	for range 10 {
		if !(*Quota)(nil).Acquire() {
			t.Error("no quota is one")
		}
	}
}

func TestDelivery_Lag(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Millisecond})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1", "live")
	if frames, _ := lag(h); frames != 0 {
		t.Errorf("%v snapshots lagged", frames)
	}

	p.setCapacity(0)
	h.Push(change(a, 2))
	const stalled = 200 * time.Millisecond
	time.Sleep(stalled) // the delay that the metric must show
	p.setCapacity(-1)
	p.expect(t, "default/likes/a=1@1", "live", "default/likes/a=2@2")
	eventually(t, func() bool { frames, _ := lag(h); return frames == 1 }, func() string { return "the delivery does not count" })
	if _, seconds := lag(h); seconds < stalled.Seconds() || seconds > 5 {
		t.Errorf("a delivery that was held up for %s lagged %v s", stalled, seconds)
	}
	if state := lagHistogram(h); state.Count != 0 {
		t.Errorf("a viewer whose socket was full counts in the histogram: %+v", state)
	}
}

// The histogram of the delivery lag counts rounds of writes, not viewers.
func TestMetrics_DeliveryLagHistogram(t *testing.T) {
	h, _ := running(t, Options{Shards: 1})
	a := topicOf(t, "default/likes/a")
	const viewers, rounds = 2*chunkSize + 1, 3
	var pipes []*pipe
	for range viewers {
		pipes = append(pipes, viewer(h, -1, a))
	}
	h.Settle(change(a, 1))
	for _, p := range pipes {
		p.expect(t, "default/likes/a=1@1", "live")
	}
	if state := lagHistogram(h); state.Count != 0 {
		t.Errorf("snapshots count: %+v", state)
	}
	h.Push(change(a, 2))
	eventually(t, func() bool { frames, _ := lag(h); return frames == viewers }, func() string { return "the deliveries do not count" })
	eventually(t, func() bool { return lagHistogram(h).Count == rounds }, func() string { return fmt.Sprintf("%+v", lagHistogram(h)) })
	if state := lagHistogram(h); state.Sum <= 0 || state.Sum > 5 {
		t.Errorf("%+v", state)
	}
}

func lagHistogram(h *Hub) tally.HistogramState { return h.stats.oldestLag.State() }

// lag returns the two metrics of delivery lag.
func lag(h *Hub) (frames, seconds float64) {
	for _, m := range h.Metrics() {
		switch m.Name {
		case "delivery_lag_frames_total":
			frames = m.Value
		case "delivery_lag_seconds_total":
			seconds = m.Value
		}
	}
	return frames, seconds
}
