package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxWeighedTopics is of how many topics of a site the memory is measured: those with the
	// highest counts, and as many of the rest, at random.
	maxWeighedTopics = 500
	// topicBytes and contributionBytes are estimates if MEMORY is forbidden; projectionBytes
	// is that of a topic's entries in directory and leaderboard.
	topicBytes, contributionBytes, projectionBytes = 400, 12, 300
)

// Usage implements [tally.Ledger]. It reads the counts of all topics, some microseconds of
// Redis each, and estimates the memory of a site from some topics, without journals.
func (s *Store) Usage(ctx context.Context) ([]tally.SiteUsage, error) {
	sites := map[string]*siteSurvey{}
	err := s.scanTopics(ctx, tally.Scope{}, func(topics []tally.Topic) error {
		states, err := s.states(ctx, topics)
		if err != nil {
			return err
		}
		sized, err := s.topicSizes(ctx, states)
		if err != nil {
			return err
		}
		for _, t := range sized {
			site := sites[t.topic.Site()]
			if site == nil {
				site = &siteSurvey{}
				sites[t.topic.Site()] = site
			}
			site.add(t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var usage []tally.SiteUsage
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		site := sites[name]
		highest, err := s.memoryUsage(ctx, site.highest)
		if err != nil {
			return nil, err
		}
		others, err := s.memoryUsage(ctx, site.others)
		if err != nil {
			return nil, err
		}
		if rest := site.topics - len(site.highest); rest > len(site.others) {
			others = others * int64(rest) / int64(len(site.others))
		}
		usage = append(usage, tally.SiteUsage{
			Site: name, Topics: int64(site.topics), Contributions: site.contributions, Bytes: highest + others,
		})
	}
	return usage, nil
}

// topicSize is a topic and its number of contributions.
type topicSize struct {
	topic         tally.Topic
	contributions int64
}

// topicSizes returns the existing topics with their numbers of contributions.
func (s *Store) topicSizes(ctx context.Context, states []tally.State) (all []topicSize, err error) {
	var requests []redistopology.Request
	var counted []int // by request, the index in all
	for _, state := range states {
		if state.Version == 0 {
			continue
		}
		if s.catalog.Rule(state.Topic).Kind == tally.Amount {
			members := redis.NewIntCmd(ctx, "hlen", s.names.members(state.Topic))
			requests = append(requests, redistopology.Request{Key: s.names.count(state.Topic), Commands: []redis.Cmder{members}})
			counted = append(counted, len(all))
		}
		all = append(all, topicSize{state.Topic, state.Count - state.Seed - state.Adjustment})
	}
	s.sendBounded(ctx, requests)
	for i, r := range requests {
		t := &all[counted[i]]
		if t.contributions, err = r.Commands[0].(*redis.IntCmd).Result(); err != nil {
			return nil, tally.Unavailable(fmt.Errorf("usage of %s: %w", t.topic, err))
		}
	}
	return all, nil
}

// siteSurvey collects the topics of a site.
type siteSurvey struct {
	topics        int
	contributions int64
	highest       []topicSize // those with most contributions, in descending order
	others        []topicSize // a random sample of the rest
}

func (v *siteSurvey) add(t topicSize) {
	v.topics++
	v.contributions += t.contributions
	at, _ := slices.BinarySearchFunc(v.highest, t, func(a, b topicSize) int { return cmp.Compare(b.contributions, a.contributions) })
	if at < maxWeighedTopics {
		if v.highest = slices.Insert(v.highest, at, t); len(v.highest) <= maxWeighedTopics {
			return
		}
		t = v.highest[maxWeighedTopics]
		v.highest = v.highest[:maxWeighedTopics]
	}
	// Vitter's algorithm R: each of the rest is in others with the same probability.
	if len(v.others) < maxWeighedTopics {
		v.others = append(v.others, t)
	} else if i := rand.IntN(v.topics - len(v.highest)); i < maxWeighedTopics {
		v.others[i] = t
	}
}

// memoryUsage returns the memory of the topics, as MEMORY USAGE reports or estimated.
func (s *Store) memoryUsage(ctx context.Context, topics []topicSize) (bytes int64, err error) {
	requests := make([]redistopology.Request, len(topics))
	for i, t := range topics {
		count, members := s.names.count(t.topic), s.names.members(t.topic)
		requests[i] = redistopology.Request{Key: count, Commands: []redis.Cmder{
			redis.NewIntCmd(ctx, "memory", "usage", count), redis.NewIntCmd(ctx, "memory", "usage", members),
		}}
	}
	s.sendBounded(ctx, requests)
	if err := ctx.Err(); err != nil {
		return 0, tally.Unavailable(err)
	}
	for i, t := range topics {
		size := int64(0)
		for _, command := range requests[i].Commands {
			size += command.(*redis.IntCmd).Val() // 0 if the key is missing or MEMORY forbidden
		}
		if size == 0 {
			size = topicBytes + contributionBytes*t.contributions
		}
		bytes += size + projectionBytes
	}
	return bytes, nil
}
