package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// notRunning returns a hub of one shard, whose steps the test calls itself.
func notRunning(options Options) (*Hub, *shard) {
	options.Formats, options.Shards = []Encoder{line}, 1
	h := New(&recordedFeed{watched: map[tally.Topic]int{}}, options)
	return h, h.shards[0]
}

func manyTopics(t *testing.T, n int) (topics []tally.Topic) {
	for i := range n {
		topics = append(topics, topicOf(t, fmt.Sprintf("default/likes/page-%d", i)))
	}
	return topics
}

func TestViewer_Overflow(t *testing.T) {
	h, s := notRunning(Options{MaxTopicsPerViewer: 10})
	p := viewer(h, 0)
	for range 200 {
		h.Subscribe(&p.Viewer, manyTopics(t, 1000))
		s.processInbox(s.now())
		if len(p.pending) > maxPending {
			t.Fatalf("%d bytes are kept for a viewer that takes nothing, want at most %d", len(p.pending), maxPending)
		}
	}
	if got := p.closeReasons(); len(got) != 1 || got[0] != ReasonOverflow {
		t.Errorf("closed for %v, want overflow", got)
	}
	s.shutdown()
}

// Frames for a viewer are bounded also while its shard does not run.
func TestViewer_OverflowOfInbox(t *testing.T) {
	h, s := notRunning(Options{})
	p := viewer(h, 0)
	s.processInbox(s.now())
	frame := make([]byte, 1<<10)
	for range 10 * maxPending / len(frame) {
		h.Send(&p.Viewer, frame)
	}
	if n, most := len(s.inbox.commands), maxPending/len(frame)+1; n > most {
		t.Errorf("%d commands wait, want at most %d", n, most)
	}
	s.processInbox(s.now())
	if got := p.closeReasons(); len(got) != 1 || got[0] != ReasonOverflow {
		t.Errorf("closed for %v, want overflow", got)
	}
	s.shutdown()
}

func TestShard_DirtyBounded(t *testing.T) {
	h, s := notRunning(Options{FlushInterval: 1})
	const viewers = 1000
	topics := manyTopics(t, 8)
	for range viewers {
		viewer(h, -1, topics...)
	}
	for n := range int64(20_000) {
		h.Settle(change(topics[n%8], n))
		s.processInbox(s.now())
		s.flushDue(s.now())
		s.serveChunk()
	}
	if cap(s.dirty) > 4*viewers {
		t.Errorf("the list of %d viewers grew to %d", viewers, cap(s.dirty))
	}
	s.shutdown()
}

func TestShard_CostAfterPause(t *testing.T) {
	h, s := notRunning(Options{})
	a := topicOf(t, "default/likes/a")
	const viewers = 5000
	for range viewers {
		viewer(h, -1, a)
	}
	turn := func(n int64) {
		h.Settle(change(a, n))
		s.processInbox(s.now())
		s.flushScheduled()
		for s.serveChunk() {
		}
	}
	turn(1)
	stalled := &stall{}
	h.Adopt(&stalled.Viewer, stalled, 0)
	h.Subscribe(&stalled.Viewer, []tally.Topic{a})
	h.Join(&stalled.Viewer, nil)
	turn(2)
	turn(3)
	l := h.topics.find(a).subscribersOf(0)
	if wait := time.Duration(l.due - s.now()); wait > time.Second {
		t.Errorf("after a pause of 300 ms the topic waits for %v", wait)
	}
	s.shutdown()
}

// stall is a connection with slow writes, as when the machine pauses.
type stall struct{ Viewer }

func (*stall) TryWrite(p []byte) (int, error) {
	time.Sleep(300 * time.Millisecond)
	return len(p), nil
}
func (*stall) Close(Reason) {}

func TestShard_BlockedOnce(t *testing.T) {
	h, s := notRunning(Options{})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	for n := range int64(100) {
		p.setCapacity(0)
		h.Settle(change(a, 2*n))
		s.processInbox(s.now())
		s.flushScheduled()
		s.serveChunk()
		p.setCapacity(-1)
		s.addDirty(&p.Viewer)
		s.serveChunk()
	}
	if len(s.blocked) != 1 {
		t.Errorf("one viewer is listed %d times", len(s.blocked))
	}
	s.shutdown()
}

func TestJoin_AfterFinish(t *testing.T) {
	h, s := notRunning(Options{})
	p := &pipe{capacity: -1}
	h.Adopt(&p.Viewer, p, 0)
	h.Subscribe(&p.Viewer, []tally.Topic{topicOf(t, "default/likes/a")})
	h.Finish(&p.Viewer, []byte("bye\n"), ReasonDraining)
	s.processInbox(s.now())
	if len(p.closeReasons()) != 0 {
		t.Fatal("closed while its connection is still being taken over")
	}
	h.Join(&p.Viewer, nil)
	s.processInbox(s.now())
	s.serveChunk()
	if got := p.closeReasons(); len(got) != 1 || got[0] != ReasonDraining {
		t.Errorf("closed for %v, want draining", got)
	}
	late := &pipe{capacity: -1}
	h.Adopt(&late.Viewer, late, 0)
	s.shutdown()
	h.Leave(&late.Viewer, ReasonGone)
	if len(late.closeReasons()) != 0 {
		t.Error("after the end: closed before it joined")
	}
	h.Join(&late.Viewer, nil)
	if len(late.closeReasons()) != 1 {
		t.Error("after the end: not closed when it joined")
	}
}
