package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// operation is a call of a script for a topic, and what precedes it.
type operation struct {
	name, topic string
	before, do  func(t testing.TB, store *redisstore.Store, topic tally.Topic) error
}

// asserts returns an operation: the members from one to another contribute amount.
func asserts(amount int64, from, to int) func(testing.TB, *redisstore.Store, tally.Topic) error {
	return func(_ testing.TB, store *redisstore.Store, topic tally.Topic) error {
		b := tally.Batch{Topic: topic}
		for i := from; i < to; i++ {
			b.Writes = append(b.Writes, tally.Write{Member: spreadMember(i), Source: 1, Amount: amount, MayCreate: true})
		}
		batches := []tally.Batch{b}
		store.Apply(context.Background(), batches)
		return batches[0].Err
	}
}

func edits(kind tally.EditKind, value int64) func(testing.TB, *redisstore.Store, tally.Topic) error {
	return func(_ testing.TB, store *redisstore.Store, topic tally.Topic) error {
		edits := []tally.Edit{{Topic: topic, Kind: kind, Value: value}}
		store.Edit(context.Background(), edits)
		return edits[0].Err
	}
}

// reverts returns an operation that reverts the contributions of the first n members.
func reverts(n int) func(testing.TB, *redisstore.Store, tally.Topic) error {
	return func(t testing.TB, store *redisstore.Store, topic tally.Topic) error {
		var all []tally.JournalEntry
		if err := store.Journal(t.Context(), tally.ScopeOf(topic), 0, 1<<40, func(entries []tally.JournalEntry) error {
			all = append(all, entries...)
			return nil
		}); err != nil {
			return err
		}
		var members []tally.Member
		for i := range n {
			members = append(members, spreadMember(i))
		}
		all = slices.DeleteFunc(all, func(e tally.JournalEntry) bool { return !slices.Contains(members, e.Member) })
		_, _, err := store.Revert(context.Background(), all, tally.RevertPast)
		return err
	}
}

func restores(replace bool) func(testing.TB, *redisstore.Store, tally.Topic) error {
	return func(_ testing.TB, store *redisstore.Store, topic tally.Topic) error {
		amount := int64(1)
		if topic.Metric() == "claps" {
			amount = 9
		}
		portion := tally.Portion{
			First: true, Last: true,
			State: tally.State{Change: tally.Change{Topic: topic}, Seed: 30, Adjustment: -2},
		}
		for i := range 200 {
			portion.Contributions = append(portion.Contributions, tally.Contribution{Member: spreadMember(i), Amount: amount})
			portion.Sum += amount
		}
		portion.Count = portion.Seed + portion.Adjustment + portion.Sum
		return store.Restore(context.Background(), replace, []tally.Portion{portion})
	}
}

func operations() []operation {
	const likes, claps, views = "default/likes/page", "default/claps/page", "default/views/page"
	return []operation{
		{"the first like", likes, nil, asserts(1, 0, 1)},
		{"another like", likes, asserts(1, 0, 1), asserts(1, 1, 2)},
		{"the last like is withdrawn", likes, asserts(1, 0, 1), asserts(0, 0, 1)},
		{"one of two likes is withdrawn", likes, asserts(1, 0, 2), asserts(0, 0, 1)},
		{"likes that divide buckets", likes, asserts(1, 0, 120), asserts(1, 100, 300)},
		{"first likes that divide buckets", likes, nil, asserts(1, 0, 300)},
		{"the first view", views, nil, asserts(1, 0, 1)},
		{"the first views, divided", views, nil, asserts(1, 0, 200)},
		{"the first claps", claps, nil, asserts(5, 0, 3)},
		{"more claps", claps, asserts(5, 0, 3), asserts(7, 1, 4)},
		{"the last claps are withdrawn", claps, asserts(5, 0, 3), asserts(0, 0, 3)},
		{"a seed", likes, asserts(1, 0, 3), edits(tally.EditSeed, 100)},
		{"a count below", likes, asserts(1, 0, 3), edits(tally.EditCount, 1)},
		{"a seed of 0", likes, edits(tally.EditSeed, 100), edits(tally.EditSeed, 0)},
		{"a reset", likes, asserts(1, 0, 300), edits(tally.EditReset, 0)},
		{"a deletion", likes, asserts(1, 0, 300), edits(tally.EditDelete, 0)},
		{"a deletion of claps", claps, asserts(5, 0, 3), edits(tally.EditDelete, 0)},
		{"a spike is reverted", likes, asserts(1, 0, 3), reverts(3)},
		{"one of two likes is reverted", likes, asserts(1, 0, 2), reverts(1)},
		{"the last like is reverted", likes, asserts(1, 0, 1), reverts(1)},
		{"claps are reverted", claps, asserts(5, 0, 3), reverts(3)},
		{"views are reverted", views, asserts(1, 0, 3), reverts(3)},
		{"a replacement", likes, asserts(1, 100, 400), restores(true)},
		{"a replacement of claps", claps, asserts(5, 150, 250), restores(true)},
		{"a union", likes, asserts(1, 100, 400), restores(false)},
		{"a union of claps", claps, asserts(5, 150, 250), restores(false)},
	}
}

// Redis does not roll scripts back: a missing right must be noticed before the first write,
// or after the last.
func TestScripts_MissingRightIsAtomic(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Users: []string{"app on >word ~* &* " + rights}})
	// No projection is updated and nothing expires while the test compares keys.
	p := storeConfig{server: server, url: server.URLAs("app", "word", 0), options: redisstore.Options{Journal: 24 * time.Hour, TopInterval: 24 * time.Hour}}
	// keys returns the keys of the prefix and their values, without the rules of metrics,
	// which are stored before the data.
	keys := func(prefix string) map[string]string {
		all := map[string]string{}
		for _, key := range server.Do("KEYS", "*"+prefix+":*").([]any) {
			if strings.HasSuffix(key.(string), ":rules") {
				continue
			}
			dumped, _ := server.Do("DUMP", key).(string)
			all[key.(string)] = fmt.Sprintf("%t %x", server.Do("PTTL", key).(int64) > 0, dumped)
		}
		return all
	}
	refused := map[string]int{}
	removed := []string{"hset", "hdel", "pexpireat", "append", "setrange", "unlink", "set", "publish"}
	for _, operation := range operations() {
		page := topic(t, operation.topic)
		// prepared returns a store that the operation can change, and its prefix.
		prepared := func() (*redisstore.Store, string) {
			prefix := newPrefix()
			store := p.connect(t, catalog(), prefix)
			if operation.before != nil {
				if err := operation.before(t, store, page); err != nil {
					t.Fatalf("before %s: %v", operation.name, err)
				}
			}
			return store, prefix
		}
		twin, _ := prepared()
		if err := operation.do(t, twin, page); err != nil {
			t.Fatalf("%s: %v", operation.name, err)
		}
		want, _ := dump(t, twin)
		_ = twin.Close()
		for _, right := range removed {
			what := operation.name + " without " + right
			store, prefix := prepared()
			before := keys(prefix)
			server.Do("ACL", "SETUSER", "app", "-"+right)
			err := operation.do(t, store, page)
			server.Do("ACL", "SETUSER", "app", "+"+right)
			after := keys(prefix)
			if err != nil {
				refused[right]++
				// The first text is of Redis 7.0, the second of later releases.
				isRight := strings.Contains(err.Error(), "run this command") || strings.Contains(err.Error(), "ACL failure")
				if tally.AsError(err).Code != tally.CodeStoreUnavailable || !isRight {
					t.Errorf("%s: %v", what, err)
				}
				if right != "publish" && !maps.Equal(before, after) {
					t.Errorf("%s was refused and changed keys:\n%q\n%q", what, before, after)
				}
				if err := operation.do(t, store, page); err != nil {
					t.Errorf("%s, repeated with the right: %v", what, err)
				}
			}
			got, _ := dump(t, store)
			_ = store.Close()
			if !maps.EqualFunc(got, want, stored.equal) {
				t.Errorf("%s, repeated with the right, results in %v instead of %v", what, got, want)
			}
		}
	}
	for _, right := range removed {
		if refused[right] == 0 && right != "append" { // without it, likes are stored but not in the journal
			t.Errorf("no operation needs %s", right)
		}
	}
}
