package redisstore

import (
	"fmt"
	"testing"

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
	f := newFeed(func(tally.Topic) bool { return false })
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
	if watches := f.takeSweep(); len(watches) != 0 {
		t.Errorf("settled: %v", watches)
	}
	f.watch(topic) // a second viewer: the same watch
	if !f.isCurrent(second) {
		t.Error("a watch ended when it was watched again")
	}
	if f.setSettled([]watch{second}); len(f.takeSweep()) != 1 {
		t.Error("the second watch is not settled")
	}
}

// Each interval of the sweep visits its part of the watched topics, not all of them, and a
// pass visits every topic, though others are unwatched meanwhile.
func TestFeed_SweepVisitsPart(t *testing.T) {
	t.Parallel()
	presence := func(topic tally.Topic) bool { return topic.Metric() == "readers" }
	f := newFeed(presence)
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
	const others, readers = 10 * sweepTicks, 3 * presenceTicks
	topics := watchAll("likes", others)
	visited := map[tally.Topic]int{}
	for tick := range sweepTicks {
		part := f.sweeps[0].take()
		if len(part) > others/sweepTicks {
			t.Fatalf("interval %d visits %d topics", tick, len(part))
		}
		for _, state := range part {
			visited[state.topic]++
		}
		if left := f.sweeps[1].take(); len(left) > 0 {
			t.Fatalf("%d presence topics, though none is watched", len(left))
		}
		f.unwatch(topics[tick]) // visited or not
	}
	for i, topic := range topics {
		if i >= sweepTicks && visited[topic] == 0 {
			t.Errorf("%s was not visited", topic)
		}
	}
	watchAll("readers", readers)
	if part := f.sweeps[1].take(); len(part) != readers/presenceTicks {
		t.Errorf("an interval visits %d of %d presence topics", len(part), readers)
	}
	for _, topic := range topics {
		f.unwatch(topic)
	}
	if n := len(f.sweeps[0].topics); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}
