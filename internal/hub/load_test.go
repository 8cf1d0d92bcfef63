package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// idle returns a hub of one shard that nobody runs, for tests that take its steps
// themselves.
func idle(options Options) (*Hub, *shard) {
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

func TestRefusalsOfOneViewerAreBounded(t *testing.T) {
	h, s := idle(Options{MaxTopicsPerViewer: 10})
	p := viewer(h, 0)
	for range 200 {
		h.Subscribe(&p.Viewer, manyTopics(t, 1000))
		s.processInbox(s.now())
		if len(p.private) > maxPrivate {
			t.Fatalf("%d bytes are kept for a viewer that takes nothing, want at most %d", len(p.private), maxPrivate)
		}
	}
	if got := p.left(); len(got) != 1 || got[0] != ReasonOverflow {
		t.Errorf("closed for %v, want overflow", got)
	}
	s.shutdown()
}

func TestDirtyListStaysSmallUnderLastingLoad(t *testing.T) {
	h, s := idle(Options{FlushInterval: 1})
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

func TestPauseDoesNotFreezeATopic(t *testing.T) {
	h, s := idle(Options{})
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
	l := &h.topics.find(a).byShard[0]
	if wait := time.Duration(l.due - s.now()); wait > time.Second {
		t.Errorf("after a pause of 300 ms the topic waits for %v", wait)
	}
	s.shutdown()
}

// stall is a connection whose writes take long, as when the machine pauses.
type stall struct{ Viewer }

func (*stall) TryWrite(p []byte) (int, error) {
	time.Sleep(300 * time.Millisecond)
	return len(p), nil
}
func (*stall) Close(Reason) {}

func TestViewerThatBlocksAgainAndAgainIsListedOnce(t *testing.T) {
	h, s := idle(Options{})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	for n := range int64(100) {
		p.give(0)
		h.Settle(change(a, 2*n))
		s.processInbox(s.now())
		s.flushScheduled()
		s.serveChunk()
		p.give(-1)
		s.addDirty(&p.Viewer)
		s.serveChunk()
	}
	if len(s.blocked) != 1 {
		t.Errorf("one viewer is listed %d times", len(s.blocked))
	}
	s.shutdown()
}

func TestViewerThatLeavesBeforeItJoinsIsClosedThen(t *testing.T) {
	h, s := idle(Options{})
	p := &pipe{room: -1}
	h.Adopt(&p.Viewer, p, 0)
	h.Subscribe(&p.Viewer, []tally.Topic{topicOf(t, "default/likes/a")})
	h.Finish(&p.Viewer, []byte("bye\n"), ReasonDraining)
	s.processInbox(s.now())
	if len(p.left()) != 0 {
		t.Fatal("closed while its connection is still being taken over")
	}
	h.Join(&p.Viewer, nil)
	s.processInbox(s.now())
	s.serveChunk()
	if got := p.left(); len(got) != 1 || got[0] != ReasonDraining {
		t.Errorf("closed for %v, want draining", got)
	}
	late := &pipe{room: -1}
	h.Adopt(&late.Viewer, late, 0)
	s.shutdown()
	h.Leave(&late.Viewer, ReasonGone)
	if len(late.left()) != 0 {
		t.Error("after the end: closed before it joined")
	}
	h.Join(&late.Viewer, nil)
	if len(late.left()) != 1 {
		t.Error("after the end: not closed when it joined")
	}
}
