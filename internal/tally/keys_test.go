package tally_test

import (
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestKeys_Lists(t *testing.T) {
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
		t.Error("no keys know a site")
	}
}

func TestASiteWithKnownKeysAdmitsThemAlone(t *testing.T) {
	keys := tally.NewKnownKeys("blog")
	admits := func(text string) bool { return keys.MayCreate(mustTopic(t, text)) }
	for _, text := range []string{"default/likes/anything", "blog/likes/site", "blog/visitors/index"} {
		if !admits(text) {
			t.Errorf("%s is not admitted", text)
		}
	}
	if admits("blog/likes/hello") {
		t.Error("a key is admitted before any is known")
	}
	keys.Set("blog", map[string]bool{"hello": true, "a/b?c=d": true})
	for text, want := range map[string]bool{
		"blog/likes/hello": true, "blog/claps/hello": true, "blog/likes/a/b?c=d": true,
		"blog/likes/Hello": false, "blog/likes/hello/x": false, "blog/likes/a/b": false,
	} {
		if admits(text) != want {
			t.Errorf("%s is admitted: %t", text, !want)
		}
	}
	keys.Set("blog", map[string]bool{"other": true})
	if admits("blog/likes/hello") || !admits("blog/likes/other") || !admits("blog/likes/index") {
		t.Error("the keys of before hold")
	}
	var none *tally.KnownKeys
	if !none.MayCreate(mustTopic(t, "blog/likes/hello")) {
		t.Error("no keys at all do not admit everything")
	}
}

func TestKeysAreSetWhileTheyAreAsked(t *testing.T) {
	keys, topic := tally.NewKnownKeys("blog"), mustTopic(t, "blog/likes/hello")
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 1000 {
				keys.MayCreate(topic)
			}
		})
	}
	for range 1000 {
		keys.Set("blog", map[string]bool{"hello": true})
	}
	asking.Wait()
	if !keys.MayCreate(topic) {
		t.Error("what was set last does not hold")
	}
}
