package sqlitestore

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// openPlanned opens a new database.
func openPlanned(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog([]string{"a", "blog", "z"}, tally.DefaultMetrics()), Options{})
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

// The journal is read once, whatever the scope, and only the part within the time. Its rows are
// ordered by topic before the topics are looked for.
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
		query, args := store.journalQuery(scope, 1, 2)
		steps := slices.DeleteFunc(plan(t, store, query, args), func(step string) bool {
			// These find the id of a single topic.
			return scope.Exact && (step == "LIST SUBQUERY 1" || step == "CREATE BLOOM FILTER" || strings.HasSuffix(step, "(site=? AND metric=? AND key=?)"))
		})
		if !slices.Equal(steps, []string{
			"MATERIALIZE recent", "SEARCH journal USING PRIMARY KEY (minute>? AND minute<?)", "USE TEMP B-TREE FOR ORDER BY",
			"SCAN recent", "SEARCH topics USING INTEGER PRIMARY KEY (rowid=?)",
		}) {
			t.Errorf("%s: the plan is %q", name, steps)
		}
	}
}

// A page in each order is read from an index, without sorting the topics of a metric.
func TestList_Plan(t *testing.T) {
	store := openPlanned(t)
	topic, err := tally.ParseTopic("blog/likes/page")
	if err != nil {
		t.Fatal(err)
	}
	scope := tally.Scope{Site: "blog", Metric: "likes"}
	for _, cursor := range []*tally.Cursor{nil, {Value: 5, Topic: topic}} {
		for order, want := range map[tally.Order]string{
			tally.ByTopic: "sqlite_autoindex_topics_1", tally.ByNewest: "topics_by_version", tally.ByCount: "topics_by_count",
		} {
			listing := tally.Listing{Scope: scope, Order: order, Limit: 10}
			for i, after := range afterCursor(listing, cursor) {
				query, args := store.listQuery(listing, after)
				steps := plan(t, store, query, args)
				// Topics of one version, which are few, may be sorted by key.
				isSorted := len(steps) > 1 && (order != tally.ByNewest || len(steps) > 2 || steps[1] != "USE TEMP B-TREE FOR LAST TERM OF ORDER BY")
				skips := order == tally.ByCount && cursor != nil && i == 0 && !strings.Contains(steps[0], "count=? AND key>?")
				if isSorted || skips || !strings.Contains(steps[0], want) {
					t.Errorf("order %d, cursor %v, after %q: the plan is %q, want %s", order, cursor, after.text, steps, want)
				}
			}
		}
	}
}

// A page by name begins at the topic after the cursor, whatever the scope.
func TestList_PlanByName(t *testing.T) {
	store := openPlanned(t)
	topic, err := tally.ParseTopic("blog/likes/page")
	if err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[tally.Scope][]string{
		{}:                              {"((site,metric,key)>(?,?,?))"},
		{Site: "blog"}:                  {"(site=? AND metric=? AND key>?)", "(site=? AND metric>?)"},
		{Site: "blog", Metric: "likes"}: {"(site=? AND metric=? AND key>?)"},
		{Site: "blog", Metric: "likes", Prefix: "p"}: {"(site=? AND metric=? AND key>? AND key<?)"},
		{Site: "blog", Metric: "heart"}:              nil, // before the cursor
		{Site: "blog", Metric: "views"}:              {"(site=? AND metric=?)"},
		{Site: "a"}:                                  nil,
		{Site: "z"}:                                  {"(site=?)"},
	} {
		listing := tally.Listing{Scope: scope, Limit: 10}
		var got []string
		for _, after := range afterCursor(listing, &tally.Cursor{Topic: topic}) {
			query, args := store.listQuery(listing, after)
			steps := plan(t, store, query, args)
			got = append(got, strings.TrimPrefix(strings.Join(steps, "; "), "SEARCH topics USING INDEX sqlite_autoindex_topics_1 "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: the plans are %q, want %q", scope, got, want)
		}
	}
}

// The metrics of a list are found without reading their topics.
func TestMetricsWithData_Plan(t *testing.T) {
	store := openPlanned(t)
	for query, want := range map[string]string{nextMetricQuery: "(site=? AND metric>?)", nextSiteQuery: "(site>?)"} {
		steps := plan(t, store, query, []any{"blog", "likes"}[:strings.Count(query, "?")])
		if len(steps) != 1 || !strings.Contains(steps[0], "COVERING INDEX") || !strings.HasSuffix(steps[0], want) {
			t.Errorf("%s: the plan is %q", query, steps)
		}
	}
}

// Pages of several sites and metrics, many of whose topics have the same count, contain each
// topic once, in order.
func TestList_PagesOfSeveralMetrics(t *testing.T) {
	store := openPlanned(t)
	var edits []tally.Edit
	for i := range 90 {
		topic, err := tally.ParseTopic(fmt.Sprintf("%s/%s/%d", []string{"a", "blog", "z"}[i%3], []string{"claps", "heart", "likes"}[i/3%3], i))
		if err != nil {
			t.Fatal(err)
		}
		edits = append(edits, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: int64(i * i % 4)})
	}
	store.Edit(t.Context(), edits)
	for order, value := range map[tally.Order]func(tally.State) int64{
		tally.ByTopic:  func(tally.State) int64 { return 0 },
		tally.ByNewest: func(s tally.State) int64 { return s.Version },
		tally.ByCount:  func(s tally.State) int64 { return s.Count },
	} {
		for _, listing := range []tally.Listing{
			{}, {Scope: tally.Scope{Site: "blog"}}, {Scope: tally.Scope{Site: "blog", Metric: "heart"}}, {Scope: tally.Scope{Site: "blog", Metric: "heart", Prefix: "1"}},
			{Sites: []string{"a", "z"}}, {Sites: []string{"a", "z"}, Scope: tally.Scope{Site: "a", Metric: "likes"}},
		} {
			listing.Order, listing.Limit = order, 4
			var want []tally.State
			for _, e := range edits {
				if listing.Scope.Contains(e.Topic) && listing.HasSite(e.Topic.Site()) {
					want = append(want, e.After)
				}
			}
			slices.SortFunc(want, func(a, b tally.State) int {
				return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Topic.Site(), b.Topic.Site()),
					cmp.Compare(a.Topic.Metric(), b.Topic.Metric()), cmp.Compare(a.Topic.Key(), b.Topic.Key()))
			})
			var got []tally.State
			for {
				page, err := store.List(t.Context(), listing)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page.States...)
				if listing.After = page.Next; page.Next == "" {
					break
				}
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%+v: %v, want %v", listing, got, want)
			}
		}
	}
}

// The sweep removes the members of ended windows, without further writes.
func TestSweep_EndedWindows(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	var clock atomic.Pointer[time.Time]
	clock.Store(&now)
	store, err := Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), tally.NewCatalog(nil, tally.DefaultMetrics()), Options{Now: func() time.Time { return *clock.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	topic, err := tally.ParseTopic("default/views/page")
	if err != nil {
		t.Fatal(err)
	}
	const views = 2*maxSweepBatch + 1
	rows := func() (n int) {
		if err := store.db.QueryRow(`SELECT count(*) FROM seen`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for first := 0; first < views; first += tally.MaxBatchWrites {
		batch := tally.Batch{Topic: topic}
		for member := first; member < min(views, first+tally.MaxBatchWrites); member++ {
			batch.Writes = append(batch.Writes, tally.Write{Member: tally.Member(member + 1), Amount: 1, MayCreate: true})
		}
		batches := []tally.Batch{batch}
		if store.Apply(t.Context(), batches); batches[0].Err != nil {
			t.Fatal(batches[0].Err)
		}
	}
	if store.sweepSome(); rows() != views {
		t.Errorf("%d of %d rows are left while the window lasts", rows(), views)
	}
	later := now.Add(time.Hour)
	clock.Store(&later)
	sweeps := 0
	for store.sweepSome() {
		sweeps++
	}
	if rows() != 0 || sweeps > 4 {
		t.Errorf("%d rows are left after %d sweeps", rows(), sweeps)
	}
}

// A history is read by the keys of its tables, whatever else is stored.
func TestHistory_Plan(t *testing.T) {
	store := openPlanned(t)
	for query, want := range map[string][]string{
		historyQuery: {"SCAN asked VIRTUAL TABLE INDEX 1:", "SEARCH topics USING INDEX sqlite_autoindex_topics_1 (site=? AND metric=? AND key=?)",
			"SEARCH history USING PRIMARY KEY (topic=? AND period=?) LEFT-JOIN"},
		readersQuery: {"SEARCH readers USING PRIMARY KEY (topic=? AND period=? AND number>?)"},
		pastQuery:    {"SEARCH topics USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH history USING PRIMARY KEY (topic=?) LEFT-JOIN"},
	} {
		if steps := plan(t, store, query, []any{"[]", tally.Day, 0}[:strings.Count(query, "?")]); !slices.Equal(steps, want) {
			t.Errorf("the plan of %s is %q, want %q", query, steps, want)
		}
	}
}

// Gains are read by the index of the topics that changed last, or by their keys.
func TestTopGains_Plan(t *testing.T) {
	store := openPlanned(t)
	for query, want := range map[string][]string{
		gainsQuery: {"SEARCH topics USING INDEX topics_by_version (site=? AND metric=? AND version>?)"},
		gainsOfQuery: {"SCAN asked VIRTUAL TABLE INDEX 1:",
			"SEARCH topics USING INDEX sqlite_autoindex_topics_1 (site=? AND metric=? AND key=?)"},
	} {
		for n := range tally.SinceCount {
			want = append(want, fmt.Sprintf("CORRELATED SCALAR SUBQUERY %d", n+1), "SEARCH history USING PRIMARY KEY (topic=? AND period=? AND number<?)")
		}
		if steps := plan(t, store, query, []any{"blog", "likes", 1, 1, 1, 1, 1, 1, "[]"}); !slices.Equal(steps, want) {
			t.Errorf("the plan of %s is %q, want %q", query, steps, want)
		}
	}
}
