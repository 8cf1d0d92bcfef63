package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// sampledTopics and sampledMembers are how much of a metric's data is read to deduce
	// its rule: the topics with the highest counts of each site, and some members of each.
	sampledTopics, sampledMembers = 3, 100
	// dataSeenTTL is how long the result is used that a metric has data, which may take a scan
	// of all keys.
	dataSeenTTL = time.Minute
	// maxRuleAttempts bounds attempts to store a rule that other instances change.
	maxRuleAttempts = 4
)

// ruleCache is what this instance knows of the stored rules, a hash of metric to rule. The
// rule of a metric is stored before its first data. Rules are compared at start, and with
// each probe, since other instances store rules too. Writes only use the cache.
type ruleCache struct {
	settled atomic.Bool // the rules were compared without a conflict
	current sync.Map    // metrics whose stored rule is the same or allows more
	// vacant has metrics without data whose stored rule differs, since all data was deleted:
	// metric to that rule. The first write replaces the rule.
	vacant sync.Map

	mu sync.Mutex
	// dataSeen is when a metric with a conflict had data; guarded by mu.
	dataSeen map[string]time.Time
}

// compare returns the conflict between the catalog and the stored rules, after the instance
// has started. It accepts a stored rule that allows more: another instance has a newer
// configuration. At start, that is a conflict.
func (b *ruleCache) compare(catalog *tally.Catalog, stored tally.StoredRules) error {
	if !b.settled.Load() {
		return nil // see settleRules
	}
	for _, metric := range catalog.Metrics() {
		rule := catalog.MetricRule(metric)
		ok, err := stored.Conflict(metric, rule, false)
		if vacant, found := b.vacant.Load(metric); found && vacant == stored[metric] {
			continue
		}
		if err != nil {
			return conflictf("%v", err)
		}
		b.record(metric, rule, ok, stored[metric])
	}
	return nil
}

// record updates the cache: whether the stored rule of a metric is current.
func (b *ruleCache) record(metric string, rule tally.Rule, isStored bool, stored string) {
	if !isStored {
		b.current.Delete(metric) // Redis has lost it
		return
	}
	if known, err := tally.ParseRule(stored); stored == rule.String() || err == nil && known.Max >= rule.Max {
		b.current.Store(metric, true)
	}
}

// settleRules compares the catalog's rules with the stored ones when the instance starts, at
// the node that has them. Without a conflict it stores missing rules of metrics with data,
// and rules that allow more than the stored ones.
func (n *node) settleRules(ctx context.Context) error {
	s := n.store
	if s.rules.settled.Load() || s.topology.SlotMap().Node(s.names.rules()) != n.Node {
		return nil
	}
	stored, err := s.storedRules(ctx)
	if err != nil {
		return err
	}
	s.catalog.AdoptRules(stored)
	metrics := s.catalog.Metrics()
	if sampled, err := s.sampleTopics(ctx, metrics...); err == nil {
		// Most metrics have neither a rule nor data: they take no round trip.
		metrics = slices.DeleteFunc(metrics, func(metric string) bool {
			_, isStored := stored[metric]
			return !isStored && len(sampled[metric]) == 0
		})
	}
	for _, action := range []ruleAction{comparing, storing} {
		for _, metric := range metrics {
			var conflict *conflictError
			if err := s.settleRule(ctx, metric, stored, action); errors.As(err, &conflict) {
				return err
			}
			// Other errors are of nodes that have some data: the first write tries again.
		}
	}
	s.rules.settled.Store(true)
	return nil
}

// ensureRule stores the rule of a topic's metric before its first data. If the rule is
// stored, this takes no round trip.
func (s *Store) ensureRule(ctx context.Context, topic tally.Topic) error {
	metric := topic.Metric()
	if s.rules.isCurrent(metric) {
		return nil
	}
	if err := s.checkUsable(); err != nil {
		return err
	}
	stored, err := s.storedRules(ctx)
	if err == nil {
		err = s.settleRule(ctx, metric, stored, writing)
	}
	var conflict *conflictError
	if errors.As(err, &conflict) {
		s.rules.settled.Store(false) // checks of the node report it until it is resolved
	}
	if err != nil {
		return tally.Unavailable(err)
	}
	return nil
}

func (s *Store) storedRules(ctx context.Context) (tally.StoredRules, error) {
	all := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.rules())
	if err := s.do(ctx, s.names.rules(), all); err != nil {
		return nil, fmt.Errorf("read the rules of metrics: %w", err)
	}
	return all.Val(), nil
}

// ruleAction is what settleRule does.
type ruleAction int

const (
	comparing ruleAction = iota // stores nothing
	storing                     // stores the rule of a metric that has data
	writing                     // also stores it for a metric that gets its first data
)

// settleRule compares the rule of a metric with the stored one, and stores it according to
// action if it is missing or allows more. A rule that differs is a conflict, unless all data
// of the metric was deleted: then the first write stores it.
func (s *Store) settleRule(ctx context.Context, metric string, stored tally.StoredRules, action ruleAction) error {
	rule := s.catalog.MetricRule(metric)
	if rule.Kind == 0 {
		return nil // not in an open catalog
	}
	strict := !s.rules.settled.Load()
	stored = maps.Clone(stored)
	for range maxRuleAttempts {
		isStored, conflict := stored.Conflict(metric, rule, strict)
		if conflict != nil {
			if some, err := s.hasData(ctx, metric); some || err != nil {
				return s.reportConflict(conflict) // also if it is unknown whether there is data
			}
			if action != writing {
				s.rules.vacant.Store(metric, stored[metric])
				return nil
			}
		} else if isStored {
			if s.rules.record(metric, rule, true, stored[metric]); s.rules.isCurrent(metric) {
				return nil
			}
		} else {
			possible, err := s.deduceRules(ctx, metric)
			if err != nil {
				return err
			}
			if conflict := rule.Conflict(metric, possible...); conflict != nil {
				return s.reportConflict(conflict)
			}
			if len(possible) == 0 && action != writing {
				return nil
			}
		}
		if action == comparing {
			return nil
		}
		c := redistopology.NewCall(ruleScript, s.names.rules())
		c.Append(metric, stored[metric], rule.String())
		calls := []redistopology.Call{c}
		calls[0].Durable = true
		s.topology.Call(ctx, calls)
		if calls[0].Err != nil {
			return fmt.Errorf("store the rule of the metric %s: %w", metric, calls[0].Err)
		}
		if now := calls[0].Text(); now != "" {
			stored[metric] = now
		} else {
			delete(stored, metric)
		}
	}
	return fmt.Errorf("store the rule of the metric %s: other instances keep changing it", metric)
}

// isCurrent reports whether the stored rule of a metric needs no change.
func (b *ruleCache) isCurrent(metric string) bool {
	_, ok := b.current.Load(metric)
	return ok
}

// reportConflict adds a conflict to the health of the node that has the rules.
func (s *Store) reportConflict(cause error) error {
	err := conflictf("%v", cause)
	if n := s.topology.SlotMap().Node(s.names.rules()); n != nil {
		nodeOf(n).status.setFailed(err)
	}
	return err
}

var errEnoughKeys = errors.New("one key is enough")

// hasData reports whether there is a topic of the metric.
func (s *Store) hasData(ctx context.Context, metric string) (bool, error) {
	s.rules.mu.Lock()
	at := s.rules.dataSeen[metric]
	s.rules.mu.Unlock()
	if time.Since(at) < dataSeenTTL {
		return true, nil
	}
	sampled, err := s.sampleTopics(ctx, metric)
	if err != nil {
		return false, err
	}
	found := len(sampled) > 0
	for _, n := range s.nodes() {
		if found {
			break
		}
		err := n.scan(ctx, s.names.prefix+"{*/"+metric+"/*}"+countKind, func(keys []string) error {
			for _, key := range keys {
				text, ok := s.names.countTopic(key)
				if topic, err := tally.ParseTopic(text); ok && err == nil && topic.Metric() == metric {
					found = true
					return errEnoughKeys
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnoughKeys) {
			return false, err
		}
	}
	if found {
		s.rules.mu.Lock()
		defer s.rules.mu.Unlock()
		if s.rules.dataSeen == nil {
			s.rules.dataSeen = map[string]time.Time{}
		}
		s.rules.dataSeen[metric] = time.Now()
	}
	return found, nil
}

// sampleTopics returns the topics of metrics with the highest counts, of each site.
func (s *Store) sampleTopics(ctx context.Context, metrics ...string) (map[string][]tally.Topic, error) {
	var boards []leaderboard
	var requests []redistopology.Request
	for _, metric := range metrics {
		for _, site := range s.catalog.Sites() {
			name := s.names.top(leaderboard{site, metric})
			boards = append(boards, leaderboard{site, metric})
			requests = append(requests, redistopology.Request{Key: name, Commands: []redis.Cmder{redis.NewStringSliceCmd(ctx, "zrange", name, 0, sampledTopics-1)}})
		}
	}
	s.topology.Send(ctx, requests)
	topics := map[string][]tally.Topic{}
	for i, b := range boards {
		keys, err := requests[i].Commands[0].(*redis.StringSliceCmd).Result()
		if err != nil {
			return nil, fmt.Errorf("find topics of the metric %s: %w", b.metric, err)
		}
		for _, key := range keys {
			if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
				topics[b.metric] = append(topics[b.metric], topic)
			}
		}
	}
	return topics, nil
}

// deduceRules returns the rules that the data of a metric may have, for data of releases
// that did not store rules. It returns none if the data does not show it.
func (s *Store) deduceRules(ctx context.Context, metric string) (possible []tally.Rule, err error) {
	sampled, err := s.sampleTopics(ctx, metric)
	topics := sampled[metric]
	if err != nil || len(topics) == 0 {
		return nil, err
	}
	requests := make([]redistopology.Request, len(topics))
	for i, topic := range topics {
		requests[i] = redistopology.Request{Key: s.names.count(topic), Commands: []redis.Cmder{
			redis.NewSliceCmd(ctx, "hmget", s.names.count(topic), "n", "s", "a"),
			redis.NewScanCmd(ctx, nil, "hscan", s.names.members(topic), 0, "count", sampledMembers),
			redis.NewIntCmd(ctx, "hlen", s.names.shares(topic)),
		}}
	}
	s.topology.Send(ctx, requests)
	amount, options, toggled, windowed, present := int64(0), 0, false, false, false
	for i := range requests {
		commands := requests[i].Commands
		if err := requests[i].Err(); isTopicError(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("deduce the rule of the metric %s: %w", metric, err)
		}
		fields := commands[0].(*redis.SliceCmd).Val()
		if text, _ := fields[0].(string); strings.Contains(text, ",") {
			options = max(options, tally.Options(text).Len())
			continue
		}
		members, _ := commands[1].(*redis.ScanCmd).Val()
		for at := 0; at+1 < len(members); at += 2 {
			if len(members[at]) == memberBytes {
				value, _ := strconv.ParseInt(members[at+1], 10, 64)
				amount = max(amount, value)
			} else {
				toggled = true
			}
		}
		present = present || commands[2].(*redis.IntCmd).Val() > 0
		if len(members) == 0 && contributed(fields) > 0 {
			windowed = true // the members of earlier windows are gone
		}
	}
	if options > 0 {
		possible = append(possible, tally.Rule{Kind: tally.Choice, Max: int64(options)})
	}
	if amount > 0 {
		possible = append(possible, tally.Rule{Kind: tally.Amount, Max: amount})
	}
	if toggled {
		possible = append(possible, tally.Rule{Kind: tally.Toggle, Max: 1}, tally.Rule{Kind: tally.Once, Max: 1})
	}
	if toggled || windowed {
		possible = append(possible, tally.Rule{Kind: tally.Window, Max: 1})
	}
	if present || windowed {
		possible = append(possible, tally.Rule{Kind: tally.Presence})
	}
	return possible, nil
}

// memberBytes is the length of a member's field; paths of buckets are shorter.
const memberBytes = 8

// contributed returns the sum of contributions, from the fields n, s and a.
func contributed(fields []any) int64 {
	var numbers [3]int64
	for i := range min(len(fields), len(numbers)) {
		text, _ := fields[i].(string)
		numbers[i], _ = strconv.ParseInt(text, 10, 64)
	}
	return numbers[0] - numbers[1] - numbers[2]
}
