package sqlitestore_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/storetest"
)

func TestRules(t *testing.T) {
	storetest.RunRules(t, func(t testing.TB) storetest.RulePlace {
		path := filepath.Join(t.TempDir(), "tally.db")
		return storetest.RulePlace{
			Open: func(t testing.TB, catalog *tally.Catalog) storetest.RuleStore {
				return open(t, path, catalog, sqlitestore.Options{Journal: week})
			},
			Forget: func(t testing.TB) { execute(t, path, `DELETE FROM meta WHERE name LIKE 'rule:%'`) },
		}
	})
}

// A rule is stored with the first data of its metric, or not at all.
func TestRules_RolledBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	store := open(t, path, catalog(), sqlitestore.Options{})
	likes := mustTopic(t, "likes", "page")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batches := []tally.Batch{{Topic: likes, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	if store.Apply(ctx, batches); batches[0].Err == nil {
		t.Fatal("applied after its context ended")
	}
	like(t, store, likes, 1)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	metrics := tally.DefaultMetrics()
	metrics["likes"] = tally.Rule{Kind: tally.Once, Max: 1}
	if _, err := sqlitestore.OpenReader(context.Background(), path, tally.NewCatalog(nil, metrics)); err == nil || !strings.Contains(err.Error(), "--metric likes=toggle") {
		t.Errorf("a reader with another rule: %v", err)
	}
}
