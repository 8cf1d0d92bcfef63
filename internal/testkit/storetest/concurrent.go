package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// together runs n calls of run at the same time and waits for all.
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

// tryApply applies writes and returns the error, also in goroutines of a test.
func tryApply(store tally.Applier, topic tally.Topic, writes ...tally.Write) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	batches := []tally.Batch{{Topic: topic, Writes: writes}}
	store.Apply(ctx, batches)
	return batches[0].Err
}

// memberOf returns a member that differs from others in all bytes.
func memberOf(i int) tally.Member { return tally.Member(uint64(i+1) * 0x9e3779b97f4a7c15) }

// testManyVisitors sends likes of 300 visitors at once, each twice, as after a lost reply,
// through all stores.
func testManyVisitors(t *testing.T, open Factory) {
	const visitors = 300
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.stores()[i], topic)
	}
	together(2*visitors, func(i int) {
		store := f.stores()[i/visitors%len(f.stores())]
		if err := tryApply(store, topic, assert(tally.Member(1+i%visitors), 1)); err != nil {
			t.Errorf("like %d: %v", i, err)
		}
	})
	state := read(t, f.First, topic, 0)
	if state.Change.Count != visitors {
		t.Errorf("count %d of %d visitors", state.Change.Count, visitors)
	}
	for _, r := range recorders {
		r.reaches(t, state.Change)
		r.grows(t, topic)
		if n := len(r.pushes(topic)); n > visitors {
			t.Errorf("%s: %d pushes of %d changes", r.name, n, visitors)
		}
	}
}

// testOneVisitorToggling sends likes and unlikes of one visitor at once. Their order is not
// defined, but the count and Mine must agree.
func testOneVisitorToggling(t *testing.T, open Factory) {
	const toggles = 200
	f := fixture(t, open)
	topic := newTopic(t, "likes")
	together(toggles, func(i int) {
		if err := tryApply(f.stores()[i%len(f.stores())], topic, assert(9, int64(i/2%2))); err != nil {
			t.Errorf("toggle %d: %v", i, err)
		}
	})
	state := read(t, f.First, topic, 9)
	if state.Change.Count != state.Mine || state.Mine < 0 || state.Mine > 1 {
		t.Errorf("count %d, though the only visitor contributes %d", state.Change.Count, state.Mine)
	}
}

// testManyTopicsAtOnce applies batches of many topics in one call, from several callers,
// and reads them in one call.
func testManyTopicsAtOnce(t *testing.T, open Factory) {
	const topics, callers = 256, 4
	f := fixture(t, open)
	names := make([]tally.Topic, topics)
	for i := range names {
		names[i] = newTopic(t, kinds[i%len(kinds)])
	}
	together(callers, func(caller int) {
		// A call carries batches of one lane.
		lanes := map[string][]tally.Batch{}
		store := f.stores()[caller%len(f.stores())]
		for _, topic := range names {
			lane := store.Lane(topic)
			lanes[lane] = append(lanes[lane], tally.Batch{Topic: topic, Writes: []tally.Write{
				assert(tally.Member(1+caller), 1), assert(tally.Member(100), 1),
			}})
		}
		for _, batches := range lanes {
			ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
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
	for i, reading := range f.First.Read(callContext(t), queries) {
		want := tally.Reading{Change: untouched(queries[i].Topic)}
		if i < topics {
			want.Change.Options = reading.Change.Options
			want.Change.Count, want.Change.Version, want.Mine = callers+1, reading.Change.Version, 1
		}
		if reading != want {
			t.Errorf("read %v, want %v", reading, want)
		}
	}
}

// testLargeTopic fills topics beyond the sizes at which a store may change its representation of
// members, and reads each member.
func testLargeTopic(t *testing.T, open Factory) {
	f := fixture(t, open)
	for metric, members := range map[string]int{"likes": 20_000, "rating": 20_000, "claps": 2000, "visitors": 2000, "days": 2000} {
		t.Run(metric, func(t *testing.T) {
			topic := newTopic(t, metric)
			rule := catalog().Rule(topic)
			most := rule.Max
			amount := func(i int) int64 { return 1 + int64(i)%most }
			counted := func(i int) int64 {
				if rule.Kind == tally.Choice {
					return 1
				}
				return amount(i)
			}
			var want int64
			for from := 0; from < members; from += tally.MaxBatchWrites {
				var writes []tally.Write
				for i := from; i < min(from+tally.MaxBatchWrites, members); i++ {
					writes = append(writes, assert(memberOf(i), amount(i)))
					want += counted(i)
				}
				got := apply(t, f.First, topic, writes...)
				for i, w := range got.Writes {
					if !w.Changed {
						t.Fatalf("member %d is not new", from+i)
					}
				}
				if got.Count != want {
					t.Fatalf("count %d, want %d", got.Count, want)
				}
			}
			takeBack := !rule.Final()
			if takeBack { // every third
				var writes []tally.Write
				for i := 0; i < members; i += 3 {
					writes = append(writes, assert(memberOf(i), 0))
					want -= counted(i)
				}
				for len(writes) > 0 {
					n := min(tally.MaxBatchWrites, len(writes))
					apply(t, f.other(), topic, writes[:n]...)
					writes = writes[n:]
				}
			}
			checkMembers(t, f.other(), topic, members, want, func(i int) (tally.Member, int64) {
				if takeBack && i%3 == 0 {
					return memberOf(i), 0
				}
				return memberOf(i), amount(i)
			})
		})
	}
}

// checkMembers checks the count and the contribution of each of n members, and that some
// other members contribute nothing.
func checkMembers(t *testing.T, store Store, topic tally.Topic, n int, count int64, of func(i int) (tally.Member, int64)) {
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
		for i, reading := range store.Read(callContext(t), queries) {
			if reading.Err != nil || reading.Mine != want[i] || reading.Change.Count != count {
				t.Fatalf("member %x: mine %d of %d, error %v; want %d of %d",
					queries[i].Member, reading.Mine, reading.Change.Count, reading.Err, want[i], count)
			}
		}
		if got, err := store.Contributions(callContext(t), queries); err != nil || !slices.Equal(got, want) {
			t.Fatalf("contributions %v, error %v, want %v", got, err, want)
		}
	}
}

// testEmptyLargeTopic resets and deletes topics with more members than one step may remove,
// and fills them again at once, while the store may still remove members.
func testEmptyLargeTopic(t *testing.T, open Factory) {
	const members = 12_000
	f := fixture(t, open)
	for _, kind := range []tally.EditKind{tally.EditReset, tally.EditDelete} {
		topic := newTopic(t, "likes")
		fill := func(members int) {
			t.Helper()
			for from := 0; from < members; from += tally.MaxBatchWrites {
				var writes []tally.Write
				for i := from; i < min(from+tally.MaxBatchWrites, members); i++ {
					writes = append(writes, assert(memberOf(i), 1))
				}
				if got := apply(t, f.First, topic, writes...); got.Count != int64(from+len(writes)) {
					t.Fatalf("count %d after %d likes", got.Count, from+len(writes))
				}
			}
		}
		fill(members)
		if got := edit(t, f.other(), tally.Edit{Topic: topic, Kind: kind}); got.Before.Count != members || got.After.Count != 0 {
			t.Errorf("emptied from %v to %v", got.Before, got.After)
		}
		if got := read(t, f.First, topic, memberOf(members-1)); got.Change.Count != 0 || got.Mine != 0 {
			t.Errorf("read %v of the empty topic", got)
		}
		fill(3000)
		if d := stateOf(t, f.other(), topic); d.sum != 3000 {
			t.Errorf("sum %d of 3000 members who contributed again", d.sum)
		}
	}
}

// testConcurrentEdits applies likes and edits at once: their sum is correct afterwards.
func testConcurrentEdits(t *testing.T, open Factory) {
	const visitors = 200
	f := fixture(t, open)
	recorders := runAll(t, f)
	topic := newTopic(t, "likes")
	for i, r := range recorders {
		r.watch(t, f.stores()[i], topic)
	}
	together(visitors, func(i int) {
		if i%10 != 0 {
			if err := tryApply(f.stores()[i%len(f.stores())], topic, assert(tally.Member(i), 1)); err != nil {
				t.Errorf("like %d: %v", i, err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		list := []tally.Edit{{Topic: topic, Kind: tally.EditSeed, Value: 50}, {Topic: topic, Kind: tally.EditAdjustment, Value: int64(i)}}
		f.First.Edit(ctx, list)
		if err := errors.Join(list[0].Err, list[1].Err); err != nil {
			t.Errorf("edit %d: %v", i, err)
		}
	})
	d := stateOf(t, f.First, topic)
	if d.sum != visitors-visitors/10 || d.Seed != 50 || d.Adjustment%10 != 0 {
		t.Errorf("it became %v", d)
	}
	for _, r := range recorders {
		r.reaches(t, d.Change)
		r.grows(t, topic)
	}
}
