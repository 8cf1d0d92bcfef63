package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// seedMarks has the seed mark that the last probe read, so that readers need no command.
type seedMarks struct {
	mu sync.Mutex
	// Guarded by mu.
	followed bool // whether a session of the node with the mark runs
	known    bool // whether a probe of that session read the mark
	mark     int64
	sets     int // how often this instance stored the mark
}

// begin returns the argument began of review, which ignores a probe that began before a call of set:
// it may have read the earlier mark.
func (m *seedMarks) begin() (sets int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sets
}

// review stores the mark that a probe read.
func (m *seedMarks) review(began int, reply any) error {
	mark, err := parseMark(reply)
	if err != nil {
		return fmt.Errorf("read the seed mark: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.followed && m.sets == began {
		m.known, m.mark = true, mark
	}
	return nil
}

// follow records whether a session runs whose probes read the mark. If not, SeedMark reads it in the
// store.
func (m *seedMarks) follow(isFollowed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.followed, m.known = isFollowed, false
}

func (m *seedMarks) get() (mark int64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark, m.known
}

// set records that this instance stored mark.
func (m *seedMarks) set(mark int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	m.mark = max(m.mark, mark)
}

// SeedMark returns the greatest number that [Store.SetSeedMark] stored; 0 if there is none. It falls
// only if Redis loses data, which the next probe discovers.
func (s *Store) SeedMark(ctx context.Context) (int64, error) {
	if mark, known := s.seeds.get(); known {
		return mark, nil
	}
	mark, err := s.client.ZScore(ctx, s.names.seedMark(), seedMarkMember).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, tally.Unavailable(fmt.Errorf("read the seed mark: %w", err))
	}
	return int64(mark), nil
}

// SetSeedMark stores mark unless the stored one is greater.
func (s *Store) SetSeedMark(ctx context.Context, mark int64) error {
	if err := s.client.ZAddGT(ctx, s.names.seedMark(), redis.Z{Score: float64(mark), Member: seedMarkMember}).Err(); err != nil {
		return tally.Unavailable(fmt.Errorf("store the seed mark: %w", err))
	}
	s.seeds.set(mark)
	return nil
}

// seedMarkMember is the only member of a sorted set: ZADD GT raises a number atomically.
const seedMarkMember = "mark"
