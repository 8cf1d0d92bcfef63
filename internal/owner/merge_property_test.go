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
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// mergeTime is how long each property test of merges tries further seeds.
var mergeTime = flag.Duration("merge-time", time.Second, "how long each property test of merges runs on each store")

// mergeSeed is the first seed, to repeat a failure; 0: random.
var mergeSeed = flag.Uint64("merge-seed", 0, "first seed of the property tests of merges; 0: random")

// forSeeds runs a property test with different seeds for mergeTime, and longer while no run was
// conclusive, as on a busy machine. The test reports whether its run was.
func forSeeds(t *testing.T, test func(t *testing.T, w *stores, seed uint64) (conclusive bool)) {
	onEachStore(t, func(t *testing.T, w *stores) {
		seed := *mergeSeed
		if seed == 0 {
			seed = rand.Uint64() % 1e6
		}
		runs, conclusive := 0, 0
		for began := time.Now(); runs == 0 || time.Since(began) < *mergeTime || conclusive == 0 && time.Since(began) < *mergeTime+processtest.Timeout; {
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
			conclusive += int(done.Load())
			if t.Failed() {
				t.Fatalf("-merge-seed=%d repeats it", seed)
			}
			seed, runs = seed+atOnce, runs+atOnce
		}
		t.Logf("%d runs, %d of them conclusive, last seed %d", runs, conclusive, seed-1)
		if conclusive == 0 {
			t.Error("no run was conclusive")
		}
	})
}

// atOnce is the number of concurrent runs. Most of the time they wait for leases.
const atOnce = 4

// finishMerges finishes the merges of topics that killed instances left unfinished.
func finishMerges(t *testing.T, w *stores, topics ...tally.Topic) {
	t.Helper()
	o := openWith(w.second, owner.Options{LeaseTime: shortLease})
	stop := run(t, o)
	defer stop()
	processtest.Eventually(t, "no merge is left unfinished", func() bool {
		register, err := w.second.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if register[tally.ClaimSetting(topic)] != "" {
				o.Receive(owner.SettingsChanged()) // read the settings now
				return false
			}
		}
		return true
	})
}

// Four instances merge, rename, edit and contribute concurrently. Each may be suspended and
// killed at any call. The sum over all topics is the sum of what was acknowledged.
func TestMerge_SumOfAcknowledged(t *testing.T) {
	for _, metric := range []string{"likes", "claps", "visits"} {
		t.Run(metric, func(t *testing.T) {
			forSeeds(t, func(t *testing.T, w *stores, seed uint64) bool { return mergesAddUp(t, w, metric, seed) })
		})
	}
}

func mergesAddUp(t *testing.T, w *stores, metric string, seed uint64) (conclusive bool) {
	topics := make([]tally.Topic, 4)
	for i := range topics {
		topics[i] = newTopic(metric)
	}
	any := func(random *rand.Rand) tally.Topic { return topics[random.IntN(len(topics))] }
	var sum atomic.Int64
	var unclear atomic.Bool // a result was ambiguous
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
					if edits[0].Kind == tally.EditBase {
						// Above all seeds, so that no adjustment is negative: a contribution that is
						// withdrawn from a count of 0 leaves it 0, which no response shows.
						edits[0].Value += 100
					}
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
				case "claps": // each by another visitor, since a response does not contain the amount before
					name, amount = visitor(1000*i+n), int64(1+random.IntN(50))
				case "visits":
					amount = 1
				}
				result, err := o.service.Assert(context.Background(), tally.Assertion{Topic: any(random), Visitor: name, Amount: amount, Client: readerAddress, MayCreate: true})
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
		t.Logf("seed %d: a result was ambiguous; the run is inconclusive", seed)
		return false
	}
	if counted != sum.Load() {
		t.Errorf("count %d, acknowledged %d; after\n%s", counted, sum.Load(), log.String())
	}
	return true
}

// A visitor counts once while a topic is renamed repeatedly, on instances that may be suspended
// or killed during a rename, or do not know of it yet.
func TestRename_VisitorCountsOnce(t *testing.T) {
	forSeeds(t, renamesCountOnce)
}

func renamesCountOnce(t *testing.T, w *stores, seed uint64) bool {
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
				// Of several concurrent renames of a topic one succeeds.
				_, _ = o.Rename(context.Background(), "test", names[random.IntN(len(names))], names[random.IntN(len(names))])
			}
		})
		likes.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = o.service.Assert(context.Background(), tally.Assertion{Topic: names[n%len(names)], Visitor: visitor(n / len(names) % visitors), Amount: 1, Client: readerAddress})
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
		t.Errorf("%d visitors of one topic count as %v", visitors, counted)
	}
	return true
}
