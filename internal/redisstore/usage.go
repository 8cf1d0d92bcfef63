package redisstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// usageWeighed is how many topics of a site are weighed: all where there are no
	// more, else the half of them with the highest counts, and as many at random for
	// those that remain.
	usageWeighed = 1000
	// Bytes of a topic and of a contribution where Redis does not tell, and of a topic's
	// entries in directory and leaderboard.
	topicBytes, contributionBytes, entryBytes = 400, 12, 300
)

// weight is what some topics take up.
type weight struct {
	topics               int64
	contributions, bytes float64
}

// Usage implements [tally.Ledger]. Topics are those of the directories; the rest is an
// estimate where a site has more than usageWeighed. The journals are not in it: they end
// by themselves.
func (s *Store) Usage(ctx context.Context) ([]tally.SiteUsage, error) {
	var usage []tally.SiteUsage
	for _, site := range s.catalog.Sites() {
		u, err := s.usageOf(ctx, site)
		if err != nil {
			return nil, err
		}
		if u.Topics > 0 {
			usage = append(usage, u)
		}
	}
	return usage, nil
}

func (s *Store) usageOf(ctx context.Context, site string) (u tally.SiteUsage, err error) {
	name := s.names.directory(site)
	size := redis.NewIntCmd(ctx, "zcard", name)
	random := redis.NewStringSliceCmd(ctx, "zrandmember", name, usageWeighed/2)
	if err := s.ask(ctx, name, size, random); err != nil {
		return u, tally.Unavailable(fmt.Errorf("usage of %s: %w", site, err))
	}
	highest := usageWeighed / 2
	if size.Val() <= usageWeighed {
		highest = usageWeighed
	}
	order := tally.Listing{Scope: tally.Scope{Site: site}, Order: tally.ByCount, Limit: highest}
	if size.Val() <= usageWeighed {
		order.Order = tally.ByNewest
	}
	page, err := s.List(ctx, order)
	if err != nil {
		return u, err
	}
	weighed := map[tally.Topic]bool{}
	for _, state := range page.States {
		weighed[state.Topic] = true
	}
	high, err := s.weigh(ctx, page.States)
	if err != nil {
		return u, err
	}
	u = tally.SiteUsage{Site: site, Topics: high.topics, Contributions: int64(high.contributions), Bytes: int64(high.bytes)}
	if size.Val() <= usageWeighed {
		return u, nil
	}
	var others []tally.Topic
	for _, member := range random.Val() {
		if topic, err := tally.ParseTopic(site + "/" + member); err == nil && !weighed[topic] && s.editable(topic) == nil {
			others = append(others, topic)
		}
	}
	states, err := s.states(ctx, others)
	if err != nil {
		return u, err
	}
	low, err := s.weigh(ctx, slices.DeleteFunc(states, func(state tally.State) bool { return state.Version == 0 }))
	if err != nil {
		return u, err
	}
	u.Topics = size.Val()
	if low.topics > 0 {
		times := float64(u.Topics-high.topics) / float64(low.topics)
		u.Contributions += int64(low.contributions * times)
		u.Bytes += int64(low.bytes * times)
	}
	return u, nil
}

// weigh has Redis say how much memory the keys of topics take.
func (s *Store) weigh(ctx context.Context, states []tally.State) (w weight, err error) {
	for chunk := range slices.Chunk(states, readChunk) {
		requests := make([]request, len(chunk))
		for i, state := range chunk {
			requests[i].key = s.names.count(state.Topic)
			// Where MEMORY is forbidden, as hosted ones may have it, that is no reason to fail.
			for _, key := range []string{s.names.count(state.Topic), s.names.members(state.Topic)} {
				requests[i].commands = append(requests[i].commands, redis.NewIntCmd(ctx, "memory", "usage", key))
			}
			if s.catalog.Rule(state.Topic).Kind == tally.Amount {
				requests[i].commands = append(requests[i].commands, redis.NewIntCmd(ctx, "hlen", s.names.members(state.Topic)))
			}
		}
		step, cancel := context.WithTimeout(ctx, patience)
		s.send(step, requests, nil)
		cancel()
		for i, state := range chunk {
			contributions := float64(state.Count - state.Seed - state.Adjustment)
			commands := requests[i].commands
			if len(commands) == 3 {
				many, err := commands[2].(*redis.IntCmd).Result()
				if err != nil {
					return w, tally.Unavailable(fmt.Errorf("usage of %s: %w", state.Topic, err))
				}
				contributions = float64(many)
			}
			bytes := float64(0)
			for _, command := range commands[:2] {
				bytes += float64(command.(*redis.IntCmd).Val()) // 0 for a key that is missing
			}
			if bytes == 0 {
				bytes = topicBytes + contributionBytes*contributions
			}
			w.topics++
			w.contributions += contributions
			w.bytes += bytes + entryBytes
		}
	}
	return w, nil
}
