package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// scopeCondition returns the SQL condition for topics in scope, except those of the metrics
// without.
func scopeCondition(scope tally.Scope, without []string) (condition string, args []any) {
	parts := []string{"true"}
	and := func(part string, values ...any) {
		parts, args = append(parts, part), append(args, values...)
	}
	if scope.Site != "" {
		and("site = ?", scope.Site)
	}
	if scope.Metric != "" {
		and("metric = ?", scope.Metric)
	}
	switch {
	case scope.Exact:
		and("topics.key = ?", scope.Prefix)
	case scope.Prefix != "":
		and("topics.key >= ?", scope.Prefix)
		if end := prefixEnd(scope.Prefix); end != "" {
			and("topics.key < ?", end)
		}
	}
	for _, metric := range without {
		and("metric <> ?", metric)
	}
	return strings.Join(parts, " AND "), args
}

// prefixEnd returns the least text above all that begin with prefix, compared by bytes;
// empty if there is none.
func prefixEnd(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// presenceMetrics returns the metrics with the rule presence. The file has topics of them
// only if they had another rule before.
func (r *Reader) presenceMetrics() (metrics []string) {
	for _, metric := range r.catalog.Metrics() {
		if r.catalog.MetricRule(metric).Kind == tally.Presence {
			metrics = append(metrics, metric)
		}
	}
	return metrics
}

// selectStates begins a query whose rows scanState reads.
const selectStates = `SELECT id, site, metric, topics.key, count, version, seed, adjustment, options FROM topics `

func (r *Reader) scanState(rows *sql.Rows) (id int64, state tally.State, err error) {
	var site, metric, key, options string
	if err = rows.Scan(&id, &site, &metric, &key, &state.Count, &state.Version, &state.Seed, &state.Adjustment, &options); err != nil {
		return 0, state, err
	}
	if state.Topic, err = tally.NewTopic(site, metric, key); err != nil {
		return 0, state, fmt.Errorf("stored topic %q: %w", site+"/"+metric+"/"+key, err)
	}
	return id, state, parseOptions(r.catalog.Rule(state.Topic), options, &state)
}

// List returns a current page. [tally.ByTopic] uses an index; the other orders read all
// topics of the scope, in half a second for a million.
func (r *Reader) List(ctx context.Context, listing tally.Listing) (page tally.Page, err error) {
	condition, args := scopeCondition(listing.Scope, r.presenceMetrics())
	if listing.Before != 0 {
		condition, args = condition+" AND version < ?", append(args, listing.Before)
	}
	order := "site, metric, topics.key"
	by := map[tally.Order]string{tally.ByNewest: "version", tally.ByCount: "count"}[listing.Order]
	if by != "" {
		order = by + " DESC, " + order
	}
	cursor, err := listing.Cursor()
	if err != nil {
		return tally.Page{}, err
	}
	if cursor != nil {
		after, name := "(site, metric, topics.key) > (?, ?, ?)", []any{cursor.Topic.Site(), cursor.Topic.Metric(), cursor.Topic.Key()}
		if by != "" {
			after = "(" + by + " < ? OR " + by + " = ? AND " + after + ")"
			args = append(args, cursor.Value, cursor.Value)
		}
		condition, args = condition+" AND "+after, append(args, name...)
	}
	limit := listing.Limit
	if limit <= 0 || limit > tally.MaxPortion {
		limit = tally.MaxPortion
	}
	err = r.reading(ctx, "a list of topics", func() error {
		query := selectStates + "WHERE " + condition + " ORDER BY " + order + " LIMIT ?"
		return eachRow(ctx, r.db, query, append(args, limit+1), func(rows *sql.Rows) error {
			_, state, err := r.scanState(rows)
			page.States = append(page.States, state)
			return err
		})
	})
	if err != nil {
		return tally.Page{}, err
	}
	if len(page.States) > limit {
		page.States = page.States[:limit]
		last := page.States[limit-1]
		value := map[tally.Order]int64{tally.ByNewest: last.Version, tally.ByCount: last.Count}[listing.Order]
		page.Next = tally.Cursor{Value: value, Topic: last.Topic}.Text(listing.Order)
	}
	return page, nil
}
