package redisstore

import (
	"cmp"
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
		if r.Err == nil && r.Change.Version == 0 && !s.isPresence(r.Change.Topic) {
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
	pipe := s.client.Pipeline()
	for i, at := range missing {
		versions[i] = pipe.Get(ctx, s.names.deleted(readings[at].Change.Topic))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, at := range missing {
		version, err := versions[i].Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			readings[at] = unreadable(readings[at].Change.Topic, err)
			continue
		}
		readings[at].Change.Version = version
	}
}

func unreadable(topic tally.Topic, err error) tally.Reading {
	return tally.Reading{Change: tally.Change{Topic: topic}, Err: tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))}
}

// readStored is [Store.Read] with version 0 for all missing topics.
func (s *Store) readStored(ctx context.Context, queries []tally.Query) []tally.Reading {
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	readings := make([]tally.Reading, 0, len(queries))
	for chunk := range slices.Chunk(queries, readChunk) {
		readings = s.appendReadings(ctx, readings, chunk)
	}
	return readings
}

// topicRead is the commands that read one topic; unnecessary ones are nil.
type topicRead struct {
	count   *redis.SliceCmd
	members *redis.SliceCmd
	shares  *redis.MapStringStringCmd
	clock   *redis.TimeCmd // of the node that has the shares
}

func (s *Store) appendReadings(ctx context.Context, readings []tally.Reading, queries []tally.Query) []tally.Reading {
	reads := make([]topicRead, len(queries))
	pipe := s.client.Pipeline()
	for i, q := range queries {
		r := &reads[i]
		r.count = pipe.HMGet(ctx, s.names.count(q.Topic), "n", "v")
		switch rule := s.catalog.Rule(q.Topic); {
		case rule.Kind == tally.Presence:
			r.shares, r.clock = pipe.HGetAll(ctx, s.names.shares(q.Topic)), pipe.Time(ctx)
		case q.Member == 0:
		case rule.Kind == tally.Amount:
			r.members = pipe.HMGet(ctx, s.names.members(q.Topic), memberKey(q.Member))
		default:
			r.members = pipe.HMGet(ctx, s.names.members(q.Topic), bucketPaths(q.Member)...)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, q := range queries {
		reading, err := s.parseReading(q, &reads[i])
		if err != nil {
			reading = unreadable(q.Topic, err)
		}
		readings = append(readings, reading)
	}
	return readings
}

func (s *Store) parseReading(q tally.Query, read *topicRead) (r tally.Reading, err error) {
	rule := s.catalog.Rule(q.Topic)
	texts, err := fieldTexts(read.count)
	if err != nil {
		return r, err
	}
	state, err := parseState(rule, q.Topic, texts[0], texts[1], "0", "0")
	if err != nil {
		return r, err
	}
	r.Change = state.Change
	if read.shares != nil {
		r.Change.Count = sumShares(read.shares.Val(), read.clock.Val().UnixMilli())
		return r, cmp.Or(read.shares.Err(), read.clock.Err())
	}
	if read.members == nil {
		return r, nil
	}
	if rule.Kind == tally.Amount {
		if texts, err = fieldTexts(read.members); err == nil {
			r.Mine, _, err = parseNumbers(rule, texts[0])
		}
		return r, err
	}
	member := memberKey(q.Member)
	for _, value := range read.members.Val() {
		if bucket, ok := value.(string); ok {
			r.Mine = max(r.Mine, bucketAmount(rule, bucket, member))
		}
	}
	return r, read.members.Err()
}

var errNotNumber = errors.New("the stored value is not a number")

// fieldTexts returns the values of HMGET; a missing one is "0".
func fieldTexts(command *redis.SliceCmd) ([]string, error) {
	values, err := command.Result()
	texts := make([]string, len(values))
	for i, value := range values {
		if texts[i] = "0"; value != nil {
			texts[i], _ = value.(string)
		}
	}
	return texts, err
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

// parseState parses what a topic's hash has of its state.
func parseState(rule tally.Rule, topic tally.Topic, count, version, seed, adjustment string) (s tally.State, err error) {
	var errs [4]error
	s.Topic = topic
	s.Count, s.Options, errs[0] = parseNumbers(rule, count)
	rule.Max = max(rule.Max, int64(s.Options.Len())) // another instance may have more options
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
