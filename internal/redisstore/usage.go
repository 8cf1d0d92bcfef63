package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// topicBytes, contributionBytes and projectionBytes are the memory of a topic with one
	// contribution, of each further one, and of the topic's entries in directory and
	// leaderboard, in Redis 7.
	topicBytes, contributionBytes, projectionBytes = 400, 12, 300
	// largeTopic is the number of contributions from which Redis is asked for the memory: by
	// default it stores larger hashes of amounts otherwise. Few topics are large.
	largeTopic = 500
)

// Usage implements [tally.Ledger]. It reads the counts of all topics, some microseconds of
// Redis each, and estimates the memory of topics that are not large, and without journals.
func (s *Store) Usage(ctx context.Context) ([]tally.SiteUsage, error) {
	sites := map[string]*tally.SiteUsage{}
	err := s.scanTopics(ctx, tally.Scope{}, func(topics []tally.Topic) error {
		states, err := s.states(ctx, topics)
		if err != nil {
			return err
		}
		return s.addUsage(ctx, sites, states)
	})
	if err != nil {
		return nil, err
	}
	var usage []tally.SiteUsage
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		usage = append(usage, *sites[name])
	}
	return usage, nil
}

// addUsage adds topics to the usage of their sites.
func (s *Store) addUsage(ctx context.Context, sites map[string]*tally.SiteUsage, states []tally.State) error {
	members, memory := make([]*redis.IntCmd, len(states)), make([]*redis.IntCmd, len(states))
	pipe := s.client.Pipeline()
	for i, state := range states {
		key := s.names.members(state.Topic)
		if s.catalog.Rule(state.Topic).Kind == tally.Amount {
			members[i] = pipe.HLen(ctx, key)
		}
		if contributed(state) >= largeTopic {
			memory[i] = pipe.MemoryUsage(ctx, key)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, state := range states {
		if state.Version == 0 {
			continue // it was deleted
		}
		contributions := contributed(state)
		if members[i] != nil {
			if err := members[i].Err(); err != nil {
				return tally.Unavailable(fmt.Errorf("usage of %s: %w", state.Topic, err))
			}
			contributions = members[i].Val()
		}
		bytes := contributionBytes * contributions
		if m := memory[i]; m != nil && m.Err() == nil { // else there are no members, or MEMORY is forbidden
			bytes = m.Val()
		}
		site := sites[state.Topic.Site()]
		if site == nil {
			site = &tally.SiteUsage{Site: state.Topic.Site()}
			sites[site.Site] = site
		}
		site.Topics++
		site.Contributions += contributions
		site.Bytes += topicBytes + projectionBytes + bytes
	}
	return nil
}

// contributed returns the sum of contributions.
func contributed(state tally.State) int64 { return state.Count - state.Seed - state.Adjustment }
