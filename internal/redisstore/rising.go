package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// gainsSize is how many topics a metric has gains of, some 20 MB. It is more than
	// leaderboardSize, since topics leave when they become older, without a change.
	gainsSize = 50_000
	// maxGainLag is for how long after a full hour gains of the hour before are shown.
	maxGainLag = 4 * time.Second
	// gainChunk is how many topics one script call reads, a millisecond or two of Redis.
	gainChunk = 100
	// advanceChunk is how many topics are read and written in two pipelines when the hour ends.
	advanceChunk = 500
	// advancePoll is how often a reader looks whether the gains of the hour are complete.
	advancePoll = 25 * time.Millisecond
	// minVersion is below all versions, and above all hours.
	minVersion = "1000000000"
)

// errHourEnded is the error if gains were read in the hour before the one in which they were to
// be written.
var errHourEnded = errors.New("the hour ended")

// gainKeys returns the keys of script/rise.lua.
func (n names) gainKeys(b leaderboard) []string {
	keys := []string{n.top(b) + ":changed"}
	for since := range tally.Since(tally.SinceCount) {
		keys = append(keys, n.top(b)+":"+since.String())
	}
	return keys
}

// changed makes leaderboards, directories and gains follow a change.
func (s *Store) changed(change tally.Change, deleted bool) {
	s.ranks.add(change, deleted)
	if s.options.History > 0 && !s.isPresence(change.Topic) {
		s.gains.add(change, deleted)
	}
}

// flushGains updates the gains of topics that changed. If that fails, they are pending again.
func (s *Store) flushGains(timeout time.Duration) {
	pending := s.gains.take()
	if len(pending) == 0 {
		return
	}
	topics := make([]tally.Topic, 0, len(pending))
	for topic := range pending {
		topics = append(topics, topic)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.updateGains(ctx, topics, 0)
	if errors.Is(err, errHourEnded) {
		err = s.updateGains(ctx, topics, 0)
	}
	if err != nil { // probes report why
		for topic, change := range pending {
			s.gains.add(tally.Change{Topic: topic, Version: change.version}, change.deleted)
		}
	}
}

// boardHour identifies gains of topics that one script call may write.
type boardHour struct {
	board leaderboard
	hour  string
}

// updateGains reads the gains of topics for an hour, 0 for the present one, and writes them. In
// a Cluster each topic has its own call, which fails while its slot moves. Errors: [errHourEnded] and those of calls.
func (s *Store) updateGains(ctx context.Context, topics []tally.Topic, hour int64) error {
	size := gainChunk
	if s.topology.IsCluster() {
		size = 1
	}
	var calls []redistopology.Call
	chunks := slices.Collect(slices.Chunk(topics, size))
	for _, chunk := range chunks {
		keys := make([]string, 0, 3*len(chunk))
		for _, topic := range chunk {
			keys = append(keys, s.names.count(topic), s.names.hours(topic), s.names.days(topic))
		}
		c := redistopology.NewCall(gainScript, keys...)
		c.Append(hour)
		calls = append(calls, c)
	}
	if err := s.callAll(ctx, calls); err != nil {
		return err
	}
	args := map[boardHour][]any{}
	var failed error
	for i, chunk := range chunks {
		replies, _ := calls[i].Reply.([]any)
		if calls[i].Err == nil && len(replies) != 1+len(chunk) {
			calls[i].Err = unexpectedReply(&calls[i])
		}
		if calls[i].Err != nil {
			failed = calls[i].Err
			continue
		}
		for j, topic := range chunk {
			at := boardHour{leaderboard{topic.Site(), topic.Metric()}, valueText(replies[0])}
			numbers := append(strings.Fields(valueText(replies[1+j])), "0", "0", "0") // the script left out zeros
			args[at] = append(args[at], topic.Key(), numbers[0], numbers[1], numbers[2], numbers[3])
		}
	}
	return cmp.Or(s.writeGains(ctx, args), failed)
}

// writeGains writes the gains of topics.
func (s *Store) writeGains(ctx context.Context, args map[boardHour][]any) error {
	var calls []redistopology.Call
	var boards []boardHour
	for at, args := range args {
		for chunk := range slices.Chunk(args, 5*topChunk) {
			calls, boards = append(calls, s.riseCall(at, "", chunk...)), append(boards, at)
		}
	}
	if len(calls) == 0 {
		return nil
	}
	if err := s.callAll(ctx, calls); err != nil {
		return err
	}
	var failed error
	for i := range calls {
		hour, computed, _ := strings.Cut(calls[i].Text(), " ")
		switch at := boards[i]; {
		case calls[i].Err != nil:
			failed = calls[i].Err
		case hour != at.hour:
			failed = errHourEnded
		case computed != at.hour:
			s.advances.request(at.board, false)
		default:
			s.advances.know(at.board)
		}
	}
	return failed
}

// riseCall returns a call of script/rise.lua, with a score of the member ” or "".
func (s *Store) riseCall(at boardHour, score string, args ...any) redistopology.Call {
	c := redistopology.NewCall(riseScript, s.names.gainKeys(at.board)...)
	c.Append(at.hour, score, gainsSize)
	c.Append(args...)
	return c
}

// risingTopics is the reply of script/rising.lua.
type risingTopics struct {
	second   int64 // of the clock
	computed string
	keys     []string
	gains    []int64
}

// hour returns the present hour.
func (r *risingTopics) hour() string { return strconv.FormatInt(r.second/int64(tally.Hour), 10) }

// isComplete reports whether all gains are those of the present hour.
func (r *risingTopics) isComplete() bool {
	return r.computed == r.hour() || r.computed == "" && len(r.keys) == 0
}

// isRecent reports whether all gains are those of the hour before, which has just ended.
func (r *risingTopics) isRecent() bool {
	return r.computed == strconv.FormatInt(r.second/int64(tally.Hour)-1, 10) && r.second%int64(tally.Hour) < int64(maxGainLag/time.Second)
}

// readRising reads the topics of a metric with the highest gains.
func (s *Store) readRising(ctx context.Context, from reader, b leaderboard, since tally.Since, limit int) (r risingTopics, err error) {
	c := redistopology.NewCall(risingScript, s.names.gainKeys(b)[0], s.names.gainKeys(b)[1+since])
	c.Append(limit)
	calls := []redistopology.Call{c}
	if err := s.checkUsable(); err != nil {
		return r, err
	}
	from.topology.Call(ctx, calls)
	replies, _ := calls[0].Reply.([]any)
	if calls[0].Err == nil && len(replies) < 2 {
		calls[0].Err = unexpectedReply(&calls[0])
	}
	if calls[0].Err == nil {
		r.computed = valueText(replies[1])
		r.second, calls[0].Err = strconv.ParseInt(valueText(replies[0]), 10, 64)
	}
	for i := 2; i+1 < len(replies) && calls[0].Err == nil; i += 2 {
		var gain int64
		gain, calls[0].Err = strconv.ParseInt(valueText(replies[i+1]), 10, 64)
		r.keys, r.gains = append(r.keys, valueText(replies[i])), append(r.gains, -gain)
	}
	if calls[0].Err != nil {
		err = tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, calls[0].Err))
	}
	return r, err
}

// Rising implements [tally.RiseRanker]. It reads the topics with the highest gains and then
// their current counts. If nobody changed or read topics of the metric in this hour before, it
// waits until their gains are computed.
func (s *Store) Rising(ctx context.Context, site, metric string, since tally.Since, limit int) ([]tally.Rise, error) {
	return s.rising(ctx, s.reader, site, metric, since, limit)
}

func (s *Store) rising(ctx context.Context, from reader, site, metric string, since tally.Since, limit int) ([]tally.Rise, error) {
	if err := since.CheckHistory(s.options.History); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	b := leaderboard{site, metric}
	r, err := s.readRising(ctx, from, b, since, limit+extraTopics)
	for err == nil && !r.isComplete() {
		s.advances.request(b, false)
		if r.isRecent() {
			break
		}
		if !sleep(ctx, advancePoll) {
			return nil, tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", site, metric, ctx.Err()))
		}
		r, err = s.readRising(ctx, from, b, since, limit+extraTopics)
	}
	if err != nil {
		return nil, err
	}
	s.advances.know(b)
	return s.readRises(ctx, from, b, &r, limit)
}

// readRises reads the current counts of topics. It leaves out those that were deleted.
func (s *Store) readRises(ctx context.Context, from reader, b leaderboard, r *risingTopics, limit int) (rises []tally.Rise, err error) {
	var queries []tally.Query
	var gains []int64
	for i, key := range r.keys {
		if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
			queries, gains = append(queries, tally.Query{Topic: topic}), append(gains, r.gains[i])
		}
	}
	for i, reading := range s.read(ctx, from, queries, false, marker{}) {
		switch {
		case reading.Err != nil:
			return nil, reading.Err
		case reading.Change.Version == 0 && from != s.reader: // the replica is behind
		case reading.Change.Version == 0:
			s.gains.add(tally.Change{Topic: reading.Change.Topic, Version: 1}, true)
		default:
			rises = append(rises, tally.Rise{Change: reading.Change, Gain: gains[i]})
		}
	}
	return rises[:min(limit, len(rises))], nil
}

// advance computes the gains of a metric for an hour that began; all of them if isFull is true,
// else those that differ from the hour before. It reports false if another instance does.
func (s *Store) advance(ctx context.Context, b leaderboard, isFull bool) (done bool, err error) {
	r, err := s.readRising(ctx, s.reader, b, tally.Since24h, 1)
	if err != nil || !isFull && r.computed == r.hour() {
		return err == nil, err
	}
	lease := "gains:" + b.site + "/" + b.metric
	if held, err := s.acquireLease(ctx, lease); err != nil || !held {
		return false, err
	}
	defer s.keepLease(lease)()
	at := boardHour{b, r.hour()}
	hour, _ := strconv.ParseInt(at.hour, 10, 64)
	before, err := s.setComputed(ctx, at, strconv.FormatInt(hour-1, 10)+".5")
	if err != nil {
		return false, err
	}
	next := redis.ZRangeArgs{Key: s.names.gainKeys(b)[0], ByScore: true, Start: minVersion, Stop: "+inf", Count: advanceChunk}
	if computed, err := strconv.ParseInt(before, 10, 64); err == nil && computed < hour && !isFull {
		since := tally.Since7d // else the gains since then are 0 before and after
		if computed/24 != hour/24 {
			since = tally.Since30d
		}
		next.Start = since.Begin(tally.Hour.Begin(computed).UnixMicro())
	}
	for {
		found, err := s.client.ZRangeArgsWithScores(ctx, next).Result()
		if err != nil {
			return false, tally.Unavailable(err)
		}
		var topics []tally.Topic
		for _, z := range found {
			if score := strconv.FormatFloat(z.Score, 'f', 0, 64); next.Start != score {
				next.Start, next.Offset = score, 0
			}
			next.Offset++ // topics of the same version may be in two chunks
			key, _ := z.Member.(string)
			if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
				topics = append(topics, topic)
			}
		}
		if len(topics) > 0 {
			if err := s.updateGains(ctx, topics, hour); err != nil {
				return false, err
			}
		}
		if len(found) < advanceChunk {
			break
		}
	}
	_, err = s.setComputed(ctx, at, at.hour)
	return err == nil, err
}

// setComputed sets the score of the member ”, and returns the one before.
func (s *Store) setComputed(ctx context.Context, at boardHour, score string) (before string, err error) {
	calls := []redistopology.Call{s.riseCall(at, score)}
	if err := s.callAll(ctx, calls); err != nil {
		return "", err
	}
	hour, before, _ := strings.Cut(calls[0].Text(), " ")
	if calls[0].Err != nil {
		return "", tally.Unavailable(calls[0].Err)
	}
	if hour != at.hour {
		return "", errHourEnded
	}
	return before, nil
}
