package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// To deduce the rule of a metric, the store reads the sampledTopics topics with the highest
	// counts of each site, and sampledMembers members of each.
	sampledTopics, sampledMembers = 3, 100
	// dataSeenTTL is how long the store remembers that a metric has data, since it may take a
	// scan of all keys to find that out.
	dataSeenTTL = time.Minute
	// maxRuleAttempts bounds the attempts to store a rule while other instances change it.
	maxRuleAttempts = 4
)

// ruleCache caches the stored rules, a hash of metric to rule. The rule of a metric is stored
// before its first data. The instance compares the rules at start and with each probe, since other
// instances store rules too. Writes use the cache only.
type ruleCache struct {
	compared atomic.Bool // whether the rules were compared without a conflict
	accepted sync.Map    // metric to acceptedRule
	dataSeen sync.Map    // metric with a conflict to the time at which it had data
}

// acceptedRule is a stored rule that is no conflict.
type acceptedRule struct {
	stored string // empty if none is stored
	// isCurrent is true if the stored rule allows all that the catalog's rule allows. If not, the
	// first write replaces it.
	isCurrent bool
}

// isCurrent reports whether the stored rule of a metric needs no change.
func (c *ruleCache) isCurrent(metric string) bool {
	known, ok := c.accepted.Load(metric)
	return ok && known.(acceptedRule).isCurrent
}

// compareRules returns a conflict of the catalog with the stored rules after the start. It accepts a
// stored rule that allows more, since another instance may have a newer configuration. At start
// such a rule is a conflict, see reconcileRules.
func (s *Store) compareRules(stored tally.StoredRules) error {
	if !s.rules.compared.Load() {
		return nil // see reconcileRules
	}
	for _, metric := range s.catalog.Metrics() {
		known, ok := s.rules.accepted.Load(metric)
		if ok && known.(acceptedRule).stored == stored[metric] {
			continue
		}
		if _, err := stored.Conflict(metric, s.catalog.MetricRule(metric), false); err != nil {
			return conflictf("%v", err)
		}
		s.acceptRule(metric, stored[metric])
	}
	return nil
}

// acceptRule caches a stored rule, which is no conflict.
func (s *Store) acceptRule(metric, stored string) {
	rule := s.catalog.MetricRule(metric)
	known, err := tally.ParseRule(stored)
	isCurrent := stored == rule.String() || err == nil && known.Kind == rule.Kind && known.Max >= rule.Max
	s.rules.accepted.Store(metric, acceptedRule{stored, isCurrent})
}

// reconcileRules compares the catalog's rules with the stored ones when the instance starts, if the
// node has them. Without a conflict it stores the missing rules of metrics with data, and the rules
// that allow more than the stored ones. reads may be nil.
func (n *node) reconcileRules(ctx context.Context, reads *ruleReads) error {
	s := n.store
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	if s.rules.compared.Load() || s.topology.SlotMap().Node(s.names.rules()) != n.Node {
		return nil
	}
	if reads == nil {
		pipe := s.startClient.Pipeline()
		reads = s.appendRuleReads(ctx, pipe)
		_, _ = pipe.Exec(ctx) // each command has its own error
	}
	stored, err := reads.stored.Result()
	if err != nil {
		return fmt.Errorf("read the rules of metrics: %w", err)
	}
	sampled, sampleErr := reads.sample.topics()
	s.catalog.AdoptRules(stored)
	metrics := s.catalog.Metrics() // adopted ones have a rule, and need no sample
	var missing []string
	for _, metric := range metrics {
		if _, isStored := stored[metric]; !isStored && sampleErr == nil && len(sampled[metric]) == 0 {
			continue // most metrics have neither a rule nor data, and need no round trip
		}
		toStore, err := s.checkRule(ctx, metric, stored)
		if errors.As(err, new(*conflictError)) {
			return err
		}
		if err == nil && toStore { // other errors are of nodes with data: the first write tries again
			missing = append(missing, metric)
		}
	}
	for _, metric := range missing {
		_ = s.storeRule(ctx, metric, stored) // the first write tries again
	}
	s.rules.compared.Store(true)
	return nil
}

// ensureRule stores the rule of a topic's metric before its first data. If the rule is stored
// already, it takes no round trip.
func (s *Store) ensureRule(ctx context.Context, topic tally.Topic) error {
	metric := topic.Metric()
	if s.rules.isCurrent(metric) {
		return nil
	}
	if err := s.checkUsable(); err != nil {
		return err
	}
	for range maxRuleAttempts {
		stored, err := s.storedRules(ctx)
		if err == nil {
			_, err = s.checkRule(ctx, metric, stored)
		}
		if err == nil && !s.rules.isCurrent(metric) {
			err = s.storeRule(ctx, metric, stored)
		}
		if errors.As(err, new(*conflictError)) {
			s.rules.compared.Store(false) // checks of the node report it until it is resolved
		}
		if err != nil {
			return tally.Unavailable(err)
		}
		if s.rules.isCurrent(metric) {
			return nil
		}
	}
	return tally.Unavailable(fmt.Errorf("store the rule of the metric %s: other instances keep changing it", metric))
}

// ruleReads are the reads of [node.reconcileRules]: the stored rules, and which metrics have data.
type ruleReads struct {
	stored *redis.MapStringStringCmd
	sample topicSample
}

func (s *Store) appendRuleReads(ctx context.Context, pipe redis.Pipeliner) *ruleReads {
	return &ruleReads{pipe.HGetAll(ctx, s.names.rules()), s.appendSample(ctx, pipe, s.catalog.Metrics()...)}
}

func (s *Store) storedRules(ctx context.Context) (tally.StoredRules, error) {
	stored, err := s.startClient.HGetAll(ctx, s.names.rules()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the rules of metrics: %w", err)
	}
	return stored, nil
}

// checkRule compares the rule of a metric with the stored one, or with the metric's data if none is
// stored. It reports whether the rule has to be stored because there is data. Another rule is a
// conflict, unless all data of the metric was deleted.
func (s *Store) checkRule(ctx context.Context, metric string, stored tally.StoredRules) (toStore bool, err error) {
	rule := s.catalog.MetricRule(metric)
	if rule.Kind == 0 { // not in an open catalog
		s.rules.accepted.Store(metric, acceptedRule{isCurrent: true})
		return false, nil
	}
	isStored, conflict := stored.Conflict(metric, rule, !s.rules.compared.Load())
	switch {
	case conflict != nil:
		if has, err := s.hasData(ctx, metric); has || err != nil {
			return false, s.ruleConflict(conflict) // even if it is unknown whether there is data
		}
		s.rules.accepted.Store(metric, acceptedRule{stored: stored[metric]})
		return false, nil
	case isStored:
		s.acceptRule(metric, stored[metric])
		return !s.rules.isCurrent(metric), nil
	}
	possible, err := s.deduceRules(ctx, metric)
	if err != nil {
		return false, err
	}
	if conflict := rule.Conflict(metric, possible...); conflict != nil {
		return false, s.ruleConflict(conflict)
	}
	return len(possible) > 0, nil
}

// storeRule stores the rule of a metric unless another instance changed it.
func (s *Store) storeRule(ctx context.Context, metric string, stored tally.StoredRules) error {
	rule := s.catalog.MetricRule(metric).String()
	calls := []redistopology.Call{swapCall(s.names.rules(), "", map[string]string{metric: stored[metric]}, map[string]string{metric: rule})}
	s.topology.Call(ctx, calls)
	if calls[0].Err != nil {
		return fmt.Errorf("store the rule of the metric %s: %w", metric, calls[0].Err)
	}
	if calls[0].Text() == swapped {
		s.acceptRule(metric, rule)
	}
	return nil
}

// ruleConflict returns a conflict, and adds it to the health of the node that has the rules.
func (s *Store) ruleConflict(cause error) error {
	err := conflictf("%v", cause)
	if n := s.topology.SlotMap().Node(s.names.rules()); n != nil {
		nodeOf(n).status.setFailed(err)
	}
	return err
}

// hasData reports whether there is a topic of the metric.
func (s *Store) hasData(ctx context.Context, metric string) (found bool, err error) {
	if at, ok := s.rules.dataSeen.Load(metric); ok && time.Since(at.(time.Time)) < dataSeenTTL {
		return true, nil
	}
	sampled, err := s.sampleTopics(ctx, metric)
	if err != nil {
		return false, err
	}
	found = len(sampled) > 0
	for _, n := range s.nodes() {
		if found {
			break
		}
		for keys, err := range n.keys(ctx, s.names.prefix+"{*/"+metric+"/*}"+countKind) {
			if err != nil {
				return false, err
			}
			found = slices.ContainsFunc(keys, func(key string) bool {
				text, ok := s.names.countTopic(key)
				topic, err := tally.ParseTopic(text)
				return ok && err == nil && topic.Metric() == metric
			})
			if found {
				break
			}
		}
	}
	if found {
		s.rules.dataSeen.Store(metric, time.Now())
	}
	return found, nil
}

// topicSample is a read of the topics with the highest counts.
type topicSample map[siteMetric]*redis.StringSliceCmd

func (s *Store) appendSample(ctx context.Context, pipe redis.Pipeliner, metrics ...string) topicSample {
	sample := topicSample{}
	for _, metric := range metrics {
		for _, site := range s.catalog.Sites() {
			b := siteMetric{site, metric}
			sample[b] = pipe.ZRange(ctx, s.names.top(b), 0, sampledTopics-1)
		}
	}
	return sample
}

// topics returns the topics of each metric.
func (sample topicSample) topics() (map[string][]tally.Topic, error) {
	topics := map[string][]tally.Topic{}
	for b, command := range sample {
		if err := command.Err(); err != nil {
			return nil, fmt.Errorf("find topics of metrics: %w", err)
		}
		for _, key := range command.Val() {
			if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
				topics[b.metric] = append(topics[b.metric], topic)
			}
		}
	}
	return topics, nil
}

// sampleTopics returns the topics of metrics with the highest counts, of each site.
func (s *Store) sampleTopics(ctx context.Context, metrics ...string) (map[string][]tally.Topic, error) {
	pipe := s.startClient.Pipeline()
	sample := s.appendSample(ctx, pipe, metrics...)
	_, _ = pipe.Exec(ctx) // each command has its own error
	return sample.topics()
}

// deduceRules returns the rules under which a release that did not store rules may have written the
// data of a metric; none if every rule is possible.
func (s *Store) deduceRules(ctx context.Context, metric string) (possible []tally.Rule, err error) {
	sampled, err := s.sampleTopics(ctx, metric)
	if err != nil {
		return nil, err
	}
	type sample struct {
		count   *redis.SliceCmd
		members *redis.ScanCmd
		shares  *redis.IntCmd
	}
	var samples []sample
	pipe := s.startClient.Pipeline()
	for _, topic := range sampled[metric] {
		samples = append(samples, sample{
			count:   pipe.HMGet(ctx, s.names.count(topic), "n", "s", "a"),
			members: pipe.HScan(ctx, s.names.members(topic), 0, "", sampledMembers),
			shares:  pipe.HLen(ctx, s.names.shares(topic)),
		})
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	amount, options, toggled, windowed, present := int64(0), 0, false, false, false
	for i, each := range samples {
		fields, err := fieldTexts(each.count)
		if err = cmp.Or(err, each.members.Err(), each.shares.Err()); isTopicError(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("deduce the rule of the metric %s: %w", metric, err)
		}
		if strings.Contains(fields[0], ",") {
			options = max(options, tally.Options(fields[0]).Len())
			continue
		}
		state, err := parseState(tally.Rule{}, sampled[metric][i], fields[0], "0", fields[1], fields[2])
		if err != nil {
			continue
		}
		members, _ := each.members.Val()
		for at := 0; at+1 < len(members); at += 2 {
			if len(members[at]) == memberBytes {
				value, _ := strconv.ParseInt(members[at+1], 10, 64)
				amount = max(amount, value)
			} else {
				toggled = true
			}
		}
		present = present || each.shares.Val() > 0
		if len(members) == 0 && state.Sum() > 0 {
			windowed = true // the members of ended windows expired
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

// memberBytes is the length of a field that is a member. Fields that are paths are shorter.
const memberBytes = 8
