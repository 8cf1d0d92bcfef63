package redisstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// settle reads the topics whose subscription was confirmed, until the session ends. After it has
// read all topics that were watched at the start of the session, it makes the feed live.
func (e *session) settle() error {
	for {
		if watches := e.feed.takeSettle(readChunk); len(watches) > 0 {
			if _, err := e.settleTopics(watches); err != nil {
				return err
			}
			e.feed.setSettled(watches)
			continue
		}
		if e.ctx.Err() == nil && e.feed.becomeLive() {
			e.reportLive()
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-e.feed.settleReady:
		}
	}
}

// settleTopics reads watched topics and passes their states to the sink. If the sink has another
// state that is not older, it reissues the topic. It returns how many it reissued. It logs errors
// of single topics, which do not affect the others.
func (e *session) settleTopics(watches []watch) (reissued int, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, e.store.options.Timeout)
	defer cancel()
	return e.settleReadings(ctx, watches, e.readWatches(ctx, e.node.reader(), watches, marker{}))
}

// settleReadings is [session.settleTopics] after the topics were read.
func (e *session) settleReadings(ctx context.Context, watches []watch, readings []tally.Reading) (reissued int, err error) {
	s := e.store
	differing, err := e.settleSink(watches, readings, e.node.replica != nil)
	if err != nil {
		return 0, err
	}
	if e.node.replica != nil {
		// A lower version is lag in most cases. One that stays is compared at the primary.
		overdue := e.feed.setBehind(watches, readings, differing, time.Now(), e.maxBehind())
		if len(overdue) == 0 || s.isPrimaryAway() {
			return 0, nil
		}
		if differing, err = e.settleSink(overdue, e.readWatches(ctx, s.reader, overdue, marker{}), false); err != nil {
			return 0, nil // the session of the primary reports the error
		}
	}
	if len(differing) == 0 {
		return 0, nil
	}
	changes, err := s.reissue(ctx, slices.Collect(maps.Values(differing)))
	if len(changes) > 0 {
		notify(s.repairs.due) // Redis has lost data
	}
	for _, change := range changes {
		e.sink.Settle(change) // since the publication may arrive after Live
	}
	if err != nil && !isTopicError(err) {
		return len(changes), err
	}
	return len(changes), nil
}

// readWatches reads watched topics, and publishes m when Redis has read them.
func (e *session) readWatches(ctx context.Context, from reader, watches []watch, m marker) []tally.Reading {
	queries := make([]tally.Query, len(watches))
	for i, w := range watches {
		queries[i].Topic = w.topic
	}
	return e.store.read(ctx, from, queries, true, m)
}

// settleSink passes the states of watched topics to the sink. It returns the states of the sink that
// differ and are not older. mayLag is true if the states are those of a replica.
func (e *session) settleSink(watches []watch, readings []tally.Reading, mayLag bool) (differing map[tally.Topic]tally.Change, err error) {
	settle := e.sink.Settle
	if sink, ok := e.sink.(tally.LaggingSink); ok && mayLag {
		settle = sink.SettleLagging
	}
	differing = map[tally.Topic]tally.Change{}
	for i, r := range readings {
		if r.Err != nil {
			if isTopicError(r.Err) {
				e.node.status.log.Warn("redis: a topic cannot be read", "topic", r.Change.Topic.String(), "cause", r.Err)
				continue
			}
			return nil, r.Err
		}
		if !e.feed.isCurrent(watches[i]) {
			continue
		}
		if held := settle(r.Change); held.Topic == r.Change.Topic && held != r.Change && r.Change.Version <= held.Version {
			differing[held.Topic] = held
		}
	}
	return differing, nil
}

// isTopicError reports whether an error concerns one topic's data, such as a key of
// another type, and not Redis.
func isTopicError(err error) bool {
	return errors.Is(err, errNotNumber) ||
		redis.HasErrorPrefix(err, "WRONGTYPE") || redis.HasErrorPrefix(err, "BADDATA")
}
