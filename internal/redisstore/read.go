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

// readChunk is how many topics one pipeline reads: a long list must not delay others or
// fill Redis's output buffers.
const readChunk = 500

// Read implements [tally.Store]. It reads the count before the contribution: if the latter
// is newer, a publication with its count follows. For missing topics it then reads the
// version at which they were deleted.
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
		s.readDeleted(ctx, readings, chunk)
	}
	return readings
}

// readDeleted reads the versions at which the topics of the missing readings were deleted.
func (s *Store) readDeleted(ctx context.Context, readings []tally.Reading, missing []int) {
	versions := make([]*redis.StringCmd, len(missing))
	requests := make([]redistopology.Request, len(missing))
	for i, at := range missing {
		key := s.names.deleted(readings[at].Change.Topic)
		versions[i] = redis.NewStringCmd(ctx, "get", key)
		requests[i] = redistopology.Request{Key: key, Commands: []redis.Cmder{versions[i]}}
	}
	s.topology.Send(ctx, requests)
	for i, at := range missing {
		version, err := versions[i].Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			topic := readings[at].Change.Topic
			readings[at] = tally.Reading{Change: tally.Change{Topic: topic}, Err: tally.Unavailable(fmt.Errorf("read when %s was deleted: %w", topic, err))}
			continue
		}
		readings[at].Change.Version = version
	}
}

// readStored is [Store.Read] with version 0 for all missing topics.
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
		s.readTopics(ctx, queries[from:to], readings[from:to])
	}
	return readings
}

// topicRead is the commands that read one topic; unnecessary ones are nil.
type topicRead struct {
	count   *redis.SliceCmd
	members *redis.SliceCmd
	shares  *redis.MapStringStringCmd
	clock   *redis.TimeCmd // of the node that has the shares

	all [3]redis.Cmder // room for those that are not nil
}

func (s *Store) readTopics(ctx context.Context, queries []tally.Query, readings []tally.Reading) {
	lookups := make([]topicRead, len(queries))
	requests := make([]redistopology.Request, len(queries))
	for i, q := range queries {
		l := &lookups[i]
		count := s.names.count(q.Topic)
		l.count = redis.NewSliceCmd(ctx, "hmget", count, "n", "v")
		r := redistopology.Request{Key: count, Commands: append(l.all[:0], l.count)}
		switch rule := s.catalog.Rule(q.Topic); {
		case rule.Kind == tally.Presence:
			l.shares = redis.NewMapStringStringCmd(ctx, "hgetall", s.names.shares(q.Topic))
			l.clock = redis.NewTimeCmd(ctx, "time")
			r.Commands = append(r.Commands, l.shares, l.clock)
		case q.Member == 0:
		case rule.Kind == tally.Amount:
			l.members = redis.NewSliceCmd(ctx, "hmget", s.names.members(q.Topic), memberKey(q.Member))
			r.Commands = append(r.Commands, l.members)
		default:
			args := append(make([]any, 0, 2+pathDigits+1), "hmget", s.names.members(q.Topic))
			for _, path := range bucketPaths(q.Member) {
				args = append(args, path)
			}
			l.members = redis.NewSliceCmd(ctx, args...)
			r.Commands = append(r.Commands, l.members)
		}
		requests[i] = r
	}
	s.topology.Send(ctx, requests)
	for i, q := range queries {
		if err := s.parseReading(q, &lookups[i], &readings[i]); err != nil {
			readings[i] = tally.Reading{
				Change: tally.Change{Topic: q.Topic},
				Err:    tally.Unavailable(fmt.Errorf("read %s: %w", q.Topic, err)),
			}
		}
	}
}

func (s *Store) parseReading(q tally.Query, l *topicRead, r *tally.Reading) error {
	values, err := l.count.Result()
	if err != nil {
		return err
	}
	rule := s.catalog.Rule(q.Topic)
	if r.Change.Count, r.Change.Options, err = parseNumbersField(rule, values, 0); err != nil {
		return err
	}
	if r.Change.Version, err = parseField(values, 1); err != nil {
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
		r.Change.Count = sumShares(shares, now.UnixMilli())
		return nil
	}
	if l.members == nil {
		return nil
	}
	if values, err = l.members.Result(); err != nil {
		return err
	}
	if rule.Kind == tally.Amount {
		r.Mine, err = parseField(values, 0)
		return err
	}
	member := memberKey(q.Member)
	for _, value := range values {
		if bucket, ok := value.(string); ok {
			r.Mine = max(r.Mine, bucketAmount(rule, bucket, member))
		}
	}
	return nil
}

var errNotNumber = errors.New("the stored value is not a number")

// parseField parses the i-th value of HMGET; a missing one is 0.
func parseField(values []any, i int) (int64, error) {
	if i >= len(values) || values[i] == nil {
		return 0, nil
	}
	text, _ := values[i].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", errNotNumber, text)
	}
	return n, nil
}

// parseNumbers parses a topic's count, seed or adjustment as scripts keep it, see
// script/part/numbers.lua.
func parseNumbers(rule tally.Rule, text string) (n int64, options tally.Options, err error) {
	if rule.Kind != tally.Choice {
		n, err = strconv.ParseInt(text, 10, 64)
	} else if options, err = tally.ParseOptions(text); err == nil {
		options = rule.Pad(options)
		n = options.Sum()
	}
	if err != nil {
		err = fmt.Errorf("%w: %q", errNotNumber, text)
	}
	return n, options, err
}

// parseNumbersField is parseNumbers for the i-th value of HMGET; a missing one is 0.
func parseNumbersField(rule tally.Rule, values []any, i int) (n int64, options tally.Options, err error) {
	if i >= len(values) || values[i] == nil {
		return 0, rule.NoOptions(), nil
	}
	text, _ := values[i].(string)
	return parseNumbers(rule, text)
}

// parseState parses what a topic's hash has of its state.
func parseState(rule tally.Rule, topic tally.Topic, count, version, seed, adjustment string) (s tally.State, err error) {
	var errs [4]error
	s.Topic = topic
	s.Count, s.Options, errs[0] = parseNumbers(rule, count)
	s.Version, errs[1] = strconv.ParseInt(version, 10, 64)
	s.Seed, s.SeedOptions, errs[2] = parseNumbers(rule, seed)
	s.Adjustment, s.AdjustmentOptions, errs[3] = parseNumbers(rule, adjustment)
	return s, errors.Join(errs[:]...)
}

// memberKey returns the 8 bytes that a member is stored as.
func memberKey(member tally.Member) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(member))
	return string(raw[:])
}

// bucketPaths returns the paths of all buckets that may have the member, see apply.lua.
func bucketPaths(member tally.Member) []string {
	raw := memberKey(member)
	digits := hex.EncodeToString([]byte(raw[:pathDigits/2]))
	paths := make([]string, pathDigits+1)
	for i := range paths {
		paths[i] = digits[:i]
	}
	return paths
}

// recordBytes returns the bytes of a member in a bucket: its 8, and of a choice the option.
func recordBytes(rule tally.Rule) int {
	if rule.Kind == tally.Choice {
		return memberBytes + 1
	}
	return memberBytes
}

// recordAmount returns the contribution in the record of a member.
func recordAmount(record string) int64 {
	if len(record) > memberBytes {
		return int64(record[memberBytes])
	}
	return 1
}

// bucketAmount returns the contribution that the 8-byte member has in bucket; 0: none.
func bucketAmount(rule tally.Rule, bucket, member string) int64 {
	for size := recordBytes(rule); len(bucket) >= size; bucket = bucket[size:] {
		if bucket[:memberBytes] == member {
			return recordAmount(bucket[:size])
		}
	}
	return 0
}

// sumShares returns the sum of the shares that have not expired at now, in milliseconds.
func sumShares(shares map[string]string, now int64) (sum int64) {
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
