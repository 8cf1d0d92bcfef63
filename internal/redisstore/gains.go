package redisstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
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
	// gainChunk is how many topics one script call reads or writes: less than half a millisecond
	// of Redis, for which others wait.
	gainChunk = 25
	// changedChunk is how many topics one command lists when an hour begins, and bounds the topics
	// that are read in one pipeline.
	changedChunk = 500
	// minVersion is below all versions, and above all hours.
	minVersion = "1000000000"
)

// errHourEnded is the error if the hour for which gains were read ended before they were written.
var errHourEnded = errors.New("the hour ended")

// gainKeys returns the keys of script/writegains.lua.
func (n names) gainKeys(b siteMetric) []string {
	keys := []string{n.top(b) + ":changed"}
	for since := range tally.Since(tally.SinceCount) {
		keys = append(keys, n.top(b)+":"+since.String())
	}
	return keys
}

// readMark returns the key of the mark that exists while somebody reads gains.
func (n names) readMark(b siteMetric) string { return n.top(b) + ":read" }

// changed adds a change to those that leaderboards, directories and gains do not have yet.
func (s *Store) changed(change tally.Change, deleted bool) {
	s.ranks.add(change, deleted)
	if s.options.History > 0 && !s.isPresence(change.Topic) {
		s.gains.add(change, deleted)
	}
}

// flushGains updates the gains of topics that changed, if somebody reads them. If that fails, the
// topics are pending again. It updates the directory before it reads the marks: if nobody reads the
// gains of a topic, the first reader later finds the topic in the directory.
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
	byLane := map[string][]tally.Topic{} // so that a node that is away does not stop the others
	for _, topic := range topics {
		lane := s.Lane(topic)
		byLane[lane] = append(byLane[lane], topic)
	}
	for _, topics := range byLane {
		s.gains.restore(pending, s.updateGains(ctx, topics))
	}
}

// readTopics divides topics into those of metrics whose gains somebody reads, and the others.
func (s *Store) readTopics(ctx context.Context, pending map[tally.Topic]pendingChange) (topics, others []tally.Topic, err error) {
	marks := map[siteMetric]*redis.StringCmd{}
	pipe := s.client.Pipeline()
	for topic := range pending {
		if b := metricOf(topic); marks[b] == nil {
			marks[b] = pipe.Get(ctx, s.names.readMark(b))
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for topic := range pending {
		switch err := marks[metricOf(topic)].Err(); {
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

// gainHour is a metric and the hour of its gains. One script call writes gains of one.
type gainHour struct {
	metric siteMetric
	hour   string
}

// presentHour makes script/readgains.lua read the gains of the hour of Redis's clock.
const presentHour = 0

// updateGains reads the present gains of topics and writes them, in batches, so that other clients
// of Redis do not wait long. It stops at the first error, and returns the topics from that batch on.
func (s *Store) updateGains(ctx context.Context, topics []tally.Topic) (rest []tally.Topic) {
	for size := s.gainBatch(); len(topics) > 0; {
		batch := topics[:min(size, len(topics))]
		err := s.updateBatch(ctx, batch, nil, presentHour)
		if errors.Is(err, errHourEnded) {
			err = s.updateBatch(ctx, batch, nil, presentHour)
		}
		if err != nil { // probes report why
			return topics
		}
		topics = topics[len(batch):]
	}
	return nil
}

// computeGains reads the gains of topics for an hour and writes them, in batches. known has the
// versions of the topics in :changed before, see script/writegains.lua; nil if they are not known.
// Errors: [errHourEnded] and those of calls.
func (s *Store) computeGains(ctx context.Context, topics []tally.Topic, known map[tally.Topic]int64, hour int64) error {
	for batch := range slices.Chunk(topics, s.gainBatch()) {
		if err := s.updateBatch(ctx, batch, known, hour); err != nil {
			return err
		}
	}
	return nil
}

// gainBatch returns the number of topics of a batch, which are read in one pipeline and written in
// another. Redis takes about a round trip for a batch, so that the updates of a far store do not
// take long.
func (s *Store) gainBatch() int {
	return min(gainChunk*(1+int(s.topology.RoundTrip()/time.Millisecond)), changedChunk)
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
		c := redistopology.NewCall(readGainsScript, keys...)
		c.Append(hour)
		calls = append(calls, c)
	}
	if err := s.callAll(ctx, calls); err != nil {
		return err
	}
	args := map[gainHour][]any{}
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
			at := gainHour{metricOf(topic), valueText(replies[0])}
			numbers := append(strings.Fields(valueText(replies[1+j])), "0", "0", "0") // the script leaves out zeros
			args[at] = append(args[at], topic.Key(), numbers[0], numbers[1], numbers[2], numbers[3], known[topic])
		}
	}
	return cmp.Or(s.writeGains(ctx, args), failed)
}

// writeGains writes the gains of topics.
func (s *Store) writeGains(ctx context.Context, args map[gainHour][]any) error {
	var calls []redistopology.Call
	var hours []gainHour
	for at, args := range args {
		for chunk := range slices.Chunk(args, 6*gainChunk) {
			calls, hours = append(calls, s.writeGainsCall(at, "", chunk...)), append(hours, at)
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
		switch at := hours[i]; {
		case calls[i].Err != nil:
			failed = calls[i].Err
		case hour != at.hour:
			failed = errHourEnded
		case computed != at.hour:
			s.computations.request(at.metric, false)
		}
	}
	return failed
}

// writeGainsCall returns a call of script/writegains.lua. score is the new score of the empty member,
// or "".
func (s *Store) writeGainsCall(at gainHour, score string, args ...any) redistopology.Call {
	c := redistopology.NewCall(writeGainsScript, s.names.gainKeys(at.metric)...)
	c.Append(at.hour, score, gainsSize)
	c.Append(args...)
	return c
}
