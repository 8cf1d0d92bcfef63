package redisstore

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// While a node of a Cluster is away, the gains of topics on the others are updated.
func TestFlushGains_NodeAway(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	s, err := Open(cluster.URL(), tally.NewCatalog(nil, tally.DefaultMetrics()),
		Options{TopInterval: time.Hour, Intervals: Intervals{Gains: time.Hour}, Timeout: testTimeout, History: tally.MaxHistory, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	board := siteMetric{tally.DefaultSite, "likes"}
	key := s.names.gainKeys(board)[1]
	if err := s.client.Set(t.Context(), s.names.readMark(board), 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	away := cluster.Primaries[0]
	if s.topology.SlotMap().Node(key).Addr == away.Addr {
		away = cluster.Primaries[1]
	}
	want := int64(0)
	for i := range 300 {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprint("page-", i))
		if err != nil {
			t.Fatal(err)
		}
		batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
		if s.Apply(t.Context(), batches); batches[0].Err != nil {
			t.Fatal(batches[0].Err)
		}
		if s.Lane(topic) != away.Addr {
			want++
		}
	}
	away.Kill()
	s.flushGains(testTimeout)
	if got := s.client.ZCard(t.Context(), key).Val(); got != want {
		t.Errorf("%d of %d topics on other nodes have gains", got, want)
	}
}
