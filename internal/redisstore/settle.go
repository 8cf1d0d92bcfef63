package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// sweepTicks is in how many parts the sweep reads all watched topics, a part a
	// second: each at least once a minute, with time to spare.
	sweepTicks = 45
	// presenceTicks is the same for presence: when the last instance that held
	// shares in a topic is gone, nobody but the sweep notices that they ended.
	presenceTicks = 5
	sweepTick     = time.Second
)

// settle reads the state of topics whose subscription was confirmed, and says so
// when all that were watched when the session began have been read.
func (e *session) settle() error {
	for {
		if watches := e.feed.takeSettle(readChunk); len(watches) > 0 {
			if _, err := e.settleTopics(watches); err != nil {
				return err
			}
			e.feed.settledAll(watches)
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

// settleTopics reads watched topics, hands their state to the sink, and has reissued what
// the sink holds otherwise. It returns how many were, and an error where Redis
// does not answer; what is wrong with one topic alone does not concern the others.
func (e *session) settleTopics(watches []watch) (reissued int, err error) {
	s := e.store
	ctx, cancel := context.WithTimeout(e.ctx, timeout)
	defer cancel()
	queries := make([]tally.Query, len(watches))
	for i, w := range watches {
		queries[i].Topic = w.topic
	}
	var differ []tally.Change
	for i, r := range s.Read(ctx, queries) {
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
	for _, change := range changes {
		e.sink.Settle(change) // before Live, though its publication may come after
	}
	if err != nil && !isTopicError(err) {
		return len(changes), err
	}
	return len(changes), nil
}

// isTopicError tells whether an error is about a topic's own data, such as a key of
// another type, rather than about Redis.
func isTopicError(err error) bool {
	return errors.Is(err, errNoNumber) ||
		redis.HasErrorPrefix(err, "WRONGTYPE") || redis.HasErrorPrefix(err, "BADDATA")
}

// sweep reads all watched topics again and again, spread out: the last net under
// publications that were lost.
func (e *session) sweep() error {
	presence := func(topic tally.Topic) bool { return e.store.catalog.Rule(topic).Kind == tally.Presence }
	rounds := []*sweepPass{
		{ticks: sweepTicks, of: func(topic tally.Topic) bool { return !presence(topic) }},
		{ticks: presenceTicks, of: presence},
	}
	tick := time.NewTicker(sweepTick)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, r := range rounds {
			if err := e.settlePart(r.next(e.feed)); err != nil {
				return err
			}
		}
	}
}

func (e *session) settlePart(watches []watch) error {
	for len(watches) > 0 && e.ctx.Err() == nil {
		chunk := watches[:min(len(watches), readChunk)]
		watches = watches[len(chunk):]
		mismatches, err := e.settleTopics(chunk)
		e.store.stats.sweepMismatches.Add(int64(mismatches))
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepPass is one pass of the sweep over its topics.
type sweepPass struct {
	ticks int // in how many parts
	of    func(tally.Topic) bool

	left []watch // to be read in this pass
	part int     // how many of them a tick
}

// next returns the topics of the next part, beginning anew after the last.
func (r *sweepPass) next(f *feed) []watch {
	if len(r.left) == 0 {
		r.left = f.settledTopics(r.of)
		r.part = (len(r.left) + r.ticks - 1) / r.ticks
	}
	part := r.left[:min(r.part, len(r.left))]
	r.left = r.left[len(part):]
	return part
}
