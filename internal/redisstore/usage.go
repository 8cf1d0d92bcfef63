package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// topicBytes, contributionBytes and projectionBytes are the memory of a topic with one
	// contribution, of each further one, and of the topic's entries in directories and
	// leaderboard, in Redis 7.
	topicBytes, contributionBytes, projectionBytes = 400, 12, 400
	// largeTopic is the number of contributions from which on the store asks Redis for the memory
	// of a topic, since Redis stores larger hashes in another form. Few topics are large.
	largeTopic = 500
)

const (
	// usageLease is held by the instance that measures the usage.
	usageLease = "usage"
	// usageWait is the interval at which an instance checks for the usage that another measures.
	usageWait = time.Second
	// usageRetention is how long a measurement is stored.
	usageRetention = time.Hour
)

// sharedUsage is the usage as it is stored for all instances.
type sharedUsage struct {
	At    int64             `json:"at"`   // when the measurement began, milliseconds of Redis's clock
	Took  int64             `json:"took"` // milliseconds
	Sites []tally.SiteUsage `json:"sites"`
}

// Usage implements [tally.Ledger]. If several instances need the usage at the same time, one
// measures it. With maxAge 0 the measurement is not shared, since a command may know other sites.
func (s *Store) Usage(ctx context.Context, maxAge time.Duration) (tally.Usage, error) {
	if maxAge <= 0 {
		return s.measureUsage(ctx)
	}
	for {
		held, err := s.acquireLease(ctx, usageLease)
		if err != nil {
			return s.measureUsage(ctx) // Redis may be full, and the usage shows which sites fill it
		}
		if held {
			return s.usageUnderLease(ctx, maxAge)
		}
		usage, _, err := s.readUsage(ctx)
		if err != nil || usage.Age <= maxAge {
			return usage, err
		}
		if !sleep(ctx, usageWait) {
			return tally.Usage{}, tally.Unavailable(ctx.Err())
		}
	}
}

// usageUnderLease returns the stored usage, or measures and stores it. Then it releases the
// lease.
func (s *Store) usageUnderLease(ctx context.Context, maxAge time.Duration) (tally.Usage, error) {
	defer s.keepLease(usageLease)()
	usage, now, err := s.readUsage(ctx)
	if err != nil || usage.Age <= maxAge {
		return usage, err
	}
	usage, err = s.measureUsage(ctx)
	if err != nil {
		return tally.Usage{}, err
	}
	text, err := json.Marshal(sharedUsage{At: now.UnixMilli(), Took: usage.Took.Milliseconds(), Sites: usage.Sites})
	if err == nil {
		_ = s.client.Set(ctx, s.names.usage(), text, usageRetention).Err() // after a failure others measure it too
	}
	return usage, nil
}

// readUsage returns the stored usage and Redis's time. If no usage is stored, Age is the greatest
// duration.
func (s *Store) readUsage(ctx context.Context) (usage tally.Usage, now time.Time, err error) {
	usage.Age = math.MaxInt64
	pipe := s.client.Pipeline()
	stored, clock := pipe.Get(ctx, s.names.usage()), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return usage, now, tally.Unavailable(fmt.Errorf("read the usage: %w", err))
	}
	now = clock.Val()
	var shared sharedUsage
	if json.Unmarshal([]byte(stored.Val()), &shared) != nil {
		return usage, now, nil // it is measured again
	}
	usage.Sites, usage.Took = shared.Sites, time.Duration(shared.Took)*time.Millisecond
	usage.Age = now.Sub(time.UnixMilli(shared.At)).Abs() // Redis's clock may have been set back
	return usage, now, nil
}

// measureUsage reads the counts of all topics, which takes some microseconds of Redis for each. It
// estimates the memory of topics that are not large, and leaves out journals.
func (s *Store) measureUsage(ctx context.Context) (tally.Usage, error) {
	began := time.Now()
	sites := map[string]*tally.SiteUsage{}
	err := s.Topics(ctx, tally.Scope{}, func(topics []tally.Topic) error {
		states, err := s.states(ctx, topics)
		if err != nil {
			return err
		}
		return s.addUsage(ctx, sites, states)
	})
	if err != nil {
		return tally.Usage{}, err
	}
	var usage tally.Usage
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		usage.Sites = append(usage.Sites, *sites[name])
	}
	usage.Took = time.Since(began)
	usage.Age = usage.Took
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
		if state.Sum() >= largeTopic {
			memory[i] = pipe.MemoryUsage(ctx, key)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, state := range states {
		if state.Version == 0 {
			continue // it was deleted
		}
		contributions := state.Sum()
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
