package owner_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// mergeTime is how long the property tests of merges go on with further seeds.
var mergeTime = flag.Duration("merge-time", 2*time.Second, "how long each property test of merges runs on each store")

// mergeSeed, where not 0, is the first seed, to repeat a failure.
var mergeSeed = flag.Uint64("merge-seed", 0, "first seed of the property tests of merges; 0: random")

// forSeeds runs a property test with further seeds until mergeTime is over. The test
// reports whether it could judge its run.
func forSeeds(t *testing.T, test func(t *testing.T, w *world, seed uint64) (judged bool)) {
	everywhere(t, func(t *testing.T, w *world) {
		seed := *mergeSeed
		if seed == 0 {
			seed = rand.Uint64() % 1e6
		}
		runs, judged := 0, 0
		for end := time.Now().Add(*mergeTime); runs == 0 || time.Now().Before(end); {
			var together sync.WaitGroup
			var done atomic.Int64
			for n := range uint64(atOnce) {
				together.Go(func() {
					if test(t, w, seed+n) {
						done.Add(1)
					}
				})
			}
			together.Wait()
			judged += int(done.Load())
			if t.Failed() {
				t.Fatalf("-merge-seed=%d repeats it", seed)
			}
			seed, runs = seed+atOnce, runs+atOnce
		}
		t.Logf("%d runs, of which %d were judged, the last with seed %d", runs, judged, seed-1)
		if judged == 0 {
			t.Error("no run could be judged")
		}
	})
}

// atOnce is how many runs go on at once, since each waits for leases most of the time.
const atOnce = 4

// finishMerges carries on what killed instances left unfinished of topics.
func finishMerges(t *testing.T, w *world, topics ...tally.Topic) {
	t.Helper()
	o := openWith(w.second, owner.Options{LeaseTime: shortLease})
	stop := run(t, o)
	defer stop()
	eventually(t, "no merge is left unfinished", func() bool {
		register, err := w.second.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if register[tally.ClaimSetting(topic)] != "" {
				o.Receive(owner.SettingsChanged()) // read them now, not in some seconds
				return false
			}
		}
		return true
	})
}

// Whatever merges, renames, edits and contributions go on at once, at instances of which
// each may be suspended and killed at any call: the sum over all topics is what was
// acknowledged.
func TestMerge_SumIsWhatWasAcknowledged(t *testing.T) {
	for _, metric := range []string{"likes", "claps", "visits"} {
		t.Run(metric, func(t *testing.T) {
			forSeeds(t, func(t *testing.T, w *world, seed uint64) bool { return mergesAddUp(t, w, metric, seed) })
		})
	}
}

func mergesAddUp(t *testing.T, w *world, metric string, seed uint64) (judged bool) {
	topics := make([]tally.Topic, 4)
	for i := range topics {
		topics[i] = newTopic(metric)
	}
	any := func(random *rand.Rand) tally.Topic { return topics[random.IntN(len(topics))] }
	var sum atomic.Int64
	var unclear atomic.Bool // whether something was acknowledged is not known
	var log lockedBuffer
	var work sync.WaitGroup
	for i, store := range []fullStore{w.first, w.second, w.first, w.second} {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		u := newUnreliable(seed*8+uint64(i), 60)
		o := openWith(steppedStore{store, u, &unclear}, owner.Options{LeaseTime: shortLease})
		work.Go(func() {
			for range 12 {
				switch from, to := any(random), any(random); random.IntN(3) {
				case 0:
					_, err := o.Merge(context.Background(), "test", []tally.Topic{from}, to)
					fmt.Fprintf(&log, "%d: merge %s into %s: %v\n", i, from.Key(), to.Key(), err)
				case 1:
					_, err := o.Rename(context.Background(), "test", from, to)
					fmt.Fprintf(&log, "%d: rename %s to %s: %v\n", i, from.Key(), to.Key(), err)
				default:
					kinds := []tally.EditKind{tally.EditSeed, tally.EditAdjustment, tally.EditBase, tally.EditReset, tally.EditDelete}
					edits := []tally.Edit{{Topic: to, Kind: kinds[random.IntN(len(kinds))], Value: int64(random.IntN(100))}}
					err := o.Edit(context.Background(), "test", edits)
					if edits[0].Err == nil && edits[0].Changed {
						sum.Add(edits[0].After.Count - edits[0].Before.Count)
					}
					fmt.Fprintf(&log, "%d: edit of kind %d of %s: %d to %d, %v\n", i, edits[0].Kind, to.Key(), edits[0].Before.Count, edits[0].After.Count, err)
				}
			}
		})
		work.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+i)))
			for n := range 50 {
				name, amount := visitor(1000*i+random.IntN(5)), int64(random.IntN(2))
				switch metric {
				case "claps": // each by somebody else: an answer does not tell the amount before
					name, amount = visitor(1000*i+n), int64(1+random.IntN(50))
				case "visits":
					amount = 1
				}
				result, err := o.service.Assert(context.Background(), tally.Assertion{Topic: any(random), Visitor: name, Amount: amount, Client: home, MayCreate: true})
				switch {
				case err == nil && result.Changed && amount == 0:
					sum.Add(-1)
				case err == nil && result.Changed:
					sum.Add(amount)
				}
			}
		})
	}
	work.Wait()
	finishMerges(t, w, topics...)
	counted := int64(0)
	o := open(w.first)
	for _, topic := range topics {
		counted += o.state(t, topic).Count
	}
	if unclear.Load() {
		t.Logf("seed %d: a call was not answered in time; its run is not judged", seed)
		return false
	}
	if counted != sum.Load() {
		t.Errorf("the topics count %d, acknowledged were %d; after\n%s", counted, sum.Load(), log.String())
	}
	return true
}

// A visitor who likes a page counts once, however often the page is renamed, at whichever
// instance: at one that was suspended, or killed, amid the rename, or has not learnt of
// it.
func TestRename_NobodyCountsTwice(t *testing.T) {
	forSeeds(t, renamesCountOnce)
}

func renamesCountOnce(t *testing.T, w *world, seed uint64) bool {
	names := make([]tally.Topic, 5)
	for i := range names {
		names[i] = newTopic("likes")
	}
	const visitors = 8
	for n := range visitors {
		open(w.first).like(t, names[0], visitor(n))
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var renames, likes sync.WaitGroup
	stores := []fullStore{w.first, w.second}
	for i := range 4 {
		u := newUnreliable(seed*8+uint64(i), 40)
		o := openWith(steppedStore{stores[i%2], u, nil}, owner.Options{LeaseTime: shortLease})
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		renames.Go(func() {
			for range 6 {
				// Of several that rename the same page at once one wins; others are refused.
				_, _ = o.Rename(context.Background(), "test", names[random.IntN(len(names))], names[random.IntN(len(names))])
			}
		})
		likes.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = o.service.Assert(context.Background(), tally.Assertion{Topic: names[n%len(names)], Visitor: visitor(n / len(names) % visitors), Amount: 1, Client: home})
			}
		})
	}
	renames.Wait()
	stop()
	likes.Wait()
	finishMerges(t, w, names...)
	counted := map[string]int64{}
	sum := int64(0)
	for _, name := range names {
		if count := open(w.first).state(t, name).Count; count > 0 {
			counted[name.String()] = count
			sum += count
		}
	}
	if sum != visitors || len(counted) != 1 {
		t.Errorf("%d visitors who liked one page count %v", visitors, counted)
	}
	return true
}
