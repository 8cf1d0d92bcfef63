package redisstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// sweep compares all watched topics periodically with what is stored, in case publications were
// lost. It takes many topics in one call, and spreads the calls over the period if there are
// several.
func (e *session) sweep() error {
	c := comparison{session: e}
	var due, presence []watch
	return every(e.ctx, e.store.options.Intervals.Busy, func() error {
		now := time.Now()
		due, presence = e.feed.takeSweep(now, due[:0], presence[:0])
		presence = append(presence, e.feed.behindFor(now, e.maxBehind())...)
		for chunk := range slices.Chunk(due, readChunk) {
			different, err := c.different(chunk)
			if err != nil {
				return err
			}
			if err := e.sweepTopics(different); err != nil {
				return err
			}
		}
		return e.sweepTopics(presence)
	})
}

// sweepTopics reads topics and settles them.
func (e *session) sweepTopics(watches []watch) error {
	for chunk := range slices.Chunk(watches, readChunk) {
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
}

// comparison asks the node of a session which topics have another state than the sink holds. The
// node compares, because nearly always all are equal. One goroutine uses a comparison. It uses
// its memory again: a sweep of a million topics leaves no garbage.
type comparison struct {
	session *session
	text    []byte     // of all arguments
	parts   []textPart // arguments, in text
	args    []any
}

// textPart is an argument of a command, a part of a longer text.
type textPart struct {
	text       *[]byte
	begin, end int
}

// MarshalBinary implements [encoding.BinaryMarshaler], for go-redis.
func (p *textPart) MarshalBinary() ([]byte, error) { return (*p.text)[p.begin:p.end], nil }

// different returns the watches whose stored state is another one than the sink holds, or cannot
// be compared. None of them is of a presence metric.
func (c *comparison) different(watches []watch) (different []watch, err error) {
	e := c.session
	from := e.node.reader()
	if from.topology.IsCluster() || e.store.checkUsable() != nil {
		return watches, nil
	}
	c.text, c.parts = c.text[:0], c.parts[:0]
	for _, w := range watches {
		c.text = e.store.names.appendCount(c.text, w.topic)
		c.endPart()
	}
	for _, w := range watches {
		if held, _ := e.sink.Newest(w.topic); held.Version != 0 {
			c.text = appendState(c.text, held)
		}
		c.endPart()
	}
	c.args = slices.Grow(c.args[:0], redistopology.FirstKey+len(c.parts))[:redistopology.FirstKey]
	for i := range c.parts {
		c.args = append(c.args, &c.parts[i])
	}
	calls := []redistopology.Call{redistopology.NewCallOf(compareScript, len(watches), c.args)}
	ctx, cancel := context.WithTimeout(e.ctx, e.store.options.Timeout)
	defer cancel()
	from.topology.Call(ctx, calls)
	if calls[0].Err != nil {
		return nil, calls[0].Err
	}
	numbers, _ := calls[0].Reply.([]any)
	for _, number := range numbers {
		n, _ := number.(int64)
		if n < 1 || n > int64(len(watches)) {
			return nil, unexpectedReply(&calls[0])
		}
		different = append(different, watches[n-1])
	}
	return different, nil
}

// endPart ends an argument.
func (c *comparison) endPart() {
	begin := 0
	if n := len(c.parts); n > 0 {
		begin = c.parts[n-1].end
	}
	c.parts = append(c.parts, textPart{&c.text, begin, len(c.text)})
}

// appendState appends count and version as the script compares them.
func appendState(dst []byte, c tally.Change) []byte {
	if c.Options != "" {
		dst = append(dst, c.Options...)
	} else {
		dst = strconv.AppendInt(dst, c.Count, 10)
	}
	return strconv.AppendInt(append(dst, ' '), c.Version, 10)
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
	t.place = int32(len(l.topics))
	l.topics = append(l.topics, t)
}

func (l *sweepList) remove(t *topicState) {
	last := l.topics[len(l.topics)-1]
	l.topics[t.place], last.place = last, t.place
	if l.topics = slices.Delete(l.topics, len(l.topics)-1, len(l.topics)); len(l.topics) == 0 {
		l.topics = nil // it would keep its capacity
	}
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

// appendTo appends the settled topics of those that take returns.
func (l *sweepList) appendTo(watches []watch, now time.Time) []watch {
	for _, t := range l.take(now) {
		if t.is(settled) && t.is(wanted) {
			watches = append(watches, watch{t.topic, t.number})
		}
	}
	return watches
}
