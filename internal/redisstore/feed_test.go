package redisstore

import (
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
	f := newFeed()
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
	if watches := f.settledTopics(func(tally.Topic) bool { return true }); len(watches) != 0 {
		t.Errorf("settled: %v", watches)
	}
	f.watch(topic) // a second viewer: the same watch
	if !f.isCurrent(second) {
		t.Error("a watch ended when it was watched again")
	}
	if f.setSettled([]watch{second}); len(f.settledTopics(func(tally.Topic) bool { return true })) != 1 {
		t.Error("the second watch is not settled")
	}
}
