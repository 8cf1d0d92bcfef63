package tally_test

import (
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestKnownKeys_Contains(t *testing.T) {
	keys := tally.NewKnownKeys("blog", "docs")
	keys.Set("blog", map[string]bool{"hello": true})
	for text, want := range map[string][2]bool{
		"blog/likes/hello": {true, true}, "blog/likes/index": {true, true}, "blog/likes/other": {false, true}, "docs/likes/hello": {false, false}, "default/likes/hello": {false, false},
	} {
		if isListed, isKnown := keys.Contains(mustTopic(t, text)); isKnown != want[1] || isKnown && isListed != want[0] {
			t.Errorf("%s: listed %t, known %t", text, isListed, isKnown)
		}
	}
	if _, isKnown := (*tally.KnownKeys)(nil).Contains(mustTopic(t, "blog/likes/hello")); isKnown {
		t.Error("a nil KnownKeys has a list")
	}
}

func TestKnownKeys_MayCreate(t *testing.T) {
	keys := tally.NewKnownKeys("blog")
	check := func(want map[string]bool) {
		t.Helper()
		for text, may := range want {
			if keys.MayCreate(mustTopic(t, text)) != may {
				t.Errorf("%s may be created: %t", text, !may)
			}
		}
	}
	check(map[string]bool{"default/likes/anything": true, "blog/likes/site": true, "blog/visitors/index": true, "blog/likes/hello": false})
	keys.Set("blog", map[string]bool{"hello": true, "a/b?c=d": true})
	check(map[string]bool{
		"blog/likes/hello": true, "blog/claps/hello": true, "blog/likes/a/b?c=d": true,
		"blog/likes/Hello": false, "blog/likes/hello/x": false, "blog/likes/a/b": false,
	})
	keys.Set("blog", map[string]bool{"other": true})
	check(map[string]bool{"blog/likes/hello": false, "blog/likes/other": true, "blog/likes/index": true})
	keys = nil
	check(map[string]bool{"blog/likes/hello": true})
}

func TestKnownKeys_ConcurrentSet(t *testing.T) {
	keys, topic := tally.NewKnownKeys("blog"), mustTopic(t, "blog/likes/hello")
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				keys.MayCreate(topic)
			}
		})
	}
	for range 1000 {
		keys.Set("blog", map[string]bool{"hello": true})
	}
	readers.Wait()
	if !keys.MayCreate(topic) {
		t.Error("the last list is not in use")
	}
}
