package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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

// listColumns are the columns by which a list is ordered, before the names of topics.
var listColumns = map[tally.Order]string{tally.ByNewest: "version", tally.ByCount: "count"}

// listValue returns the value of the column of order; 0 for [tally.ByTopic].
func listValue(order tally.Order, s tally.State) int64 {
	switch order {
	case tally.ByNewest:
		return s.Version
	case tally.ByCount:
		return s.Count
	}
	return 0
}

// List returns a current page. There is an index in the order of the page for each metric.
// List merges the pages of the metrics.
func (r *Reader) List(ctx context.Context, listing tally.Listing) (page tally.Page, err error) {
	cursor, err := listing.Cursor()
	if err != nil {
		return tally.Page{}, err
	}
	if listing.Limit <= 0 || listing.Limit > tally.MaxPortion {
		listing.Limit = tally.MaxPortion
	}
	err = r.reading(ctx, "a list of topics", func() error {
		return snapshot(ctx, r.db, func(conn *sql.Conn) error {
			page.States, err = r.list(ctx, conn, listing, cursor)
			return err
		})
	})
	if err != nil {
		return tally.Page{}, err
	}
	if len(page.States) > listing.Limit {
		page.States = page.States[:listing.Limit]
		last := page.States[listing.Limit-1]
		page.Next = tally.Cursor{Value: listValue(listing.Order, last), Topic: last.Topic}.Text(listing.Order)
	}
	return page, nil
}

// Topics reads the topics page by page.
func (r *Reader) Topics(ctx context.Context, scope tally.Scope, each func([]tally.Topic) error) error {
	for listing := (tally.Listing{Scope: scope}); ; {
		page, err := r.List(ctx, listing)
		if err != nil {
			return err
		}
		topics := make([]tally.Topic, len(page.States))
		for i, state := range page.States {
			topics[i] = state.Topic
		}
		if err := each(topics); err != nil {
			return err
		}
		if listing.After = page.Next; page.Next == "" {
			return nil
		}
	}
}

// list returns the states after cursor, which may be nil, in the order of listing: more than
// its limit, if there are so many.
func (r *Reader) list(ctx context.Context, conn *sql.Conn, listing tally.Listing, cursor *tally.Cursor) (states []tally.State, err error) {
	scopes, err := listScopes(ctx, conn, listing)
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		if listing.Order == tally.ByTopic && len(states) > listing.Limit {
			break
		}
		listing.Scope = scope
		begin := len(states)
		for _, after := range afterCursor(listing, cursor) {
			if len(states)-begin > listing.Limit {
				break
			}
			query, args := r.listQuery(listing, after)
			err := eachRow(ctx, conn, query, args, func(rows *sql.Rows) error {
				_, state, err := r.scanState(rows)
				states = append(states, state)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	// The metrics, and the states of each, are in order, so equal values stay ordered by topic.
	slices.SortStableFunc(states, func(a, b tally.State) int {
		return cmp.Compare(listValue(listing.Order, b), listValue(listing.Order, a))
	})
	return states, nil
}

// listScopes returns the parts of a listing that are read one by one: a metric each, or in the
// order [tally.ByTopic] a site each if the listing names sites.
func listScopes(ctx context.Context, conn *sql.Conn, listing tally.Listing) (scopes []tally.Scope, err error) {
	scopes = []tally.Scope{listing.Scope}
	if listing.Sites != nil && listing.Scope.Site == "" {
		scopes = nil
		for _, site := range listing.Sites {
			scopes = append(scopes, tally.Scope{Site: site})
		}
	}
	if listing.Order == tally.ByTopic || listing.Scope.Metric != "" {
		return scopes, nil
	}
	var metrics []tally.Scope
	for _, scope := range scopes {
		found, err := metricsWithData(ctx, conn, scope.Site)
		if err != nil {
			return nil, err
		}
		metrics = append(metrics, found...)
	}
	return metrics, nil
}

// sqlCondition is a condition of SQL and its arguments.
type sqlCondition struct {
	text string
	args []any
}

// afterCursor returns the conditions for the rows after cursor, which may be nil: one for each
// range of the index, in order. Unless the order is [tally.ByTopic], the scope is one metric
// of one site.
func afterCursor(listing tally.Listing, cursor *tally.Cursor) []sqlCondition {
	if cursor == nil {
		return []sqlCondition{{text: "true"}}
	}
	site, metric, key := cursor.Topic.Site(), cursor.Topic.Metric(), cursor.Topic.Key()
	by := listColumns[listing.Order]
	if by == "" {
		return afterTopic(listing.Scope, site, metric, key)
	}
	switch c := cmp.Or(cmp.Compare(listing.Scope.Site, site), cmp.Compare(listing.Scope.Metric, metric)); {
	case c < 0:
		return []sqlCondition{{by + " < ?", []any{cursor.Value}}}
	case c > 0:
		return []sqlCondition{{by + " <= ?", []any{cursor.Value}}}
	case listing.Order == tally.ByCount: // two ranges, since many topics may have the same count
		return []sqlCondition{{"count = ? AND topics.key > ?", []any{cursor.Value, key}}, {"count < ?", []any{cursor.Value}}}
	}
	return []sqlCondition{{by + " <= ? AND (" + by + " < ? OR topics.key > ?)", []any{cursor.Value, cursor.Value, key}}}
}

// afterTopic is [afterCursor] for [tally.ByTopic]. If the query had a condition for the site and
// one for (site, metric, key), SQLite would compare the latter with each row of the site.
func afterTopic(scope tally.Scope, site, metric, key string) []sqlCondition {
	bySite, byMetric := cmp.Compare(scope.Site, site), cmp.Compare(scope.Metric, metric)
	switch {
	case scope.Site == "":
		return []sqlCondition{{"(site, metric, topics.key) > (?, ?, ?)", []any{site, metric, key}}}
	case bySite == 0 && scope.Metric == "":
		return []sqlCondition{{"metric = ? AND topics.key > ?", []any{metric, key}}, {"metric > ?", []any{metric}}}
	case bySite == 0 && byMetric == 0:
		return []sqlCondition{{"topics.key > ?", []any{key}}}
	case cmp.Or(bySite, byMetric) < 0:
		return nil
	}
	return []sqlCondition{{text: "true"}}
}

// listQuery returns the query for the rows of a page that meet after, and its arguments.
func (r *Reader) listQuery(listing tally.Listing, after sqlCondition) (query string, args []any) {
	condition, args := scopeCondition(listing.Scope, r.presenceMetrics())
	if listing.Before != 0 {
		condition, args = condition+" AND version < ?", append(args, listing.Before)
	}
	order := "site, metric, topics.key"
	if by := listColumns[listing.Order]; by != "" {
		order = by + " DESC, " + order
	}
	// Of two lower bounds of a key SQLite uses the first one, so that of after, which is not
	// below that of a prefix, comes first.
	return selectStates + "WHERE " + after.text + " AND " + condition + " ORDER BY " + order + " LIMIT ?",
		append(append(slices.Clone(after.args), args...), listing.Limit+1)
}

// nextMetricQuery and nextSiteQuery step from metric to metric. With one condition for both
// columns SQLite would read all topics of the last metric.
const (
	nextMetricQuery = `SELECT site, metric FROM topics WHERE site = ? AND metric > ? ORDER BY metric LIMIT 1`
	nextSiteQuery   = `SELECT site, metric FROM topics WHERE site > ? ORDER BY site, metric LIMIT 1`
)

// metricsWithData returns the metrics of a site, or of all sites if it is empty, that have
// topics. It steps from metric to metric in the index of topics.
func metricsWithData(ctx context.Context, conn *sql.Conn, site string) (metrics []tally.Scope, err error) {
	last := tally.Scope{Site: site}
	for {
		err := conn.QueryRowContext(ctx, nextMetricQuery, last.Site, last.Metric).Scan(&last.Site, &last.Metric)
		if errors.Is(err, sql.ErrNoRows) && site == "" {
			err = conn.QueryRowContext(ctx, nextSiteQuery, last.Site).Scan(&last.Site, &last.Metric)
		}
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return metrics, nil
		case err != nil:
			return nil, fmt.Errorf("list metrics with data: %w", err)
		}
		metrics = append(metrics, last)
	}
}
