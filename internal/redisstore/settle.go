package redisstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// settle reads topics whose subscription was confirmed. It makes the feed live when it has
// read all that were watched when the session began.
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

// settleTopics reads watched topics, passes their state to the sink, and reissues those of
// which the sink holds another state that is not older. It returns how many it reissued.
// Errors of single topics are logged and do not affect the others.
func (e *session) settleTopics(watches []watch) (reissued int, err error) {
	s := e.store
	ctx, cancel := context.WithTimeout(e.ctx, timeout)
	defer cancel()
	queries := make([]tally.Query, len(watches))
	for i, w := range watches {
		queries[i].Topic = w.topic
	}
	return e.settleReadings(ctx, watches, s.Read(ctx, queries))
}

// settleReadings is [session.settleTopics] after the topics were read.
func (e *session) settleReadings(ctx context.Context, watches []watch, readings []tally.Reading) (reissued int, err error) {
	s := e.store
	var differ []tally.Change
	for i, r := range readings {
		if r.Err != nil {
			if isTopicError(r.Err) {
				e.node.status.log.Warn("redis: a topic cannot be read", "topic", r.Change.Topic.String(), "cause", r.Err)
				continue
			}
			return 0, r.Err
		}
		if !e.feed.isCurrent(watches[i]) {
			continue
		}
		if held := e.sink.Settle(r.Change); held.Topic == r.Change.Topic && held != r.Change && r.Change.Version <= held.Version {
			differ = append(differ, held)
		}
	}
	if len(differ) == 0 {
		return 0, nil
	}
	changes, err := s.reissue(ctx, differ)
	if len(changes) > 0 {
		notify(s.repairs.due) // Redis has lost data
	}
	for _, change := range changes {
		e.sink.Settle(change) // before Live: the publication may arrive later
	}
	if err != nil && !isTopicError(err) {
		return len(changes), err
	}
	return len(changes), nil
}

// isTopicError reports whether an error concerns one topic's data, such as a key of
// another type, and not Redis.
func isTopicError(err error) bool {
	return errors.Is(err, errNotNumber) ||
		redis.HasErrorPrefix(err, "WRONGTYPE") || redis.HasErrorPrefix(err, "BADDATA")
}

// sweep reads all watched topics periodically, in case publications were lost. It reads many
// topics in one call, and spreads the calls over the period if there are several.
func (e *session) sweep() error {
	return every(e.ctx, e.store.options.Intervals.Busy, func() error {
		for chunk := range slices.Chunk(e.feed.takeSweep(time.Now()), readChunk) {
			if e.ctx.Err() != nil {
				return nil
			}
			mismatches, err := e.settleTopics(chunk)
			e.store.stats.sweepMismatches.Add(int64(mismatches))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepList has topics in the order in which the sweep reads them, from the last to the
// first. A topic that is removed is replaced by the last, which was read already, so that a
// pass leaves out none.
type sweepList struct {
	period time.Duration // of a pass
	topics []*topicState
	next   int       // the topics before it are to be read in this pass
	last   time.Time // when topics were taken, or there were none
}

func (l *sweepList) add(t *topicState) {
	t.place = len(l.topics)
	l.topics = append(l.topics, t)
}

func (l *sweepList) remove(t *topicState) {
	last := l.topics[len(l.topics)-1]
	l.topics[t.place], last.place = last, t.place
	l.topics = slices.Delete(l.topics, len(l.topics)-1, len(l.topics))
}

// maxSweepParts bounds the parts in which a pass reads the topics. The sweep runs once a second
// and reads at most one part, so more parts could take longer than the period.
const maxSweepParts = 20

// take returns the topics that the sweep reads at now: none until a part of the period has
// passed. After the first, a new pass begins.
func (l *sweepList) take(now time.Time) []*topicState {
	parts := min((len(l.topics)+readChunk-1)/readChunk, maxSweepParts)
	if parts == 0 {
		l.last = now
		return nil
	}
	if now.Sub(l.last) < l.period/time.Duration(parts) {
		return nil
	}
	l.last = now
	if l.next = min(l.next, len(l.topics)); l.next == 0 {
		l.next = len(l.topics)
	}
	end := l.next
	l.next = max(end-(len(l.topics)+parts-1)/parts, 0)
	return l.topics[l.next:end]
}
