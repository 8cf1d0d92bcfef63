package owner_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// failing decides which calls of a store fail.
type failing func(what string) error

func (f failing) turn(what string) error { return f(what) }

// abandonMerge begins to merge two topics, of 5 and 7 likes, on an instance that dies before
// its nth call of a kind.
func abandonMerge(t *testing.T, w *stores, call string, n int) (from, to tally.Topic) {
	t.Helper()
	from, to = newTopic("likes"), newTopic("likes")
	o := open(w.first)
	for v := range 5 {
		o.like(t, from, visitor(v))
	}
	for v := range 7 {
		o.like(t, to, visitor(100+v))
	}
	dead := false
	dying := openWith(steppedStore{w.first, failing(func(what string) error {
		if what == call {
			n--
		}
		if dead = dead || n == 0; dead {
			return errKilled
		}
		return nil
	}), nil}, owner.Options{LeaseTime: patientLease})
	if _, err := dying.Merge(context.Background(), "dying", []tally.Topic{from}, to); err == nil || !dead {
		t.Fatalf("the merge ended before call %q: %v", call, err)
	}
	return from, to
}

// Several merges on one instance and its loop find the same abandoned merge: only one of them
// carries it out.
func TestMerge_TakenOverOnceByOneInstance(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		slow := hooked(func(string) { // some calls take as long as many others
			if rand.IntN(8) == 0 {
				time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
			}
		})
		for round := range 12 {
			from, to := abandonMerge(t, w, []string{"mark", "restore"}[round%2], 1)
			o := openWith(steppedStore{w.second, slow, nil}, owner.Options{LeaseTime: shortLease / 4})
			stop := run(t, o)
			var merges sync.WaitGroup
			for range 6 {
				merges.Go(func() {
					_, _ = o.Merge(context.Background(), "test", []tally.Topic{from}, to)
				})
			}
			merges.Wait()
			o.mergeAll(t, to, from)
			stop()
			if sum := o.state(t, from).Count + o.state(t, to).Count; sum != 12 {
				t.Fatalf("round %d: count %d after 12 likes", round, sum)
			}
		}
	})
}

// An instance whose configuration lacks the site leaves an unfinished merge to others.
func TestMerge_TakenOverByInstanceThatKnowsTheSite(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		from, to := abandonMerge(t, w, "edit", 1) // the likes are in both
		other := tally.NewCatalog([]string{"docs"}, tally.DefaultMetrics())
		service := tally.NewService(w.second, other)
		var log lockedBuffer
		foreign := owner.New(w.second, service, owner.Options{LeaseTime: shortLease / 4, Log: slog.New(slog.NewTextHandler(&log, nil))})
		stop := run(t, foreign)
		processtest.Eventually(t, "the instance logs the merge", func() bool {
			foreign.Receive(owner.SettingsChanged())
			return strings.Contains(log.String(), "an unfinished merge waits")
		})
		finishing := openWith(w.first, owner.Options{LeaseTime: shortLease})
		finishing.mergeAll(t, to, from)
		stop()
		if sum := finishing.state(t, from).Count + finishing.state(t, to).Count; sum != 12 {
			t.Errorf("count %d after 12 likes", sum)
		}
	})
}

// A refused rename leaves no topic frozen, even if the store fails meanwhile.
func TestRename_RefusedDuringFault(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		for n := 1; n <= 6; n++ {
			from, to := newTopic("likes"), newTopic("likes")
			o := openWith(w.first, owner.Options{LeaseTime: shortLease / 2})
			o.like(t, from, visitor(1))
			appears, calls := false, 0
			faulty := openWith(steppedStore{w.second, failing(func(what string) error {
				switch {
				case what == "swap" && !appears: // after it was seen that to does not exist
					appears = true
					o.like(t, to, visitor(2))
				case what == "mark":
					if calls++; calls == n {
						return tally.Unavailable(errKilled)
					}
				}
				return nil
			}), nil}, owner.Options{LeaseTime: shortLease / 2})
			if _, err := faulty.Rename(context.Background(), "test", from, to); err == nil {
				t.Fatalf("renamed to an existing topic")
			}
			finishMerges(t, w, from, to)
			for _, topic := range []tally.Topic{from, to} {
				if mark, err := w.first.SwapMark(t.Context(), topic, "", ""); err != nil || strings.HasPrefix(mark, "!") {
					t.Errorf("fault at mark %d: %s is frozen by %q (%v)", n, topic, mark, err)
				}
				o.counts(t, topic, 1)
			}
		}
	})
}
