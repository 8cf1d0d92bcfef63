package hub

import (
	"fmt"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// On one connection a topic's versions only grow, even if the viewer unsubscribed and the
// store then lost the topic or returned to older data.
func TestSubscribe_AfterOlderStore(t *testing.T) {
	a, b := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/b")
	begin := func(t *testing.T) (*Hub, *pipe, []string) {
		h, _ := running(t, Options{})
		p := viewer(h, -1, a)
		h.Settle(change(a, 50))
		seen := []string{"default/likes/a=50@50", "live"}
		p.expect(t, seen...)
		return h, p, seen
	}
	again := func(t *testing.T, h *Hub, p *pipe) {
		t.Helper()
		h.Unsubscribe(&p.Viewer, []tally.Topic{a})
		eventually(t, func() bool { return h.topics.find(a) == nil }, func() string { return "the topic is still watched" })
		h.Subscribe(&p.Viewer, []tally.Topic{a})
		eventually(t, func() bool { return h.topics.find(a).floor.Load() == 50 }, func() string { return "what was sent is not remembered" })
	}

	t.Run("unchanged", func(t *testing.T) {
		h, p, seen := begin(t)
		again(t, h, p)
		if held := h.Settle(change(a, 50)); held != change(a, 50) {
			t.Errorf("held %v", held)
		}
		p.expect(t, append(seen, "default/likes/a=50@50", "live")...)
	})
	t.Run("newer", func(t *testing.T) {
		h, p, seen := begin(t)
		again(t, h, p)
		h.Settle(change(a, 60))
		p.expect(t, append(seen, "default/likes/a=60@60", "live")...)
	})
	t.Run("older", func(t *testing.T) {
		h, p, seen := begin(t)
		again(t, h, p)
		// The feed compares and asks the store to reissue.
		if held := h.Settle(change(a, 3)); held.Version != 50 || held.Count != 3 {
			t.Errorf("held %v, want the count that was read under the version that was sent", held)
		}
		h.Push(tally.Change{Topic: a, Count: 3, Version: 70})
		p.expect(t, append(seen, "default/likes/a=3@70", "live")...)
	})
	t.Run("a replica that lags", func(t *testing.T) {
		h, p, seen := begin(t)
		again(t, h, p)
		for _, read := range []tally.Change{{Topic: a}, change(a, 3)} {
			if held := h.SettleLagging(read); held.Version != 50 {
				t.Errorf("%v was read and %v is held", read, held)
			}
		}
		h.SettleLagging(change(a, 60))
		p.expect(t, append(seen, "default/likes/a=60@60", "live")...)
	})
	t.Run("missing", func(t *testing.T) {
		h, p, seen := begin(t)
		again(t, h, p)
		if held := h.Settle(tally.Change{Topic: a}); held.Count != 0 || held.Version <= 50 {
			t.Errorf("held %v", held)
		}
		p.expect(t, append(seen, "default/likes/a=0@51", "live")...)
		h.Push(tally.Change{Topic: a, Count: 1, Version: 90})
		p.expect(t, append(seen, "default/likes/a=0@51", "live", "default/likes/a=1@90")...)
	})
	t.Run("left again before it was settled", func(t *testing.T) {
		h, p, _ := begin(t)
		again(t, h, p)
		again(t, h, p)
		h.Settle(tally.Change{Topic: a})
		// The hub may send the first live while the viewer watches nothing.
		count := func(text string) (n int) {
			for _, f := range p.frames(t) {
				if f.String() == text {
					n++
				}
			}
			return n
		}
		eventually(t, func() bool { return count("live") == 3 && count("default/likes/a=0@51") == 1 },
			func() string { return fmt.Sprint(p.frames(t)) })
	})
	t.Run("others watch it", func(t *testing.T) {
		h, p, seen := begin(t)
		h.Unsubscribe(&p.Viewer, []tally.Topic{a})
		eventually(t, func() bool { return h.topics.find(a) == nil }, func() string { return "the topic is still watched" })
		other := viewer(h, -1, a)
		h.Settle(change(a, 3))
		other.expect(t, "default/likes/a=3@3", "live")
		h.Subscribe(&p.Viewer, []tally.Topic{a})
		eventually(t, func() bool { return h.feed.(*recordedFeed).refreshCount(a) == 1 }, func() string { return "the feed is not asked to read it again" })
		h.Settle(change(a, 3))
		h.Push(tally.Change{Topic: a, Count: 3, Version: 70})
		p.expect(t, append(seen, "default/likes/a=3@70", "live")...)
		other.expect(t, "default/likes/a=3@3", "live", "default/likes/a=3@70")
	})
	t.Run("another topic", func(t *testing.T) {
		h, p, seen := begin(t)
		h.Unsubscribe(&p.Viewer, []tally.Topic{a})
		h.Subscribe(&p.Viewer, []tally.Topic{b})
		eventually(t, func() bool { return h.topics.find(b) != nil }, func() string { return "the topic is not watched" })
		h.Settle(tally.Change{Topic: b})
		p.expect(t, append(seen, "default/likes/b=0@0", "live")...)
	})
}

// A viewer goes live at once if it unsubscribes from the only topic that is not settled.
func TestUnsubscribe_LastUnsettledTopic(t *testing.T) {
	h, _ := running(t, Options{})
	a, unsettled := topicOf(t, "default/likes/a"), topicOf(t, "default/likes/unsettled")
	p := viewer(h, -1, a, unsettled)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1")
	h.Unsubscribe(&p.Viewer, []tally.Topic{unsettled})
	p.expect(t, "default/likes/a=1@1", "live")
}

// A viewer remembers a bounded number of topics that it unsubscribed from.
func TestUnsubscribe_MemoryBounded(t *testing.T) {
	h, _ := running(t, Options{MaxTopicsPerViewer: 3})
	p := viewer(h, -1)
	for i := range 10 {
		topic := topicOf(t, fmt.Sprintf("default/likes/%d", i))
		h.Subscribe(&p.Viewer, []tally.Topic{topic})
		eventually(t, func() bool { return h.topics.find(topic) != nil }, func() string { return "the topic is not watched" })
		h.Settle(change(topic, 5))
		eventually(t, func() bool {
			frames := p.frames(t)
			return len(frames) > 0 && frames[len(frames)-1].Event == "live" && len(frames) >= 2*(i+1)
		}, func() string { return "no snapshot" })
		h.Unsubscribe(&p.Viewer, []tally.Topic{topic})
		eventually(t, func() bool { return h.topics.find(topic) == nil }, func() string { return "the topic is still watched" })
	}
	h.Leave(&p.Viewer, ReasonGone)
	eventually(t, func() bool { return len(p.closeReasons()) == 1 }, func() string { return "the viewer is not closed" })
}

// A published version below the newest one tells that the store has older data: the hub
// refreshes the topic at once, before the next sweep.
func TestPush_OlderRefreshes(t *testing.T) {
	h, feed := running(t, Options{})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 50))
	p.expect(t, "default/likes/a=50@50", "live")
	h.Push(change(a, 50))
	if n := feed.refreshCount(a); n != 0 {
		t.Errorf("read again %d times after a publication that was known", n)
	}
	h.Push(change(a, 3))
	if n := feed.refreshCount(a); n != 1 {
		t.Errorf("read again %d times", n)
	}
	h.Push(change(topicOf(t, "default/likes/b"), 3)) // nobody watches it
}
