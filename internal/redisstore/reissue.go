package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// minShareRetention is the least time for which a presence topic is kept without an update.
	// Versions follow the clock, so they grow even if a topic expired.
	minShareRetention = time.Hour
	// writeChunk is how many script calls one pipeline has.
	writeChunk = 256
)

// Reissue implements [tally.Store].
func (s *Store) Reissue(ctx context.Context, held []tally.Change) error {
	_, err := s.reissue(ctx, held)
	return err
}

// reissue returns the new state of the topics that were reissued.
func (s *Store) reissue(ctx context.Context, held []tally.Change) (reissued []tally.Change, err error) {
	newCall := func(c tally.Change) (tally.Topic, redistopology.Call) {
		// While a slot moves, Redis refuses a call with keys of which some exist and others do
		// not. So the call has only the keys that it needs.
		keys, retention := []string{s.names.count(c.Topic)}, int64(0)
		rule, held, history := s.catalog.Rule(c.Topic), any(c.Count), s.historyRetention
		if rule.Kind == tally.Presence {
			keys, history = append(keys, s.names.shares(c.Topic)), noHistory
			retention = minShareRetention.Milliseconds()
		} else if history != noHistory {
			keys = append(keys, s.names.hours(c.Topic), s.names.days(c.Topic))
		}
		if rule.Kind == tally.Choice {
			held = string(rule.Pad(c.Options))
		}
		call := redistopology.NewCall(reissueScript, keys...)
		if history != noHistory {
			call.SetOptional(1, 2)
		}
		call.Append(c.Version, held, strconv.FormatInt(retention, 10))
		call.Append(s.names.channel(c.Topic), tally.AppendFrameHead(nil, c.Topic), optionCount(rule), history)
		return c.Topic, call
	}
	err = callEach(ctx, s, "reissue", held, newCall, func(change tally.Change) {
		s.stats.reissues.Add(1)
		reissued = append(reissued, change)
	})
	return reissued, err
}

// SetShares implements [tally.Store].
func (s *Store) SetShares(ctx context.Context, ttl time.Duration, shares []tally.Share) error {
	for _, share := range shares {
		if err := s.ensureRule(ctx, share.Topic); err != nil {
			return err
		}
	}
	retention := max(minShareRetention, 2*ttl).Milliseconds()
	newCall := func(share tally.Share) (tally.Topic, redistopology.Call) {
		keys := []string{s.names.count(share.Topic), s.names.shares(share.Topic)}
		if s.historyRetention != noHistory {
			keys = append(keys, s.names.hours(share.Topic), s.names.days(share.Topic))
		}
		call := redistopology.NewCall(shareScript, keys...)
		call.SetOptional(2, len(keys)-2)
		call.Append(s.instance, share.Pages, ttl.Milliseconds(), retention)
		call.Append(s.names.channel(share.Topic), tally.AppendFrameHead(nil, share.Topic), share.MayRecord, s.historyRetention)
		return share.Topic, call
	}
	return callEach(ctx, s, "set the share in", shares, newCall, func(change tally.Change) { s.ranks.add(change, false) })
}

// callEach calls a script for each item, writeChunk in one pipeline. newCall returns the item's
// topic and the call. callEach calls changed with the state of each topic that the script changed.
func callEach[T any](ctx context.Context, s *Store, what string, items []T,
	newCall func(T) (tally.Topic, redistopology.Call), changed func(tally.Change)) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	var failed error
	for chunk := range slices.Chunk(items, writeChunk) {
		calls, topics := make([]redistopology.Call, len(chunk)), make([]tally.Topic, len(chunk))
		for i, item := range chunk {
			topics[i], calls[i] = newCall(item)
		}
		s.topology.Call(ctx, calls)
		for i := range calls {
			reply, err := s.parseWritten(what, topics[i], &calls[i])
			failed = errors.Join(failed, err)
			if err == nil && reply.detail == "1" {
				changed(reply.change)
			}
		}
	}
	if failed != nil {
		return tally.Unavailable(failed)
	}
	return nil
}

// parseWritten returns the state that a script stored, or an error if it was not stored or
// not published.
func (s *Store) parseWritten(what string, topic tally.Topic, c *redistopology.Call) (scriptReply, error) {
	reply, err := s.parseReply(topic, c)
	if err == nil && reply.unpublished != nil {
		nodeOf(c.Node()).publicationFailed()
		err = reply.unpublished
	}
	if err != nil {
		return scriptReply{}, fmt.Errorf("%s %s: %w", what, topic, err)
	}
	return reply, nil
}
