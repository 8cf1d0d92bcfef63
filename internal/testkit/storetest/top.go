package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// topLag is how long Top may take to follow: the contract's 2 s, and one for a
// loaded machine.
const topLag = 3 * time.Second

// topReaches waits until Top gives want.
func topReaches(t *testing.T, store tally.Store, site, metric string, limit int, want []tally.Change) {
	t.Helper()
	var got []tally.Change
	within(t, topLag, func() bool {
		var err error
		if got, err = store.Top(answerContext(t), site, metric, limit); err != nil {
			t.Fatalf("top of %s/%s: %v", site, metric, err)
		}
		return slices.Equal(got, want)
	}, func() string {
		return fmt.Sprintf("top %d of %s/%s is %v, want %v", limit, site, metric, got, want)
	})
}

// testTop orders topics by their counts, and follows when they change.
func testTop(t *testing.T, open Factory) {
	f := fixture(t, open)
	runAll(t, f)
	counts := map[string]int64{"a": 3, "b": 5, "c": 3, "d": 1, "e/f": 3, "ä": 3, "B": 3}
	state := map[string]tally.Change{}
	set := func(key string, count int64) {
		topic := topic(t, "blog", "claps", key)
		got := apply(t, f.Instance, topic, assert(1, count))
		state[key] = tally.Change{Topic: topic, Count: got.Count, Version: got.Version}
	}
	for key, count := range counts {
		set(key, count)
	}
	// Neighbours that must not show.
	apply(t, f.Instance, topic(t, "default", "claps", "b"), assert(1, 9))
	apply(t, f.Instance, topic(t, "blog", "likes", "b"), assert(1, 1))
	order := func(keys ...string) (changes []tally.Change) {
		for _, key := range keys {
			changes = append(changes, state[key])
		}
		return changes
	}
	topReaches(t, f.other(), "blog", "claps", 100, order("b", "B", "a", "c", "e/f", "ä", "d"))
	topReaches(t, f.Instance, "blog", "claps", 3, order("b", "B", "a"))

	set("d", 6)
	set("b", 0) // none is left of it
	topReaches(t, f.other(), "blog", "claps", 3, order("d", "B", "a"))
	topReaches(t, f.other(), "blog", "claps", 100, order("d", "B", "a", "c", "e/f", "ä"))
	set("b", 1)
	topReaches(t, f.other(), "blog", "claps", 100, order("d", "B", "a", "c", "e/f", "ä", "b"))
	topReaches(t, f.Instance, "blog", "visitors", 10, nil)
}
