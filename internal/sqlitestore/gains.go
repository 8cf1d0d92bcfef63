package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// defaultGainsInterval is the delay after which changed gains are updated. After twice this
	// delay readers wait for the update, so that they never get gains more than 5 s behind.
	defaultGainsInterval = 2 * time.Second
	// maxGains bounds the topics of a metric whose gains are kept, some 10 MB. They are those
	// that changed last.
	maxGains = 50_000
	// gainsRetention is how long the gains of a metric are kept after somebody read them.
	gainsRetention = time.Hour
	// gainsTimeout bounds one update.
	gainsTimeout = 20 * time.Second
)

// gains holds the topics of the metrics whose gains are read, ordered by gain. It is in memory: a
// table would cost a write with each change, and only this process changes counts. An index finds
// the topics that changed in the last 30 days.
type gains struct {
	interval  time.Duration // fixed
	wait      time.Duration // fixed: [tally.GainWait]
	requested chan struct{} // holds a token if an update is requested

	mu      sync.Mutex
	metrics map[siteMetric]*metricGains // guarded by mu
}

// siteMetric identifies the gains of a metric in a site.
type siteMetric struct{ site, metric string }

// metricGains has the topics of a metric by their gains. [gains.mu] guards it.
type metricGains struct {
	changed map[string]struct{} // keys of topics that changed since the last update
	behind  time.Time           // of the first change that the ranking lacks; zero if it lacks none
	read    time.Time           // when somebody read it last
	ranking *gainRanking        // nil before the first update
	updated chan struct{}       // closed at the end of the requested update; nil if none is
	err     error               // of the last update
}

// gainRanking is topics by their gains. It is immutable.
type gainRanking struct {
	hour  int64 // for which the gains were computed
	order [tally.SinceCount][]keyGain
}

type keyGain struct {
	key  string
	gain int64
}

func newGains(interval time.Duration) *gains {
	return &gains{
		interval: cmp.Or(interval, defaultGainsInterval), wait: tally.GainWait, requested: make(chan struct{}, 1), metrics: map[siteMetric]*metricGains{},
	}
}

// add records the topics that changed, if somebody reads the gains of their metrics.
func (g *gains) add(changes []tally.Change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.metrics) == 0 {
		return
	}
	now := time.Now()
	for _, change := range changes {
		name := siteMetric{change.Topic.Site(), change.Topic.Metric()}
		b := g.metrics[name]
		switch {
		case b == nil:
			continue
		case b.updated == nil && now.Sub(b.read) > gainsRetention:
			delete(g.metrics, name)
			continue
		case len(b.changed) < maxGains: // else the next update reads all topics
			b.changed[change.Topic.Key()] = struct{}{}
		}
		if b.behind.IsZero() {
			b.behind = now
		}
	}
}

// get returns the ranking of a metric; nil if there is none. If it is too far behind, get also
// returns a channel that is closed after the next update. now is the time of the store.
func (g *gains) get(name siteMetric, now time.Time) (*gainRanking, <-chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.metrics[name]
	if b == nil {
		b = &metricGains{changed: map[string]struct{}{}}
		g.metrics[name] = b
	}
	b.read = time.Now()
	if err := b.err; err != nil {
		b.err = nil // the next call requests another update
		return nil, nil, err
	}
	hour := tally.Hour.Number(now.UnixMicro())
	lag := time.Duration(0)
	if !b.behind.IsZero() {
		lag = time.Since(b.behind)
	}
	usable := b.ranking != nil && lag < 2*g.interval
	if usable && b.ranking.hour != hour {
		lag = now.Sub(now.Truncate(time.Hour))
		usable = b.ranking.hour == hour-1 && lag < 2*g.interval
		lag = max(lag, g.interval)
	}
	if usable && lag < g.interval {
		return b.ranking, nil, nil
	}
	if b.updated == nil {
		b.updated = make(chan struct{})
		notify(g.requested)
	}
	if usable {
		return b.ranking, nil, nil
	}
	return b.ranking, b.updated, nil
}

// gainUpdate is a requested update of a ranking.
type gainUpdate struct {
	name    siteMetric
	gains   *metricGains
	began   time.Time
	changed map[string]struct{}
	ranking *gainRanking // before the update; nil if it has to read all topics
}

// takeRequested returns the requested updates.
func (g *gains) takeRequested() (updates []gainUpdate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, b := range g.metrics {
		if b.updated != nil {
			u := gainUpdate{name, b, time.Now(), b.changed, b.ranking}
			if len(u.changed) >= maxGains {
				u.ranking = nil
			}
			updates = append(updates, u)
			b.changed = map[string]struct{}{}
		}
	}
	return updates
}

// finish ends an update with its result, a ranking or an error.
func (g *gains) finish(u gainUpdate, ranking *gainRanking, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := u.gains
	if b.err = err; err != nil {
		b.ranking = nil // u.changed is lost
	} else if b.ranking = ranking; len(b.changed) == 0 {
		b.behind = time.Time{}
	} else {
		b.behind = u.began
	}
	close(b.updated)
	b.updated = nil
}

// updateGains updates requested rankings until Close.
func (s *Store) updateGains() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with Close, or with updateGains
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-s.gains.requested:
		case <-ctx.Done():
			return
		}
		for _, u := range s.gains.takeRequested() {
			ranking, err := s.rankGains(ctx, u)
			s.gains.finish(u, ranking, err)
		}
	}
}

// rankGains returns the ranking after an update.
func (s *Store) rankGains(ctx context.Context, u gainUpdate) (*gainRanking, error) {
	ctx, cancel := context.WithTimeout(ctx, gainsTimeout)
	defer cancel()
	now := s.now().UnixMicro()
	args := []any{u.name.site, u.name.metric}
	for since := range tally.Since(tally.SinceCount) {
		args = append(args, since.Begin(now), since.First(now))
	}
	ranking := &gainRanking{hour: tally.Hour.Number(now)}
	var before gainRanking // has the topics that are not read; empty if all are read
	statement := s.statements.gains
	if u.ranking == nil || u.ranking.hour != ranking.hour {
		args = append(args, maxGains)
	} else {
		before, statement = *u.ranking, s.statements.gainsOf
		asked := []byte{'['}
		for key := range u.changed {
			if len(asked) > 1 {
				asked = append(asked, ',')
			}
			asked = tally.AppendJSONString(asked, key)
		}
		args = append(args, string(append(asked, ']')))
	}
	var read [tally.SinceCount][]keyGain
	rows, err := statement.QueryContext(ctx, args...)
	err = scanRows(rows, err, func(rows *sql.Rows) error {
		var key string
		var gains [tally.SinceCount]int64
		err := rows.Scan(&key, &gains[0], &gains[1], &gains[2])
		for since, gain := range gains {
			if gain > 0 {
				read[since] = append(read[since], keyGain{key, gain})
			}
		}
		return err
	})
	for since := range read {
		slices.SortFunc(read[since], compareGains)
		ranking.order[since] = mergeGains(before.order[since], u.changed, read[since])
	}
	return ranking, err
}

// compareGains orders topics by their gains, highest first, equal gains by key.
func compareGains(a, b keyGain) int {
	return cmp.Or(cmp.Compare(b.gain, a.gain), strings.Compare(a.key, b.key))
}

// mergeGains returns, in order, the topics of before that did not change, and those of read. It
// changes neither list.
func mergeGains(before []keyGain, changed map[string]struct{}, read []keyGain) []keyGain {
	merged := make([]keyGain, 0, len(before)+len(read))
	for _, unchanged := range before {
		if _, isChanged := changed[unchanged.key]; isChanged {
			continue
		}
		for len(read) > 0 && compareGains(read[0], unchanged) < 0 {
			merged, read = append(merged, read[0]), read[1:]
		}
		merged = append(merged, unchanged)
	}
	return append(merged, read...)
}

// prepareGains prepares the statements of [Store.TopGains]. Their parameters are the site, the
// metric, begin and first period of each [tally.Since], and the number of topics or a list of
// keys.
func (s *readStatements) prepareGains(ctx context.Context, db *sql.DB) (err error) {
	if s.gains, err = db.PrepareContext(ctx, gainsQuery); err == nil {
		s.gainsOf, err = db.PrepareContext(ctx, gainsOfQuery)
	}
	if err != nil {
		return fmt.Errorf("prepare to read gains: %w", err)
	}
	return nil
}

// gainColumn returns the column with the gain since a time, see [tally.History.Gain]. begin is the
// number of the parameter with the time. The next parameter is the number of its period.
func gainColumn(begin int, period tally.Period) string {
	return fmt.Sprintf(`CASE WHEN prior IS NULL OR version < ?%d THEN 0 ELSE count - seed - topics.adjustment - prior - coalesce(
		(SELECT gain FROM history WHERE topic = topics.id AND period = %d AND number < ?%d ORDER BY number DESC LIMIT 1), 0) END`, begin, period, begin+1)
}

var (
	gainColumns  = `SELECT topics.key, ` + gainColumn(3, tally.Hour) + `, ` + gainColumn(5, tally.Hour) + `, ` + gainColumn(7, tally.Day)
	gainsQuery   = gainColumns + ` FROM topics WHERE site = ?1 AND metric = ?2 AND version >= ?7 ORDER BY version DESC LIMIT ?9`
	gainsOfQuery = gainColumns + ` FROM json_each(?9) AS asked CROSS JOIN topics ON site = ?1 AND metric = ?2 AND topics.key = asked.value`
)

// TopGains implements [tally.GainRanker].
func (s *Store) TopGains(ctx context.Context, site, metric string, since tally.Since, limit int) (gains []tally.TopicGain, err error) {
	if err := since.CheckHistory(s.historyRetention); err != nil {
		return nil, err
	}
	err = s.reading(ctx, "the highest gains", func() error {
		ranking, err := s.currentGains(ctx, siteMetric{site, metric})
		if err != nil {
			return err
		}
		gains, err = s.readCounts(ctx, site, metric, ranking.order[since][:min(max(0, limit), len(ranking.order[since]))])
		return err
	})
	return gains, err
}

// currentGains returns a ranking that is not too far behind, or the last one if an update takes
// long.
func (s *Store) currentGains(ctx context.Context, name siteMetric) (*gainRanking, error) {
	timer := time.NewTimer(s.gains.wait)
	defer timer.Stop()
	for {
		ranking, updated, err := s.gains.get(name, s.now())
		if updated == nil {
			return ranking, err
		}
		select {
		case <-updated:
		case <-timer.C:
			if ranking != nil {
				return ranking, nil
			}
		case <-s.closing:
			return nil, errClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readCounts reads the present counts of ranked topics. It leaves out those that were deleted.
func (s *Store) readCounts(ctx context.Context, site, metric string, ranked []keyGain) ([]tally.TopicGain, error) {
	queries, readings := make([]tally.Query, len(ranked)), make([]tally.Reading, len(ranked))
	for i, r := range ranked {
		topic, err := tally.NewTopic(site, metric, r.key)
		if err != nil {
			return nil, err
		}
		queries[i].Topic, readings[i].Change.Topic = topic, topic
	}
	if err := s.read(ctx, queries, readings); err != nil {
		return nil, err
	}
	gains := make([]tally.TopicGain, 0, len(ranked))
	for i, r := range ranked {
		if readings[i].Change.Version != 0 {
			gains = append(gains, tally.TopicGain{Change: readings[i].Change, Gain: r.gain})
		}
	}
	return gains, nil
}
