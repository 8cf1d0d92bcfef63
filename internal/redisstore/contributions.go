package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// contributionChunk is how many topics one pipeline looks at: half a millisecond of Redis.
const contributionChunk = 128

// Contributions implements [tally.Ledger]. It reads one bucket of most topics: their members are
// not divided, or it has the amount.
func (s *Store) Contributions(ctx context.Context, queries []tally.Query) ([]int64, error) {
	amounts := make([]int64, len(queries))
	all := make([]int, len(queries))
	for i := range all {
		all[i] = i
	}
	for chunk := range slices.Chunk(all, contributionChunk) {
		began := time.Now()
		divided, err := s.readContributions(ctx, queries, amounts, chunk, 0, 1)
		if err == nil && len(divided) > 0 {
			_, err = s.readContributions(ctx, queries, amounts, divided, 1, pathDigits+1)
		}
		if err == nil {
			err = s.giveWay(ctx, began)
		}
		if err != nil {
			return nil, err
		}
	}
	return amounts, nil
}

// readContributions sets the amounts of the queries at some indexes by the fields from first up to
// end, but not including it. It returns the indexes of those that may have other fields.
func (s *Store) readContributions(ctx context.Context, queries []tally.Query, amounts []int64, chunk []int, first, end int) (others []int, err error) {
	found := make([]*redis.SliceCmd, len(chunk))
	pipe := s.client.Pipeline()
	for n, i := range chunk {
		q := queries[i]
		found[n] = pipe.HMGet(ctx, s.names.members(q.Topic), memberFields(s.catalog.Rule(q.Topic), q.Member)[first:end]...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for n, i := range chunk {
		rule := s.catalog.Rule(queries[i].Topic)
		values, err := found[n].Result()
		if err == nil {
			amounts[i], err = memberAmount(rule, queries[i].Member, values)
		}
		if err != nil {
			return nil, unreadable(queries[i].Topic, err).Err
		}
		if values[0] == nil && rule.Kind != tally.Amount {
			others = append(others, i)
		}
	}
	return others, nil
}
