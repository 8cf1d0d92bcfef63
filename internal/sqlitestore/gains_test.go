package sqlitestore

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// A reader does not wait long for an update of the gains: it gets those before.
func TestTopGains_SlowUpdate(t *testing.T) {
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog(nil, tally.DefaultMetrics()), Options{History: tally.MaxHistory})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	store.gains.wait = 10 * time.Millisecond
	topic, err := tally.ParseTopic("default/likes/page")
	if err != nil {
		t.Fatal(err)
	}
	batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	if store.Apply(t.Context(), batches); batches[0].Err != nil {
		t.Fatal(batches[0].Err)
	}
	for _, state := range []string{"a first update", "a slow update"} {
		gains, err := store.TopGains(t.Context(), "default", "likes", tally.Since24h, 10)
		if err != nil || len(gains) != 1 || gains[0].Gain != 1 {
			t.Errorf("%s: %v, %v", state, gains, err)
		}
		store.gains.mu.Lock()
		ranked := store.gains.metrics[siteMetric{"default", "likes"}]
		ranked.behind, ranked.updated = time.Now().Add(-time.Hour), make(chan struct{}) // an update that does not end
		store.gains.mu.Unlock()
	}
}

// Without the file a list of gains is unavailable.
func TestTopGains_Closed(t *testing.T) {
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog(nil, tally.DefaultMetrics()), Options{History: tally.MaxHistory})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if gains, err := store.TopGains(t.Context(), "default", "likes", tally.Since24h, 10); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("after Close: %v, %v", gains, err)
	}
}

// After changes the order is that of all topics.
func TestMergeGains_Order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) map[string]int64 {
			keys := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("page-", rapid.IntRange(0, 9).Draw(t, "key")) })
			return rapid.MapOf(keys, rapid.Int64Range(0, 3)).Draw(t, name)
		}
		order := func(gains map[string]int64) (order []keyGain) {
			for key, gain := range gains {
				if gain > 0 {
					order = append(order, keyGain{key, gain})
				}
			}
			slices.SortFunc(order, compareGains)
			return order
		}
		gains, changes := draw("gains"), draw("changes")
		before, changed := order(gains), map[string]struct{}{}
		for key, gain := range changes {
			gains[key], changed[key] = gain, struct{}{}
		}
		if got, want := mergeGains(before, changed, order(changes)), order(gains); !slices.Equal(got, want) {
			t.Fatalf("the order is %v, want %v", got, want)
		}
	})
}
