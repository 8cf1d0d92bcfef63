package tally

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// replicaTimeout is the part of answerTimeout that is left to read the replica after the store,
// which alone has the contributions, did not answer.
const replicaTimeout = 600 * time.Millisecond

// isStale reports whether a replica answers reads while the store is away.
func (s *Service) isStale() bool {
	store, ok := s.store.(Replicated)
	return ok && store.IsStale()
}

// Read returns the states of topics in their order and, unless visitor is empty, that
// visitor's contributions. While the store is away a replica answers, if there is one: then the
// readings are stale and have no contributions. Each reading has its own error. Errors of the
// call: [CodeBadVisitor], [CodeStoreUnavailable].
func (s *Service) Read(ctx context.Context, topics []Topic, visitor string) ([]Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if visitor == "" {
		return s.readCounts(ctx, topics), nil
	}
	if err := ValidateAnyVisitor(visitor); err != nil {
		return nil, err
	}
	store, isReplicated := s.store.(Replicated)
	if !isReplicated {
		return s.readMine(ctx, topics, visitor)
	}
	var mine []Reading // none if the store is away
	if !store.IsStale() {
		mineCtx, cancel := context.WithTimeout(ctx, answerTimeout-replicaTimeout)
		mine, _ = s.readMine(mineCtx, topics, visitor)
		cancel()
		if mine != nil && !slices.ContainsFunc(mine, func(r Reading) bool { return IsUnavailable(r.Err) }) {
			return mine, nil
		}
	}
	readings := s.readCounts(ctx, topics)
	for i := range readings {
		readings[i].IsStale = true // also if only the contribution is unknown
		if mine != nil && mine[i].Err == nil {
			readings[i] = mine[i]
		}
	}
	return readings, nil
}

// readCounts reads topics without contributions.
func (s *Service) readCounts(ctx context.Context, topics []Topic) []Reading {
	queries := make([]Query, len(topics))
	for i, topic := range topics {
		queries[i].Topic = topic
	}
	return s.store.Read(ctx, queries)
}

// readMine reads topics with the contributions of a visitor, which may be under an alias.
func (s *Service) readMine(ctx context.Context, topics []Topic, visitor string) ([]Reading, error) {
	hasher, err := s.currentHasher()
	if err != nil {
		return nil, err
	}
	current, err := s.currentSettings(ctx)
	if err != nil {
		return nil, err
	}
	queries := make([]Query, len(topics))
	var aliasOf []int // for each query of an alias, which follow those of topics: index in topics
	for i, topic := range topics {
		queries[i] = Query{Topic: topic, Member: hasher.Member(topic, visitor)}
		for _, alias := range current.aliases[topic].topics {
			queries = append(queries, Query{Topic: topic, Member: hasher.Member(alias, visitor)})
			aliasOf = append(aliasOf, i)
		}
	}
	readings := s.store.Read(ctx, queries)
	for i, alias := range readings[len(topics):] {
		own := &readings[aliasOf[i]]
		if alias.Err != nil {
			own.Err = cmp.Or(own.Err, alias.Err)
		}
		if own.Err != nil || own.Mine > 0 && s.catalog.Rule(own.Change.Topic).Kind == Choice {
			continue // the topic's own option
		}
		own.Mine = max(own.Mine, alias.Mine)
	}
	return readings[:len(topics)], nil
}
