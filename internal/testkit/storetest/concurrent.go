package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// together runs each of n functions in a goroutine and waits for all.
func together(n int, run func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			run(i)
		})
	}
	close(begin)
	all.Wait()
}

// tryApply is apply for other goroutines than the test's: it returns the error.
func tryApply(store tally.Store, topic tally.Topic, writes ...tally.Write) error {
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	batches := []tally.Batch{{Topic: topic, Writes: writes}}
	store.Apply(ctx, batches)
	return batches[0].Err
}

// testManyVisitors has 300 visitors like at once, each twice, as after a lost
// answer, and through both instances.
func testManyVisitors(t *testing.T, open Factory) {
	const visitors = 300
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.instances()[i], topic)
	}
	together(2*visitors, func(i int) {
		store := f.instances()[i/visitors%len(f.instances())]
		if err := tryApply(store, topic, assert(tally.Member(1+i%visitors), 1)); err != nil {
			t.Errorf("like %d: %v", i, err)
		}
	})
	state := read(t, f.Instance, topic, 0)
	if state.Change.Count != visitors {
		t.Errorf("%d visitors made %d", visitors, state.Change.Count)
	}
	for _, r := range recorders {
		r.reaches(t, state.Change)
		r.grows(t, topic)
		if n := len(r.pushes(topic)); n > visitors {
			t.Errorf("%s: %d pushes of %d changes", r.name, n, visitors)
		}
	}
}

// testOneVisitorToggling has one visitor like and unlike at once: which wins is
// open, but count and mine must agree.
func testOneVisitorToggling(t *testing.T, open Factory) {
	const toggles = 200
	f := fixture(t, open)
	topic := newTopic(t, "likes")
	together(toggles, func(i int) {
		if err := tryApply(f.instances()[i%len(f.instances())], topic, assert(9, int64(i/2%2))); err != nil {
			t.Errorf("toggle %d: %v", i, err)
		}
	})
	state := read(t, f.Instance, topic, 9)
	if state.Change.Count != state.Mine || state.Mine < 0 || state.Mine > 1 {
		t.Errorf("count %d, though the only visitor contributes %d", state.Change.Count, state.Mine)
	}
}

// testManyTopicsAtOnce applies batches of many topics in one call, from several
// callers, and reads them in one call.
func testManyTopicsAtOnce(t *testing.T, open Factory) {
	const topics, callers = 256, 4
	f := fixture(t, open)
	names := make([]tally.Topic, topics)
	for i := range names {
		names[i] = newTopic(t, []string{"likes", "claps", "visitors", "days"}[i%4])
	}
	together(callers, func(caller int) {
		// A call carries batches of one lane.
		lanes := map[string][]tally.Batch{}
		store := f.instances()[caller%len(f.instances())]
		for _, topic := range names {
			lane := store.Lane(topic)
			lanes[lane] = append(lanes[lane], tally.Batch{Topic: topic, Writes: []tally.Write{
				assert(tally.Member(1+caller), 1), assert(tally.Member(100), 1),
			}})
		}
		for _, batches := range lanes {
			ctx, cancel := context.WithTimeout(context.Background(), answer)
			store.Apply(ctx, batches)
			cancel()
			for _, b := range batches {
				if b.Err != nil {
					t.Errorf("apply to %s: %v", b.Topic, b.Err)
				}
			}
		}
	})
	queries := make([]tally.Query, 0, topics+1)
	for _, topic := range names {
		queries = append(queries, tally.Query{Topic: topic, Member: 2})
	}
	queries = append(queries, tally.Query{Topic: newTopic(t, "likes"), Member: 2}) // untouched
	for i, reading := range f.Instance.Read(answerContext(t), queries) {
		want := tally.Reading{Change: tally.Change{Topic: queries[i].Topic}}
		if i < topics {
			want.Change.Count, want.Change.Version, want.Mine = callers+1, reading.Change.Version, 1
		}
		if reading != want {
			t.Errorf("read %v, want %v", reading, want)
		}
	}
}

// testLargeTopic fills topics beyond the sizes at which a store might change how
// it keeps members, and asks for each of them.
func testLargeTopic(t *testing.T, open Factory) {
	f := fixture(t, open)
	for metric, members := range map[string]int{"likes": 20_000, "claps": 2000, "visitors": 2000, "days": 2000} {
		t.Run(metric, func(t *testing.T) {
			topic := newTopic(t, metric)
			most := int64(1)
			if metric == "claps" {
				most = 50
			}
			member := func(i int) tally.Member { return tally.Member(uint64(i+1) * 0x9e3779b97f4a7c15) }
			amount := func(i int) int64 { return 1 + int64(i)%most }
			var want int64
			for from := 0; from < members; from += tally.MaxBatchWrites {
				var writes []tally.Write
				for i := from; i < min(from+tally.MaxBatchWrites, members); i++ {
					writes = append(writes, assert(member(i), amount(i)))
					want += amount(i)
				}
				got := apply(t, f.Instance, topic, writes...)
				for i, w := range got.Writes {
					if !w.Changed {
						t.Fatalf("member %d had contributed before", from+i)
					}
				}
				if got.Count != want {
					t.Fatalf("count %d, want %d", got.Count, want)
				}
			}
			takeBack := metric == "likes" || metric == "claps"
			if takeBack { // every third
				var writes []tally.Write
				for i := 0; i < members; i += 3 {
					writes = append(writes, assert(member(i), 0))
					want -= amount(i)
				}
				for len(writes) > 0 {
					n := min(tally.MaxBatchWrites, len(writes))
					apply(t, f.other(), topic, writes[:n]...)
					writes = writes[n:]
				}
			}
			checkMembers(t, f.other(), topic, members, want, func(i int) (tally.Member, int64) {
				if takeBack && i%3 == 0 {
					return member(i), 0
				}
				return member(i), amount(i)
			})
		})
	}
}

// checkMembers compares the count and the contribution of each of n members, and
// asks for some who never came.
func checkMembers(t *testing.T, store tally.Store, topic tally.Topic, n int, count int64, of func(i int) (tally.Member, int64)) {
	t.Helper()
	const atOnce = 1000
	for from := 0; from < n; from += atOnce {
		var queries []tally.Query
		var want []int64
		for i := from; i < min(from+atOnce, n); i++ {
			member, mine := of(i)
			queries, want = append(queries, tally.Query{Topic: topic, Member: member}), append(want, mine)
			if i%20 == 0 {
				queries, want = append(queries, tally.Query{Topic: topic, Member: member ^ 0x5555}), append(want, 0)
			}
		}
		for i, reading := range store.Read(answerContext(t), queries) {
			if reading.Err != nil || reading.Mine != want[i] || reading.Change.Count != count {
				t.Fatalf("member %x: mine %d of %d, error %v; want %d of %d",
					queries[i].Member, reading.Mine, reading.Change.Count, reading.Err, want[i], count)
			}
		}
	}
}
