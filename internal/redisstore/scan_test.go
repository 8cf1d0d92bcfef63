package redisstore_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Whoever turns pages by name while topics come and go meets each that stays.
func TestList_ByTopicIsComplete(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	store := storeConfig{url: cluster.URL()}.connect(t, catalog(), newPrefix())
	const topics = 300
	for i := range topics {
		like(t, store, topic(t, fmt.Sprintf("default/likes/p[%03d]", i)), 1)
	}
	var met []string
	listing := tally.Listing{Scope: tally.Scope{Site: "default", Metric: "likes", Prefix: "p["}, Limit: 70}
	for page := 0; ; page++ {
		got, err := store.List(t.Context(), listing)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range got.States {
			met = append(met, state.Topic.Key())
		}
		edit(t, store, tally.Edit{Topic: topic(t, fmt.Sprintf("default/likes/p[%03d]", 299-page)), Kind: tally.EditDelete})
		like(t, store, topic(t, fmt.Sprintf("default/likes/q[%03d]", page)), 1)
		if listing.After = got.Next; got.Next == "" {
			break
		}
	}
	if !slices.IsSorted(met) || len(met) < topics-5 || len(slices.Compact(met)) != len(met) {
		t.Errorf("%d topics, sorted %t: %q", len(met), slices.IsSorted(met), met)
	}
	if _, err := store.List(t.Context(), tally.Listing{After: "nonsense"}); tally.AsError(err).Code != tally.CodeBadBody {
		t.Errorf("a page after nonsense: %v", err)
	}
}

// A dump while a slot moves holds what was there before, whichever node has it by then.
func TestDump_SlotMigration(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	prefix := newPrefix()
	store := storeConfig{url: cluster.URL()}.connect(t, catalog(), prefix)
	byNode := spread(t, store, cluster, 20)
	all := flat(byNode)
	for _, topic := range all {
		like(t, store, topic, 1, 2)
	}
	// From the one that is looked at last to the one that is looked at first.
	addrs := slices.Sorted(maps.Keys(byNode))
	server := func(addr string) *redistest.Server {
		return cluster.Primaries[slices.IndexFunc(cluster.Primaries, func(s *redistest.Server) bool { return s.Addr == addr })]
	}
	from, to := server(addrs[len(addrs)-1]), server(addrs[0])
	moving := byNode[from.Addr][0]
	var move sync.Once
	met := map[tally.Topic]int{}
	err := store.Dump(t.Context(), tally.Scope{}, func(p tally.Portion) error {
		met[p.Topic] += len(p.Contributions)
		move.Do(func() {
			slot := int(from.Do("CLUSTER", "KEYSLOT", prefix+":{"+moving.String()+"}:count").(int64))
			cluster.Move(slot, from, to, nil)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range all {
		if met[topic] != 2 {
			t.Errorf("%s: %d of 2 contributions were handed over", topic, met[topic])
		}
	}
}
