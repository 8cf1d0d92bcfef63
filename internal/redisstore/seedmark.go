package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// SeedMark returns the highest number that [Store.SetSeedMark] stored, 0 without one. It
// falls only if Redis loses data.
func (s *Store) SeedMark(ctx context.Context) (int64, error) {
	mark := redis.NewFloatCmd(ctx, "zscore", s.names.seedMark(), seedMarkMember)
	err := s.ask(ctx, s.names.seedMark(), mark)
	if err != nil {
		return 0, tally.Unavailable(fmt.Errorf("read the mark of seeds: %w", err))
	}
	return int64(mark.Val()), nil
}

// SetSeedMark raises the number.
func (s *Store) SetSeedMark(ctx context.Context, mark int64) error {
	set := redis.NewIntCmd(ctx, "zadd", s.names.seedMark(), "gt", mark, seedMarkMember)
	if err := s.ask(ctx, s.names.seedMark(), set); err != nil {
		return tally.Unavailable(fmt.Errorf("store the mark of seeds: %w", err))
	}
	return nil
}

// seedMarkMember is the only member of a sorted set, whose command raises a number atomically.
const seedMarkMember = "mark"
