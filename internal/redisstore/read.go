package redisstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// readChunk is how many topics one pipeline reads, so that a long list neither
// holds Redis up nor fills its output buffers.
const readChunk = 500

// Read implements [tally.Store]. The count is read before the contribution, so
// that what the latter has in advance arrives as a publication. Of topics that are missing
// it reads the end afterwards.
func (s *Store) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	readings := s.readStored(ctx, queries)
	var missing []int
	for i, r := range readings {
		if r.Err == nil && r.Change.Version == 0 && s.catalog.Rule(r.Change.Topic).Kind != tally.Presence {
			missing = append(missing, i)
		}
	}
	for chunk := range slices.Chunk(missing, readChunk) {
		s.readEnds(ctx, readings, chunk)
	}
	return readings
}

// readEnds reads the final versions of the topics whose readings are at missing.
func (s *Store) readEnds(ctx context.Context, readings []tally.Reading, missing []int) {
	ends := make([]*redis.StringCmd, len(missing))
	requests := make([]redistopology.Request, len(missing))
	for i, at := range missing {
		key := s.names.deleted(readings[at].Change.Topic)
		ends[i] = redis.NewStringCmd(ctx, "get", key)
		requests[i] = redistopology.Request{Key: key, Commands: []redis.Cmder{ends[i]}}
	}
	s.topology.Send(ctx, requests)
	for i, at := range missing {
		version, err := ends[i].Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			topic := readings[at].Change.Topic
			readings[at] = tally.Reading{Change: tally.Change{Topic: topic}, Err: tally.Unavailable(fmt.Errorf("read the end of %s: %w", topic, err))}
			continue
		}
		readings[at].Change.Version = version
	}
}

// readStored answers the queries as [Store.Read] does, but version 0 for every topic
// that is missing.
func (s *Store) readStored(ctx context.Context, queries []tally.Query) []tally.Reading {
	readings := make([]tally.Reading, len(queries))
	for i := range queries {
		readings[i].Change.Topic = queries[i].Topic
	}
	if err := s.checkUsable(); err != nil {
		for i := range readings {
			readings[i].Err = err
		}
		return readings
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	for from := 0; from < len(queries); from += readChunk {
		to := min(from+readChunk, len(queries))
		s.readChunk(ctx, queries[from:to], readings[from:to])
	}
	return readings
}

// lookup is the commands that read one topic; those not needed are nil.
type lookup struct {
	count   *redis.SliceCmd
	members *redis.SliceCmd
	shares  *redis.MapStringStringCmd
	clock   *redis.TimeCmd // of the node that has the shares
}

func (s *Store) readChunk(ctx context.Context, queries []tally.Query, readings []tally.Reading) {
	lookups := make([]lookup, len(queries))
	requests := make([]redistopology.Request, len(queries))
	for i, q := range queries {
		l := &lookups[i]
		count := s.names.count(q.Topic)
		l.count = redis.NewSliceCmd(ctx, "hmget", count, "n", "v")
		r := redistopology.Request{Key: count, Commands: []redis.Cmder{l.count}}
		switch rule := s.catalog.Rule(q.Topic); {
		case rule.Kind == tally.Presence:
			l.shares = redis.NewMapStringStringCmd(ctx, "hgetall", s.names.shares(q.Topic))
			l.clock = redis.NewTimeCmd(ctx, "time")
			r.Commands = append(r.Commands, l.shares, l.clock)
		case q.Member == 0:
		case rule.Kind == tally.Amount:
			l.members = redis.NewSliceCmd(ctx, "hmget", s.names.members(q.Topic), rawMember(q.Member))
			r.Commands = append(r.Commands, l.members)
		default:
			args := append(make([]any, 0, 2+pathDigits+1), "hmget", s.names.members(q.Topic))
			for _, path := range paths(q.Member) {
				args = append(args, path)
			}
			l.members = redis.NewSliceCmd(ctx, args...)
			r.Commands = append(r.Commands, l.members)
		}
		requests[i] = r
	}
	s.topology.Send(ctx, requests)
	for i, q := range queries {
		if err := s.reading(q, &lookups[i], &readings[i]); err != nil {
			readings[i] = tally.Reading{
				Change: tally.Change{Topic: q.Topic},
				Err:    tally.Unavailable(fmt.Errorf("read %s: %w", q.Topic, err)),
			}
		}
	}
}

func (s *Store) reading(q tally.Query, l *lookup, r *tally.Reading) error {
	values, err := l.count.Result()
	if err != nil {
		return err
	}
	if r.Change.Count, err = number(values, 0); err != nil {
		return err
	}
	if r.Change.Version, err = number(values, 1); err != nil {
		return err
	}
	if l.shares != nil {
		now, err := l.clock.Result()
		if err != nil {
			return err
		}
		shares, err := l.shares.Result()
		if err != nil {
			return err
		}
		r.Change.Count = pages(shares, now.UnixMilli())
		return nil
	}
	if l.members == nil {
		return nil
	}
	if values, err = l.members.Result(); err != nil {
		return err
	}
	if s.catalog.Rule(q.Topic).Kind == tally.Amount {
		r.Mine, err = number(values, 0)
		return err
	}
	member := rawMember(q.Member)
	for _, value := range values {
		if bucket, ok := value.(string); ok && holds(bucket, member) {
			r.Mine = 1
		}
	}
	return nil
}

var errNoNumber = errors.New("what is stored is no number")

// number reads the i-th of the values of HMGET: 0 where it is missing.
func number(values []any, i int) (int64, error) {
	if i >= len(values) || values[i] == nil {
		return 0, nil
	}
	text, _ := values[i].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", errNoNumber, text)
	}
	return n, nil
}

// rawMember returns the 8 bytes under which a member is stored.
func rawMember(member tally.Member) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(member))
	return string(raw[:])
}

// paths returns the names of all buckets in which a member may be, see apply.lua.
func paths(member tally.Member) []string {
	raw := rawMember(member)
	digits := hex.EncodeToString([]byte(raw[:pathDigits/2]))
	paths := make([]string, pathDigits+1)
	for i := range paths {
		paths[i] = digits[:i]
	}
	return paths
}

// holds tells whether member is one of the 8-byte members of bucket.
func holds(bucket, member string) bool {
	for len(bucket) >= 8 {
		if bucket[:8] == member {
			return true
		}
		bucket = bucket[8:]
	}
	return false
}

// pages returns the sum of the shares that have not ended at now, in milliseconds.
func pages(shares map[string]string, now int64) (sum int64) {
	for _, share := range shares {
		held, until, _ := strings.Cut(share, " ")
		n, err1 := strconv.ParseInt(held, 10, 64)
		expires, err2 := strconv.ParseInt(until, 10, 64)
		if err1 == nil && err2 == nil && expires > now {
			sum += n
		}
	}
	return sum
}
