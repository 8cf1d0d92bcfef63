package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// The table meta has the rule of each metric that has data, under "rule:" and the metric's
// name. Files of earlier releases have no rules. Open deduces them.

// storedRules returns the rules in the file.
func storedRules(ctx context.Context, db rowQuerier) (tally.StoredRules, error) {
	rules := tally.StoredRules{}
	err := eachRow(ctx, db, `SELECT substr(name, 6), value FROM meta WHERE name >= 'rule:' AND name < 'rule;'`, nil, func(rows *sql.Rows) error {
		var metric, rule string
		err := rows.Scan(&metric, &rule)
		rules[metric] = rule
		return err
	})
	return rules, err
}

// ruleRecorder remembers which metrics have their rule in the file.
type ruleRecorder struct {
	stored map[string]bool
	added  []string // by the current transaction
}

// committed adds the rules of the committed transaction.
func (k *ruleRecorder) committed() {
	for _, metric := range k.added {
		k.stored[metric] = true
	}
	k.added = nil
}

// storeRule stores the rule of a topic's metric, if it is not stored yet.
func (w *writer) storeRule(topic tally.Topic) error {
	metric, rule := topic.Metric(), w.catalog.Rule(topic)
	if w.rules.stored[metric] || rule.Kind == 0 {
		return nil
	}
	if err := w.setRule(metric, rule); err != nil {
		return err
	}
	w.rules.added = append(w.rules.added, metric)
	return nil
}

func (w *writer) setRule(metric string, rule tally.Rule) error {
	return w.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, "rule:"+metric, rule.String())
}

// reconcileRules compares the catalog's rules with those in the file, and returns the first
// conflict. Without a conflict it stores the rules that the file lacks, and those that allow
// more than the stored ones. Open calls it.
func (w *writer) reconcileRules(ctx context.Context) (conflict, err error) {
	stored, err := storedRules(ctx, w.conn)
	if err != nil {
		return nil, fmt.Errorf("read the rules of metrics: %w", err)
	}
	scopes, err := metricsWithData(ctx, w.conn, "")
	if err != nil {
		return nil, err
	}
	hasData := map[string]bool{}
	for _, scope := range scopes {
		hasData[scope.Metric] = true
	}
	w.catalog.AdoptRules(stored)
	w.rules.stored = map[string]bool{}
	var missing []string
	for _, metric := range w.catalog.Metrics() {
		rule := w.catalog.MetricRule(metric)
		found, conflict := stored.Conflict(metric, rule, true)
		if conflict != nil || !found {
			switch {
			case !hasData[metric] && found:
				conflict = nil // its topics were deleted
			case !hasData[metric]:
				continue
			case !found:
				possible, err := w.deduceRules(ctx, metric)
				if err != nil {
					return nil, err
				}
				conflict = rule.Conflict(metric, possible...)
			}
		}
		if conflict != nil {
			return conflict, nil
		}
		if stored[metric] != rule.String() {
			missing = append(missing, metric)
		}
		w.rules.stored[metric] = true
	}
	for _, metric := range missing {
		if err := w.setRule(metric, w.catalog.MetricRule(metric)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// maxDeduced bounds the contributions and topics that are read to deduce a rule, for a few
// milliseconds.
const maxDeduced = 100_000

// deduceRules returns the rules under which a release that did not store rules may have
// written a metric's data; none if every rule is possible.
func (w *writer) deduceRules(ctx context.Context, metric string) (possible []tally.Rule, err error) {
	var most sql.NullInt64
	var windowed bool
	var options string
	err = w.conn.QueryRowContext(ctx, `SELECT
		(SELECT max(amount) FROM (SELECT amount FROM topics JOIN contributions ON topic = id WHERE metric = ?1 LIMIT ?2)),
		EXISTS (SELECT 1 FROM (SELECT id, count, seed, adjustment FROM topics WHERE metric = ?1 LIMIT ?2)
			WHERE count > seed + adjustment AND NOT EXISTS (SELECT 1 FROM contributions WHERE topic = id)),
		coalesce((SELECT options FROM topics WHERE metric = ?1 AND options <> '' ORDER BY id DESC LIMIT 1), '')`,
		metric, maxDeduced).Scan(&most, &windowed, &options)
	if err != nil {
		return nil, fmt.Errorf("deduce the rule of the metric %s: %w", metric, err)
	}
	if counts, _, isChoice := strings.Cut(options, " "); isChoice {
		return []tally.Rule{{Kind: tally.Choice, Max: int64(tally.Options(counts).Len())}}, nil
	}
	if most.Valid && most.Int64 == 1 {
		possible = append(possible, tally.Rule{Kind: tally.Toggle, Max: 1}, tally.Rule{Kind: tally.Once, Max: 1})
	}
	if most.Valid {
		possible = append(possible, tally.Rule{Kind: tally.Amount, Max: most.Int64})
	}
	if windowed {
		possible = append(possible, tally.Rule{Kind: tally.Window, Max: 1})
	}
	return possible, nil
}
