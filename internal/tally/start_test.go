package tally_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// start starts an assertion. The returned channel receives the error of each call of done.
func start(t *testing.T, service *tally.Service, text, visitor string, amount int64) <-chan error {
	t.Helper()
	topic, err := service.Catalog().Resolve(text)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	service.Start(tally.Assertion{Topic: topic, Visitor: visitor, Amount: amount, MayCreate: true}, func(_ tally.Result, err error) { done <- err })
	return done
}

func TestStart_SameRulesAndCountersAsAssert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(10 * time.Millisecond)
		service := newService(store)
		for text, want := range map[string]tally.Code{"blog/likes/a": tally.CodeBadAmount, "blog/readers/a": tally.CodeReadOnlyMetric} {
			if err := <-start(t, service, text, "visitor-1", 2); tally.AsError(err).Code != want {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
		if err := <-start(t, service, "blog/likes/a", "short", 1); tally.AsError(err).Code != tally.CodeBadVisitor {
			t.Error(err)
		}
		var all []<-chan error
		for i := range 1200 {
			all = append(all, start(t, service, "blog/likes/a", fmt.Sprintf("visitor-%d", i), 1))
		}
		time.Sleep(time.Second)
		for _, done := range all {
			if len(done) != 1 {
				t.Fatalf("done was called %d times", len(done))
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := service.ChangesBySite()["blog"]; n != 1200 {
			t.Errorf("%d changes are counted, want 1200", n)
		}
	})
}

func TestStart_HungStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newService(newSlowStore(time.Hour))
		for range 2 { // before and after the settings are read
			var all []<-chan error
			for i := range 20 {
				all = append(all, start(t, service, "blog/likes/a", fmt.Sprintf("visitor-%d", i), 1))
			}
			time.Sleep(3 * time.Second)
			for _, done := range all {
				if len(done) != 1 {
					t.Fatal("no answer within 3 s")
				}
				if err := <-done; tally.AsError(err).Code != tally.CodeStoreUnavailable {
					t.Error(err)
				}
			}
		}
	})
}

// A topic that got aliases since the settings were read refuses the assertion. It is made
// under the new settings.
func TestStart_RefusedByMark(t *testing.T) {
	store := newSlowStore(0)
	service := newService(store)
	if err := <-start(t, service, "blog/likes/a", "visitor-1", 1); err != nil {
		t.Fatal(err)
	}
	topic, err := service.Catalog().Resolve("blog/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	names := tally.AliasSettings(topic)
	stored := map[string]string{names[0]: `["blog/likes/old"]`, names[1]: "mark-1"}
	store.mu.Lock()
	store.stored, store.mark = stored, tally.AliasMark(stored, topic)
	store.mu.Unlock()
	var running sync.WaitGroup
	for i := range 50 {
		done := start(t, service, "blog/likes/a", fmt.Sprintf("visitor-%d", i), 1)
		running.Go(func() {
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	store.mu.Lock()
	defer store.mu.Unlock()
	if n := len(store.members[topic]); n != 51 {
		t.Errorf("%d writes were applied, want 51", n)
	}
}
