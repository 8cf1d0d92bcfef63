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
	// usageWeighed is how many topics of a site are weighed: those with the highest
	// counts, and as many of the rest, at random, for all of it.
	usageWeighed = 500
	// Bytes of a topic and of a contribution where Redis does not tell, and of a topic's
	// entries in directory and leaderboard.
	topicBytes, contributionBytes, entryBytes = 400, 12, 300
)

// Usage implements [tally.Ledger]: it reads the counts of all topics, some microseconds
// of Redis each, and estimates what they take from some of each site. The journals are
// not in it: they end by themselves.
func (s *Store) Usage(ctx context.Context) ([]tally.SiteUsage, error) {
	sites := map[string]*survey{}
	err := s.scanTopics(ctx, tally.Scope{}, func(topics []tally.Topic) error {
		states, err := s.states(ctx, topics)
		if err != nil {
			return err
		}
		sized, err := s.sized(ctx, states)
		if err != nil {
			return err
		}
		for _, t := range sized {
			site := sites[t.topic.Site()]
			if site == nil {
				site = &survey{}
				sites[t.topic.Site()] = site
			}
			site.note(t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var usage []tally.SiteUsage
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		site := sites[name]
		highest, err := s.weigh(ctx, site.highest)
		if err != nil {
			return nil, err
		}
		others, err := s.weigh(ctx, site.others)
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

// sized is a topic and how many contributions it has.
type sized struct {
	topic         tally.Topic
	contributions int64
}

// sized counts the contributions of the topics that are there.
func (s *Store) sized(ctx context.Context, states []tally.State) (all []sized, err error) {
	var requests []redistopology.Request
	var which []int // of all, whose members are counted
	for _, state := range states {
		if state.Version == 0 {
			continue
		}
		if s.catalog.Rule(state.Topic).Kind == tally.Amount {
			many := redis.NewIntCmd(ctx, "hlen", s.names.members(state.Topic))
			requests = append(requests, redistopology.Request{Key: s.names.count(state.Topic), Commands: []redis.Cmder{many}})
			which = append(which, len(all))
		}
		all = append(all, sized{state.Topic, state.Count - state.Seed - state.Adjustment})
	}
	s.sendWithin(ctx, requests)
	for i, r := range requests {
		t := &all[which[i]]
		if t.contributions, err = r.Commands[0].(*redis.IntCmd).Result(); err != nil {
			return nil, tally.Unavailable(fmt.Errorf("usage of %s: %w", t.topic, err))
		}
	}
	return all, nil
}

// survey is what is known of a site's topics.
type survey struct {
	topics        int
	contributions int64
	highest       []sized // those with most contributions, the most first
	others        []sized // some of the rest
}

func (v *survey) note(t sized) {
	v.topics++
	v.contributions += t.contributions
	at, _ := slices.BinarySearchFunc(v.highest, t, func(a, b sized) int { return cmp.Compare(b.contributions, a.contributions) })
	if at < usageWeighed {
		if v.highest = slices.Insert(v.highest, at, t); len(v.highest) <= usageWeighed {
			return
		}
		t = v.highest[usageWeighed]
		v.highest = v.highest[:usageWeighed]
	}
	// Each of the rest is among the others with the same chance (Vitter's algorithm R).
	if len(v.others) < usageWeighed {
		v.others = append(v.others, t)
	} else if i := rand.IntN(v.topics - len(v.highest)); i < usageWeighed {
		v.others[i] = t
	}
}

// weigh has Redis say how much memory the topics take.
func (s *Store) weigh(ctx context.Context, topics []sized) (bytes int64, err error) {
	requests := make([]redistopology.Request, len(topics))
	for i, t := range topics {
		count, members := s.names.count(t.topic), s.names.members(t.topic)
		requests[i] = redistopology.Request{Key: count, Commands: []redis.Cmder{
			redis.NewIntCmd(ctx, "memory", "usage", count), redis.NewIntCmd(ctx, "memory", "usage", members),
		}}
	}
	s.sendWithin(ctx, requests)
	if err := ctx.Err(); err != nil {
		return 0, tally.Unavailable(err)
	}
	for i, t := range topics {
		told := int64(0)
		for _, command := range requests[i].Commands {
			told += command.(*redis.IntCmd).Val() // 0 where the key is missing, and where Redis forbids MEMORY
		}
		if told == 0 {
			told = topicBytes + contributionBytes*t.contributions
		}
		bytes += told + entryBytes
	}
	return bytes, nil
}
