package sqlitestore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// openPlanned opens a new database.
func openPlanned(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// plan returns the steps of SQLite's plan for a query.
func plan(t *testing.T, store *Store, query string, args []any) (steps []string) {
	t.Helper()
	rows, err := store.db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// The journal is read once, whatever the scope, and only the part within the time.
func TestJournal_Plan(t *testing.T) {
	store := openPlanned(t)
	topic, err := tally.ParseTopic("blog/likes/page")
	if err != nil {
		t.Fatal(err)
	}
	for name, scope := range map[string]tally.Scope{
		"everything": {}, "site": {Site: "blog"}, "metric": {Site: "blog", Metric: "likes"},
		"prefix": {Site: "blog", Metric: "likes", Prefix: "2026/"}, "topic": tally.ScopeOf(topic),
	} {
		query, args := journalQuery(scope, 1, 2)
		steps := plan(t, store, query, args)
		if len(steps) < 2 || !strings.HasPrefix(steps[0], "SEARCH journal USING PRIMARY KEY (minute>? AND minute<?)") || !strings.HasPrefix(steps[1], "SEARCH topics USING INTEGER PRIMARY KEY") {
			t.Errorf("%s: the plan is %q", name, steps)
		}
	}
}
