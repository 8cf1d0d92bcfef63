package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
	// gainChunk is how many topics one script call reads or writes, less than half a millisecond
	// of Redis. Others wait for it.
	gainChunk = 25
	// advanceChunk is how many topics one command lists when the hour ends, and the most that are
	// read in one pipeline.
	advanceChunk = 500
	// readRetention is for how long gains are kept up to date after somebody read them, and
	// readRenewal how often an instance renews that.
	readRetention = time.Hour
	readRenewal   = 10 * time.Minute
	// minVersion is below all versions, and above all hours.
	minVersion = "1000000000"
)

// errReplicaBehind is why gains are read at the primary. A replica may also lack the mark that
// another reader set, and to set it again would have all gains computed again.
var errReplicaBehind = errors.New("the replica does not have the present gains")

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

// readMark returns the key that exists while gains are read.
func (n names) readMark(b leaderboard) string { return n.top(b) + ":read" }

// changed makes leaderboards, directories and gains follow a change.
func (s *Store) changed(change tally.Change, deleted bool) {
	s.ranks.add(change, deleted)
	if s.options.History > 0 && !s.isPresence(change.Topic) {
		s.gains.add(change, deleted)
	}
}

// flushGains updates the gains of topics that changed, if somebody reads them. If that fails, they
// are pending again. The directory must have all others, since the first reader looks there: so it is
// updated before the marks of readers are read.
func (s *Store) flushGains(timeout time.Duration) {
	pending := s.gains.take()
	if len(pending) == 0 {
		return
	}
	isFlushed := s.flushRanks(timeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	topics, others, err := s.readTopics(ctx, pending)
	if err != nil { // probes report why
		s.gains.restore(pending, slices.Collect(maps.Keys(pending)))
		return
	}
	if !isFlushed {
		s.gains.restore(pending, others)
	}
	byLane := map[string][]tally.Topic{} // the topics of a node that is away do not stop the others
	for _, topic := range topics {
		lane := s.Lane(topic)
		byLane[lane] = append(byLane[lane], topic)
	}
	for _, topics := range byLane {
		rest, _ := s.updateGains(ctx, topics, nil, 0)
		s.gains.restore(pending, rest)
	}
}

// readTopics divides topics into those of metrics whose gains somebody reads, and the others.
func (s *Store) readTopics(ctx context.Context, pending map[tally.Topic]pendingRank) (topics, others []tally.Topic, err error) {
	marks := map[leaderboard]*redis.StringCmd{}
	pipe := s.client.Pipeline()
	for topic := range pending {
		if b := (leaderboard{topic.Site(), topic.Metric()}); marks[b] == nil {
			marks[b] = pipe.Get(ctx, s.names.readMark(b))
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for topic := range pending {
		switch err := marks[leaderboard{topic.Site(), topic.Metric()}].Err(); {
		case err == nil:
			topics = append(topics, topic)
		case errors.Is(err, redis.Nil):
			others = append(others, topic)
		default:
			return nil, nil, err
		}
	}
	return topics, others, nil
}

// boardHour identifies gains of topics that one script call may write.
type boardHour struct {
	board leaderboard
	hour  string
}

// updateGains reads the gains of topics for an hour, 0 for the present one, and writes them. known
// has the versions that :changed had before, if all gains are computed; see script/rise.lua. It
// does that in batches, so that other clients of Redis do not wait long. It stops at the first
// error, and returns the topics from that batch on. Errors: [errHourEnded] and those of calls.
func (s *Store) updateGains(ctx context.Context, topics []tally.Topic, known map[tally.Topic]int64, hour int64) (rest []tally.Topic, err error) {
	for size := s.gainBatch(); len(topics) > 0; {
		batch := topics[:min(size, len(topics))]
		err := s.updateBatch(ctx, batch, known, hour)
		if errors.Is(err, errHourEnded) && hour == 0 {
			err = s.updateBatch(ctx, batch, known, 0)
		}
		if err != nil {
			return topics, err
		}
		topics = topics[len(batch):]
	}
	return nil, nil
}

// gainBatch returns how many topics are read in one pipeline and written in another: so many that
// Redis takes about as long as a round trip, so that the updates of a far store do not take long.
func (s *Store) gainBatch() int {
	return min(gainChunk*(1+int(s.topology.RoundTrip()/time.Millisecond)), advanceChunk)
}

// updateBatch updates the gains of some topics. In a Cluster each topic has its own call, which
// fails while its slot moves.
func (s *Store) updateBatch(ctx context.Context, topics []tally.Topic, known map[tally.Topic]int64, hour int64) error {
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
			args[at] = append(args[at], topic.Key(), numbers[0], numbers[1], numbers[2], numbers[3], known[topic])
		}
	}
	return cmp.Or(s.writeGains(ctx, args), failed)
}

// writeGains writes the gains of topics.
func (s *Store) writeGains(ctx context.Context, args map[boardHour][]any) error {
	var calls []redistopology.Call
	var boards []boardHour
	for at, args := range args {
		for chunk := range slices.Chunk(args, 6*gainChunk) {
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
		}
	}
	return failed
}

// riseCall returns a call of script/rise.lua, with the new score of the empty member; "" for none.
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
	isRead   bool // somebody read gains before, so that they are up to date
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

// isCurrent reports whether the gains may be shown: they are kept up to date, and those of the
// present hour, or nearly.
func (r *risingTopics) isCurrent() bool { return r.isRead && (r.isComplete() || r.isRecent()) }

// readRising reads the topics of a metric with the highest gains.
func (s *Store) readRising(ctx context.Context, from reader, b leaderboard, since tally.Since, limit int) (r risingTopics, err error) {
	keys := s.names.gainKeys(b)
	c := redistopology.NewCall(risingScript, keys[0], keys[1+since], s.names.readMark(b))
	c.Append(limit)
	calls := []redistopology.Call{c}
	if err := s.checkUsable(); err != nil {
		return r, err
	}
	from.topology.Call(ctx, calls)
	replies, _ := calls[0].Reply.([]any)
	if calls[0].Err == nil && len(replies) < 3 {
		calls[0].Err = unexpectedReply(&calls[0])
	}
	if calls[0].Err == nil {
		r.computed, r.isRead = valueText(replies[1]), valueText(replies[2]) != ""
		r.second, calls[0].Err = strconv.ParseInt(valueText(replies[0]), 10, 64)
	}
	for i := 3; i+1 < len(replies) && calls[0].Err == nil; i += 2 {
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
// their current counts. The first change or read of a metric in an hour causes its gains to be
// computed, and the read waits for that. If it fails or takes long, the read returns the stored
// gains.
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
	if err == nil && !r.isCurrent() {
		if from != s.reader {
			return nil, errReplicaBehind
		}
		r, err = s.awaitGains(ctx, b, since, limit+extraTopics, r)
	}
	if err != nil {
		return nil, err
	}
	if r.isRecent() {
		s.advances.request(b, false)
	}
	if s.advances.renew(b) {
		_ = s.client.PExpire(ctx, s.names.readMark(b), readRetention).Err() // else it ends, and reading begins again
	}
	return s.readRises(ctx, from, b, &r, limit)
}

// awaitGains waits until the gains of a metric are computed, and returns them. If that fails or
// takes long, it returns those that are stored.
func (s *Store) awaitGains(ctx context.Context, b leaderboard, since tally.Since, limit int, r risingTopics) (risingTopics, error) {
	timer := time.NewTimer(s.options.Intervals.GainsWait)
	defer timer.Stop()
	for !r.isCurrent() {
		if !r.isRead {
			if err := s.beginReading(ctx, b, r.second); err != nil {
				return r, err
			}
		}
		g := s.advances.request(b, !r.isRead)
		var failed error
		select {
		case <-g.ended:
			failed = g.err
		case <-timer.C:
			failed = context.DeadlineExceeded
		case <-ctx.Done():
			return r, tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, ctx.Err()))
		}
		var err error
		if r, err = s.readRising(ctx, s.reader, b, since, limit); err != nil {
			return r, err
		}
		switch {
		case failed == nil || r.isCurrent():
		case len(r.keys) == 0: // it is not known that no topic gained
			return r, tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, failed))
		default:
			return r, nil
		}
	}
	return r, nil
}

// beginReading sets the mark that keeps the gains of a metric up to date. All of them must be
// computed then. If the hour ended since second, it sets nothing, and the caller calls it again.
func (s *Store) beginReading(ctx context.Context, b leaderboard, second int64) error {
	hour := second / int64(tally.Hour)
	_, err := s.setComputed(ctx, boardHour{b, strconv.FormatInt(hour, 10)}, strconv.FormatInt(hour-1, 10)+".5")
	switch {
	case errors.Is(err, errHourEnded):
		return nil
	case err != nil:
		return err
	}
	if err := s.client.SetNX(ctx, s.names.readMark(b), 1, readRetention).Err(); err != nil {
		return tally.Unavailable(err)
	}
	return nil
}

// readRises reads the current counts of topics. It leaves out those that were deleted or have data
// of another program.
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
		case reading.Err != nil && !isTopicError(reading.Err):
			return nil, reading.Err
		case reading.Change.Version == 0 && from != s.reader: // the replica is behind
		case reading.Change.Version == 0: // also after an error
			s.gains.add(tally.Change{Topic: reading.Change.Topic, Version: 1}, true)
		default:
			rises = append(rises, tally.Rise{Change: reading.Change, Gain: gains[i]})
		}
	}
	return rises[:min(limit, len(rises))], nil
}
