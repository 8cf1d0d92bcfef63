package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	// dataSeenTTL is how long it is known that a metric has data, which may take going over
	// all keys.
	dataSeenTTL = time.Minute
	// maxRuleAttempts bounds how often a rule is read again that others set at the same time.
	maxRuleAttempts = 4
)

// ruleCache is what this instance knows of the rules that the store keeps, a hash of
// metric to rule. A metric's rule is stored before its first data is. It is compared when
// the instance starts, and with each probe, since another instance may be the first to
// store one. Writes ask the ruleBook alone.
type ruleCache struct {
	settled atomic.Bool // the rules were compared, and there was no conflict
	current sync.Map    // metrics whose rule is stored as it is here, or allows more
	// vacant are metrics without data whose stored rule is another one, which is of data
	// that was deleted: metric to that rule. The first that writes decides.
	vacant sync.Map

	mu sync.Mutex
	// dataSeen is when it was last seen that a metric with a conflict has data. Guarded by mu.
	dataSeen map[string]time.Time
}

// compare returns the conflict between the catalog and the rules in the store, once the
// instance has started. A rule that allows more than here is another instance's new
// configuration: it is a conflict for those that start.
func (b *ruleCache) compare(catalog *tally.Catalog, stored tally.StoredRules) error {
	if !b.settled.Load() {
		return nil // see settleRules
	}
	for _, metric := range catalog.Metrics() {
		rule := catalog.MetricRule(metric)
		kept, err := stored.Conflict(metric, rule, false)
		if vacant, ok := b.vacant.Load(metric); ok && vacant == stored[metric] {
			continue
		}
		if err != nil {
			return conflictf("%v", err)
		}
		b.record(metric, rule, kept, stored[metric])
	}
	return nil
}

// record notes whether the rule that is stored of a metric needs no change.
func (b *ruleCache) record(metric string, rule tally.Rule, kept bool, stored string) {
	if !kept {
		b.current.Delete(metric) // Redis has lost it
		return
	}
	if known, err := tally.ParseRule(stored); stored == rule.String() || err == nil && known.Max >= rule.Max {
		b.current.Store(metric, true)
	}
}

// settleRules compares the catalog's rules with those in the store when the instance
// starts, at the node that has them. Without a conflict, rules that are missing though
// there is data, and ones that allow more than the stored one, are stored.
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
		// Most metrics have neither a rule nor data, and take no round trip of their own.
		metrics = slices.DeleteFunc(metrics, func(metric string) bool {
			_, kept := stored[metric]
			return !kept && len(sampled[metric]) == 0
		})
	}
	for _, how := range []ruleAction{comparing, storing} {
		for _, metric := range metrics {
			var conflict *conflictError
			if err := s.settleRule(ctx, metric, stored, how); errors.As(err, &conflict) {
				return err
			}
			// Other errors are of nodes that have some of the data: the first write tries again.
		}
	}
	s.rules.settled.Store(true)
	return nil
}

// ensureRule stores the rule of a topic's metric, unless that is done: it precedes the
// first data. Once it is stored, this takes no round trip.
func (s *Store) ensureRule(ctx context.Context, topic tally.Topic) error {
	metric := topic.Metric()
	if _, ok := s.rules.current.Load(metric); ok {
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
		s.rules.settled.Store(false) // checks of the node find it until it is mended
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
	writing                     // stores it for one that is about to get some, too
)

// settleRule has the store keep the rule of a metric that has data, or is about to get
// some. A rule that allows more than the stored one is adopted. Any other is once the metric's
// topics were deleted, with the first write.
func (s *Store) settleRule(ctx context.Context, metric string, stored tally.StoredRules, how ruleAction) error {
	rule := s.catalog.MetricRule(metric)
	if rule.Kind == 0 {
		return nil // an open catalog was not told of it
	}
	strict := !s.rules.settled.Load()
	stored = maps.Clone(stored)
	for range maxRuleAttempts {
		kept, conflict := stored.Conflict(metric, rule, strict)
		if conflict != nil {
			if some, err := s.hasData(ctx, metric); some || err != nil {
				return s.reportConflict(conflict) // unless there is certainly none
			}
			if how != writing {
				s.rules.vacant.Store(metric, stored[metric])
				return nil
			}
		} else if kept {
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
			if len(possible) == 0 && how != writing {
				return nil
			}
		}
		if how == comparing {
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
	return fmt.Errorf("store the rule of the metric %s: others change it all the time", metric)
}

// isCurrent reports whether a metric's rule needs no change.
func (b *ruleCache) isCurrent(metric string) bool {
	_, ok := b.current.Load(metric)
	return ok
}

// reportConflict shows a conflict in Health, at the node that has the rules.
func (s *Store) reportConflict(cause error) error {
	err := conflictf("%v", cause)
	if n := s.topology.SlotMap().Node(s.names.rules()); n != nil {
		stateOf(n).status.setFailed(err)
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
			return nil, fmt.Errorf("look for topics of the metric %s: %w", b.metric, err)
		}
		for _, key := range keys {
			if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
				topics[b.metric] = append(topics[b.metric], topic)
			}
		}
	}
	return topics, nil
}

// deduceRules returns the rules under which a metric's data may have been counted by a
// release that did not store them; none where there is no data, or it tells nothing.
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
	amount, toggled, windowed, present := int64(0), false, false, false
	for i := range requests {
		commands := requests[i].Commands
		if err := requests[i].Err(); isTopicError(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("deduce the rule of the metric %s: %w", metric, err)
		}
		members, _ := commands[1].(*redis.ScanCmd).Val()
		for at := 0; at+1 < len(members); at += 2 {
			if len(members[at]) == memberBytes {
				given, _ := strconv.ParseInt(members[at+1], 10, 64)
				amount = max(amount, given)
			} else {
				toggled = true
			}
		}
		present = present || commands[2].(*redis.IntCmd).Val() > 0
		if len(members) == 0 && contributed(commands[0].(*redis.SliceCmd).Val()) > 0 {
			windowed = true // who was counted is forgotten
		}
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

// memberBytes is the length of a field that is a member; paths of buckets are shorter.
const memberBytes = 8

// contributed returns what contributions add to a count, of its fields n, s and a.
func contributed(fields []any) int64 {
	var numbers [3]int64
	for i := range min(len(fields), len(numbers)) {
		text, _ := fields[i].(string)
		numbers[i], _ = strconv.ParseInt(text, 10, 64)
	}
	return numbers[0] - numbers[1] - numbers[2]
}
