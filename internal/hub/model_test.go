package hub

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// After any sequence of events, on fast and slow connections: a topic's versions only
// grow on each connection, every viewer ends live with the newest value of its topics,
// and the hub watches no other topics.
func TestHub_Model(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		script := drawScript(r)
		var failure string
		synctest.Test(t, func(*testing.T) { failure = script.play() })
		if failure != "" {
			r.Fatal(failure)
		}
	})
}

// step is one event.
type step struct {
	kind, viewer, topic, capacity int
}

const (
	stepJoin = iota
	stepLeave
	stepSubscribe
	stepUnsubscribe
	stepPush
	stepAnswer
	stepSettle
	stepCapacity
	stepStale
	stepLive
	stepWait
	stepBack
	steps
)

type script struct {
	topics []tally.Topic
	steps  []step
	shards int
}

func drawScript(r *rapid.T) (s script) {
	for i := range 4 {
		topic, err := tally.ParseTopic(fmt.Sprintf("default/likes/%d", i))
		if err != nil {
			r.Fatal(err)
		}
		s.topics = append(s.topics, topic)
	}
	s.shards = rapid.IntRange(1, 3).Draw(r, "shards")
	s.steps = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
		return step{
			kind:     rapid.IntRange(0, steps-1).Draw(r, "kind"),
			viewer:   rapid.IntRange(0, 5).Draw(r, "viewer"),
			topic:    rapid.IntRange(0, len(s.topics)-1).Draw(r, "topic"),
			capacity: rapid.IntRange(0, 200).Draw(r, "capacity"),
		}
	}), 1, 80).Draw(r, "steps")
	return s
}

// play returns a description of the failure, or "".
func (s script) play() string {
	feed := &recordedFeed{watched: map[tally.Topic]int{}}
	h := New(feed, Options{Formats: []Encoder{line}, Shards: s.shards})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }() // ends with ctx, waited for below
	defer func() { <-ended }()
	defer stop()

	viewers := map[int]*pipe{}
	watches := map[int]map[tally.Topic]bool{}
	newest := map[tally.Topic]tally.Change{}
	version, stale := int64(0), false
	// settle reads a topic as a feed does, and reissues it if the hub has another value.
	settle := func(topic tally.Topic) {
		if newest[topic].Topic == (tally.Topic{}) {
			newest[topic] = tally.Change{Topic: topic}
		}
		read := newest[topic]
		held := h.Settle(read)
		if held == read || held.Version < read.Version || read.Version == 0 && held.Count == 0 {
			return
		}
		version = max(version, held.Version) + 10
		newest[topic] = tally.Change{Topic: topic, Count: read.Count, Version: version}
		h.Push(newest[topic])
	}
	for _, step := range s.steps {
		topic, p := s.topics[step.topic], viewers[step.viewer]
		switch step.kind {
		case stepJoin:
			if p == nil {
				viewers[step.viewer] = viewer(h, step.capacity, topic)
				watches[step.viewer] = map[tally.Topic]bool{topic: true}
			}
		case stepLeave:
			if p != nil {
				h.Leave(&p.Viewer, ReasonGone)
				delete(viewers, step.viewer)
				delete(watches, step.viewer)
			}
		case stepSubscribe, stepUnsubscribe:
			if p == nil {
				continue
			}
			if step.kind == stepSubscribe {
				h.Subscribe(&p.Viewer, []tally.Topic{topic})
				watches[step.viewer][topic] = true
			} else {
				h.Unsubscribe(&p.Viewer, []tally.Topic{topic})
				delete(watches[step.viewer], topic)
			}
		case stepPush:
			version += 10
			newest[topic] = change(topic, version)
			h.Push(newest[topic])
		case stepAnswer: // a viewer's assertion is answered; the feed may bring the change later
			if p == nil {
				continue
			}
			version += 10
			newest[topic] = change(topic, version)
			h.Answer(&p.Viewer, line(nil, []byte(`{"topic":"answer"}`)), newest[topic])
			p.Unanswered.Store(int32(step.capacity % 2))
			synctest.Wait() // an answer that is older than a loss of data is for the sweep
		case stepSettle:
			settle(topic)
		case stepBack: // the store loses the topic, or has older data
			back := newest[topic]
			if back.Version /= 2; step.capacity%2 == 0 {
				back = tally.Change{}
			}
			back.Topic = topic
			newest[topic] = back
		case stepCapacity:
			if p != nil {
				p.setCapacity(step.capacity)
			}
		case stepStale:
			h.Stale()
			stale = true
		case stepLive:
			for _, topic := range s.topics {
				settle(topic)
			}
			h.Live()
			stale = false
		case stepWait:
			time.Sleep(time.Duration(step.capacity) * time.Millisecond)
		}
	}
	// In the end all topics are settled and live, and all connections accept everything.
	for _, topic := range s.topics {
		settle(topic)
	}
	if stale {
		h.Live()
	}
	for _, p := range viewers {
		p.setCapacity(-1)
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if failure := s.check(h, feed, viewers, watches, newest); failure != "" {
		return failure
	}
	for _, p := range viewers {
		h.Leave(&p.Viewer, ReasonGone)
	}
	synctest.Wait()
	if n := feed.watching(); n != 0 {
		return fmt.Sprintf("%d topics are watched for nobody", n)
	}
	return ""
}

func (s script) check(h *Hub, feed *recordedFeed, viewers map[int]*pipe, watches map[int]map[tally.Topic]bool, newest map[tally.Topic]tally.Change) string {
	all := map[tally.Topic]bool{}
	for n, p := range viewers {
		frames, err := p.read()
		if err != nil {
			return err.Error()
		}
		last := map[string]frame{}
		subscribed := false
		for _, f := range frames {
			if f.Event != "" {
				subscribed = f.Event == "live" || subscribed && f.Event != "stale"
				continue
			}
			if before, ok := last[f.Topic]; ok && f.Version < before.Version {
				return fmt.Sprintf("viewer %d got %v after %v", n, f, before)
			}
			last[f.Topic] = f
		}
		if !subscribed {
			return fmt.Sprintf("viewer %d is not live at the end: %v", n, frames)
		}
		for topic := range watches[n] {
			all[topic] = true
			// A missing topic has no version in the store.
			if got := last[topic.String()]; newest[topic].Version != 0 && got.Version != newest[topic].Version || got.Count != newest[topic].Count || got.Topic == "" {
				return fmt.Sprintf("viewer %d ends on %v, want %v", n, got, newest[topic])
			}
		}
	}
	if feed.watching() != len(all) {
		return fmt.Sprintf("%d topics are watched, want %d", feed.watching(), len(all))
	}
	return ""
}
