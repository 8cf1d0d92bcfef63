package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// spreadMember returns the i-th of members that are distributed like hashes.
func spreadMember(i int) tally.Member { return tally.Member(uint64(i+1) * 0x9e3779b97f4a7c15) }

// fill asserts 1 for members from one to another, alternately from two sources.
func fill(t testing.TB, store tally.Store, topic tally.Topic, from, to int) {
	t.Helper()
	for ; from < to; from += tally.MaxBatchWrites {
		batch := []tally.Batch{{Topic: topic}}
		for i := from; i < min(from+tally.MaxBatchWrites, to); i++ {
			batch[0].Writes = append(batch[0].Writes, tally.Write{
				Member: spreadMember(i), Source: tally.Source(1 + i%2), Amount: 1, MayCreate: true,
			})
		}
		ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
		store.Apply(ctx, batch)
		cancel()
		if batch[0].Err != nil {
			t.Fatal(batch[0].Err)
		}
	}
}

// stored is a topic in a dump.
type stored struct {
	count, seed, adjustment, counted int64
	members                          map[tally.Member]int64
}

func (s stored) equal(other stored) bool {
	return s.count == other.count && s.seed == other.seed && s.adjustment == other.adjustment &&
		s.counted == other.counted && maps.Equal(s.members, other.members)
}

func (s stored) String() string {
	return fmt.Sprintf("%d = %d + %d + %d by %d members", s.count, s.seed, s.adjustment, s.counted, len(s.members))
}

// dump dumps all topics, and checks that no member is dumped twice.
func dump(t testing.TB, store tally.Ledger) (map[tally.Topic]stored, []tally.Portion) {
	t.Helper()
	all := map[tally.Topic]stored{}
	var portions []tally.Portion
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	err := store.Dump(ctx, tally.Scope{}, func(p tally.Portion) error {
		s := all[p.Topic]
		if p.First != (s.members == nil) {
			t.Errorf("a portion of %s is first: %t", p.Topic, p.First)
		}
		if p.First {
			s.members = map[tally.Member]int64{}
		}
		for _, c := range p.Contributions {
			if s.members[c.Member] != 0 {
				t.Errorf("%s: member %d is dumped twice", p.Topic, c.Member)
			}
			s.members[c.Member] = c.Amount
		}
		s.count, s.seed, s.adjustment, s.counted = p.Count, p.Seed, p.Adjustment, p.Sum
		all[p.Topic] = s
		portions = append(portions, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, portions
}

func edit(t testing.TB, store tally.Ledger, e tally.Edit) tally.Edit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Timeout)
	defer cancel()
	edits := []tally.Edit{e}
	store.Edit(ctx, edits)
	if edits[0].Err != nil {
		t.Fatal(edits[0].Err)
	}
	return edits[0]
}

// killAndRepeat kills Redis during work, when hasBegun returns true, and then repeats work
// until it succeeds.
func killAndRepeat(t *testing.T, server *redistest.Server, hasBegun func() bool, work func(context.Context) error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- work(t.Context()) }() // ends with Redis; its end is received below
	processtest.Eventually(t, "it has begun", hasBegun)
	server.Kill()
	if err := <-done; err == nil {
		t.Log("it ended before Redis was killed")
	} else if tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("with Redis killed: %v", err)
	}
	server.Restart()
	processtest.Eventually(t, "it succeeds when it is repeated", func() bool { return work(t.Context()) == nil })
}
