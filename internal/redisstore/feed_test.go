package redisstore

import (
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// A topic that is left and watched again at once: what was read for the first watch
// lacks what was published in between, and does not settle the second.
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
			t.Fatalf("to settle: %v", watches)
		}
		return watches[0]
	}
	first := confirmed() // and is being read
	f.unwatch(topic)
	if f.isCurrent(first) {
		t.Error("a watch lasts beyond its end")
	}
	f.watch(topic) // before the subscription was even left
	second := confirmed()
	if f.isCurrent(first) || !f.isCurrent(second) {
		t.Errorf("the first of two watches lasts: %t, the second: %t", f.isCurrent(first), f.isCurrent(second))
	}
	f.setSettled([]watch{first})
	if watches := f.settledTopics(func(tally.Topic) bool { return true }); len(watches) != 0 {
		t.Errorf("settled: %v", watches)
	}
	f.watch(topic) // somebody else on the page; what is read serves both
	if !f.isCurrent(second) {
		t.Error("a watch ended though it was only begun once more")
	}
	if f.setSettled([]watch{second}); len(f.settledTopics(func(tally.Topic) bool { return true })) != 1 {
		t.Error("the second watch is not settled")
	}
}
