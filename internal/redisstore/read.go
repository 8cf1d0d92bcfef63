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

// readChunk is how many topics one call reads: Redis takes a millisecond or two for it. A long
// list must not delay others or fill Redis's output buffers.
const readChunk = 1000

// Read implements [tally.Store].
func (s *Store) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	return s.read(ctx, s.reader, queries, true, marker{})
}

// readStored is [Store.Read] with version 0 for topics that were deleted.
func (s *Store) readStored(ctx context.Context, queries []tally.Query) []tally.Reading {
	return s.read(ctx, s.reader, queries, false, marker{})
}

func unreadable(topic tally.Topic, err error) tally.Reading {
	return tally.Reading{Change: tally.Change{Topic: topic}, Err: tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))}
}

// marker is a message that a read publishes. The zero value is none. In a Cluster none is
// published.
type marker struct{ channel, message string }

// read reads topics. A deleted topic has the version of its deletion if withDeleted is true,
// otherwise 0. Each call of a script publishes m.
func (s *Store) read(ctx context.Context, from reader, queries []tally.Query, withDeleted bool, m marker) []tally.Reading {
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	readings := make([]tally.Reading, 0, len(queries))
	for chunk := range slices.Chunk(queries, readChunk) {
		readings = s.appendReadings(ctx, from, readings, chunk, withDeleted, m)
	}
	return readings
}

func (s *Store) appendReadings(ctx context.Context, from reader, readings []tally.Reading, queries []tally.Query, withDeleted bool, m marker) []tally.Reading {
	if err := s.checkUsable(); err != nil {
		for _, q := range queries {
			readings = append(readings, unreadable(q.Topic, err))
		}
		return readings
	}
	if from.topology.IsCluster() {
		return s.appendClusterReadings(ctx, readings, queries, withDeleted)
	}
	calls := []redistopology.Call{s.readCall(queries, m)}
	from.topology.Call(ctx, calls)
	return s.appendReplies(readings, queries, &calls[0], withDeleted)
}

// clusterRead is the commands that read a topic in a Cluster; unnecessary ones are nil.
type clusterRead struct {
	state, members *redis.SliceCmd
	shares         *redis.MapStringStringCmd
	clock          *redis.TimeCmd // of the node that has the shares
	deleted        *redis.StringCmd
}

// appendClusterReadings reads with commands of one key each: while a slot moves, Redis refuses
// a script with a key that exists and one that does not.
func (s *Store) appendClusterReadings(ctx context.Context, readings []tally.Reading, queries []tally.Query, withDeleted bool) []tally.Reading {
	reads := make([]clusterRead, len(queries))
	pipe := s.client.Pipeline()
	for i, q := range queries {
		r, rule := &reads[i], s.catalog.Rule(q.Topic)
		r.state = pipe.HMGet(ctx, s.names.count(q.Topic), "n", "v")
		if rule.Kind == tally.Presence {
			r.shares, r.clock = pipe.HGetAll(ctx, s.names.shares(q.Topic)), pipe.Time(ctx)
			continue
		}
		if q.Member != 0 {
			r.members = pipe.HMGet(ctx, s.names.members(q.Topic), memberFields(rule, q.Member)...)
		}
		if withDeleted {
			r.deleted = pipe.Get(ctx, s.names.deleted(q.Topic))
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, q := range queries {
		var reading tally.Reading
		clock, reply, err := reads[i].reply()
		if err == nil {
			reading, err = s.parseReading(q, clock, reply, withDeleted)
		}
		if err != nil {
			reading = unreadable(q.Topic, err)
		}
		readings = append(readings, reading)
	}
	return readings
}

// reply returns the clock and the reply to one query, as script/read.lua returns them.
func (r *clusterRead) reply() (clock, reply any, err error) {
	values, err := r.state.Result()
	if err != nil {
		return nil, nil, err
	}
	if r.shares != nil {
		var shares []any
		for instance, share := range r.shares.Val() {
			shares = append(shares, instance, share)
		}
		clock = strconv.FormatInt(r.clock.Val().UnixMilli(), 10)
		return clock, append(values, shares), cmp.Or(r.shares.Err(), r.clock.Err())
	}
	var deleted any
	if r.deleted != nil && !errors.Is(r.deleted.Err(), redis.Nil) {
		deleted, err = r.deleted.Val(), r.deleted.Err()
	}
	values = append(values, deleted)
	if r.members != nil {
		values, err = append(values, r.members.Val()...), cmp.Or(err, r.members.Err())
	}
	return nil, values, err
}

// readCall returns a call that answers queries and publishes m.
func (s *Store) readCall(queries []tally.Query, m marker) redistopology.Call {
	var keys []string
	args := append(make([]any, 0, 2+len(queries)), m.channel, m.message)
	for _, q := range queries {
		rule := s.catalog.Rule(q.Topic)
		if rule.Kind == tally.Presence {
			keys, args = append(keys, s.names.count(q.Topic), s.names.shares(q.Topic)), append(args, -1)
			continue
		}
		keys = append(keys, s.names.count(q.Topic), s.names.deleted(q.Topic))
		var fields []string
		if q.Member != 0 {
			keys = append(keys, s.names.members(q.Topic))
			fields = memberFields(rule, q.Member)
		}
		args = append(args, len(fields))
		for _, field := range fields {
			args = append(args, field)
		}
	}
	c := redistopology.NewCall(readScript, keys...)
	c.Append(args...)
	return c
}

// memberFields returns the fields that may have the contribution of a member.
func memberFields(rule tally.Rule, member tally.Member) []string {
	if rule.Kind == tally.Amount {
		return []string{memberKey(member)}
	}
	return bucketPaths(member)
}

// appendReplies appends the readings of one call.
func (s *Store) appendReplies(readings []tally.Reading, queries []tally.Query, c *redistopology.Call, withDeleted bool) []tally.Reading {
	replies, _ := c.Reply.([]any)
	err := c.Err
	if err == nil && len(replies) != 1+len(queries) {
		err = unexpectedReply(c)
	}
	for i, q := range queries {
		var reading tally.Reading
		failed := err
		if failed == nil {
			reading, failed = s.parseReading(q, replies[0], replies[1+i], withDeleted)
		}
		if failed != nil {
			reading = unreadable(q.Topic, failed)
		}
		readings = append(readings, reading)
	}
	return readings
}

func (s *Store) parseReading(q tally.Query, clock, reply any, withDeleted bool) (r tally.Reading, err error) {
	rule := s.catalog.Rule(q.Topic)
	if text, failed := reply.(string); failed {
		return r, replyError(text)
	}
	values, _ := reply.([]any)
	if len(values) < 3 {
		return r, fmt.Errorf("unexpected reply of the script %s: %v", readScript.Name, reply)
	}
	state, err := parseState(rule, q.Topic, valueText(values[0]), valueText(values[1]), "0", "0")
	if err != nil {
		return r, err
	}
	r.Change = state.Change
	if rule.Kind == tally.Presence {
		now, _ := strconv.ParseInt(valueText(clock), 10, 64)
		r.Change.Count = sumShares(replyHash(values[2]), now)
		return r, nil
	}
	if values[1] == nil && withDeleted {
		r.Change.Version, _ = strconv.ParseInt(valueText(values[2]), 10, 64)
	}
	if q.Member == 0 {
		return r, nil
	}
	r.Mine, err = memberAmount(rule, q.Member, values[3:])
	return r, err
}

// memberAmount returns the contribution of a member by the values of its fields.
func memberAmount(rule tally.Rule, member tally.Member, values []any) (amount int64, err error) {
	if rule.Kind == tally.Amount {
		amount, _, err = parseNumbers(rule, valueText(values[0]))
		return amount, err
	}
	key := memberKey(member)
	for _, value := range values {
		if bucket, ok := value.(string); ok {
			amount = max(amount, bucketAmount(rule, bucket, key))
		}
	}
	return amount, nil
}

// valueText returns a value; a missing one is "0".
func valueText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return "0"
}

var errNotNumber = errors.New("the stored value is not a number")

// fieldTexts returns the values of HMGET; a missing one is "0".
func fieldTexts(command *redis.SliceCmd) ([]string, error) {
	values, err := command.Result()
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = valueText(value)
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
