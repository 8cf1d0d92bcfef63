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

// Pages by name contain every topic that exists the whole time.
func TestList_ByTopicIsComplete(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	store := storeConfig{url: cluster.URL()}.connect(t, catalog(), newPrefix())
	const topics = 300
	for i := range topics {
		like(t, store, topic(t, fmt.Sprintf("default/likes/p[%03d]", i)), 1)
	}
	var found []string
	listing := tally.Listing{Scope: tally.Scope{Site: "default", Metric: "likes", Prefix: "p["}, Limit: 70}
	for page := 0; ; page++ {
		got, err := store.List(t.Context(), listing)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range got.States {
			found = append(found, state.Topic.Key())
		}
		edit(t, store, tally.Edit{Topic: topic(t, fmt.Sprintf("default/likes/p[%03d]", 299-page)), Kind: tally.EditDelete})
		like(t, store, topic(t, fmt.Sprintf("default/likes/q[%03d]", page)), 1)
		if listing.After = got.Next; got.Next == "" {
			break
		}
	}
	if !slices.IsSorted(found) || len(found) < topics-5 || len(slices.Compact(found)) != len(found) {
		t.Errorf("%d topics, sorted %t: %q", len(found), slices.IsSorted(found), found)
	}
	if _, err := store.List(t.Context(), tally.Listing{After: "nonsense"}); tally.AsError(err).Code != tally.CodeBadBody {
		t.Errorf("an invalid cursor: %v", err)
	}
}

// A dump is complete though a slot moves meanwhile.
func TestDump_SlotMigration(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	prefix := newPrefix()
	store := storeConfig{url: cluster.URL()}.connect(t, catalog(), prefix)
	byNode := topicsByNode(t, store, cluster, 20)
	all := flat(byNode)
	for _, topic := range all {
		like(t, store, topic, 1, 2)
	}
	// From the node that is scanned last to the one that is scanned first.
	addrs := slices.Sorted(maps.Keys(byNode))
	server := func(addr string) *redistest.Server {
		return cluster.Primaries[slices.IndexFunc(cluster.Primaries, func(s *redistest.Server) bool { return s.Addr == addr })]
	}
	from, to := server(addrs[len(addrs)-1]), server(addrs[0])
	moving := byNode[from.Addr][0]
	var move sync.Once
	found := map[tally.Topic]int{}
	err := store.Dump(t.Context(), tally.Scope{}, func(p tally.Portion) error {
		found[p.Topic] += len(p.Contributions)
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
		if found[topic] != 2 {
			t.Errorf("%s: %d of 2 contributions were dumped", topic, found[topic])
		}
	}
}
