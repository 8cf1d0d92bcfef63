package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A topic is unwatched and watched again. The state that was read for the first watch may
// lack later publications, so it does not settle the second.
func TestFeed_WatchAgain(t *testing.T) {
	t.Parallel()
	topic, err := tally.ParseTopic("default/likes/page")
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(func(tally.Topic) bool { return false }, Intervals{})
	f.watch(topic)
	f.reset(true)
	confirmed := func() watch {
		t.Helper()
		f.takeDirty(1)
		f.confirm(topic.String())
		watches := f.takeSettle(1)
		if len(watches) != 1 || !f.isCurrent(watches[0]) {
			t.Fatalf("topics to settle: %v", watches)
		}
		return watches[0]
	}
	first := confirmed() // its read begins
	f.unwatch(topic)
	if f.isCurrent(first) {
		t.Error("an ended watch is current")
	}
	f.watch(topic) // before UNSUBSCRIBE
	second := confirmed()
	if f.isCurrent(first) || !f.isCurrent(second) {
		t.Errorf("the first watch is current: %t, the second: %t", f.isCurrent(first), f.isCurrent(second))
	}
	f.setSettled([]watch{first})
	if watches, _ := f.takeSweep(time.Now(), nil, nil); len(watches) != 0 {
		t.Errorf("settled: %v", watches)
	}
	f.watch(topic) // a second viewer: the same watch
	if !f.isCurrent(second) {
		t.Error("a watch ended when it was watched again")
	}
	f.setSettled([]watch{second})
	if watches, _ := f.takeSweep(time.Now(), nil, nil); len(watches) != 1 {
		t.Error("the second watch is not settled")
	}
}

// A sweep reads few topics in one call. With many topics each call reads a part, and a pass
// reads every topic, even if other topics are unwatched meanwhile.
func TestFeed_SweepVisitsPart(t *testing.T) {
	t.Parallel()
	presence := func(topic tally.Topic) bool { return topic.Metric() == "readers" }
	intervals := Intervals{}.withDefaults()
	f := newFeed(presence, intervals)
	watchAll := func(metric string, n int) (topics []tally.Topic) {
		for i := range n {
			topic, err := tally.NewTopic("default", metric, fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			f.watch(topic)
			topics = append(topics, topic)
		}
		return topics
	}
	now := time.Now()
	take := func(list int, after time.Duration) []*topicState {
		now = now.Add(after)
		return f.sweeps[list].take(now)
	}
	take(0, 0) // nothing is watched yet
	watchAll("likes", readChunk)
	if n := len(take(0, intervals.Sweep-1)); n != 0 {
		t.Errorf("%d topics are visited early", n)
	}
	if n := len(take(0, 1)); n != readChunk {
		t.Errorf("a call visits %d of %d topics", n, readChunk)
	}
	const parts = 10
	topics := watchAll("likes", parts*readChunk)
	visited := map[tally.Topic]int{}
	for i := range parts {
		part := take(0, intervals.Sweep/parts)
		if len(part) == 0 || len(part) > readChunk {
			t.Fatalf("call %d visits %d topics", i, len(part))
		}
		for _, state := range part {
			visited[state.topic]++
		}
		f.unwatch(topics[i]) // visited or not
	}
	for i, topic := range topics {
		if i >= parts && visited[topic] == 0 {
			t.Errorf("%s was not visited", topic)
		}
	}
	take(1, 0)
	readers := watchAll("readers", 3)
	if part := take(1, intervals.PresenceSweep); len(part) != len(readers) {
		t.Errorf("%d of %d presence topics are visited", len(part), len(readers))
	}
	for _, topic := range topics {
		f.unwatch(topic)
	}
	if n := len(f.sweeps[0].topics); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}
