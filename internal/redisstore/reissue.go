package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// minShareRetention is the least time for which what is known of presence is kept
	// without being set again. Its versions follow the clock, so nothing is lost
	// with it.
	minShareRetention = time.Hour
	// writeChunk is how many topics one pipeline of scripts carries.
	writeChunk = 256
)

// Reissue implements [tally.Store].
func (s *Store) Reissue(ctx context.Context, held []tally.Change) error {
	_, err := s.reissue(ctx, held)
	return err
}

// reissue returns the new state of the topics that were reissued.
func (s *Store) reissue(ctx context.Context, held []tally.Change) (reissued []tally.Change, err error) {
	if err := s.checkUsable(); err != nil {
		return nil, err
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	calls := make([]redistopology.Call, 0, min(len(held), writeChunk))
	for len(held) > 0 {
		chunk := held[:min(len(held), writeChunk)]
		held = held[len(chunk):]
		calls = calls[:0]
		for _, change := range chunk {
			keep := int64(0)
			if s.catalog.Rule(change.Topic).Kind == tally.Presence {
				keep = minShareRetention.Milliseconds()
			}
			c := redistopology.NewCall(reissueScript, s.names.count(change.Topic), s.names.shares(change.Topic))
			c.Append(change.Version, change.Count, strconv.FormatInt(keep, 10),
				s.names.channel(change.Topic), tally.AppendFrameHead(nil, change.Topic))
			calls = append(calls, c)
		}
		s.topology.Call(ctx, calls)
		for i := range calls {
			st, e := s.parseWritten("reissue", chunk[i].Topic, &calls[i])
			err = errors.Join(err, e)
			if e == nil && st.third == "1" {
				s.stats.reissues.Add(1)
				reissued = append(reissued, tally.Change{Topic: chunk[i].Topic, Count: st.count, Version: st.version})
			}
		}
	}
	return reissued, unavailable(err)
}

// SetShares implements [tally.Store].
func (s *Store) SetShares(ctx context.Context, ttl time.Duration, shares []tally.Share) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	for _, share := range shares {
		if err := s.ensureRule(ctx, share.Topic); err != nil {
			return err
		}
	}
	keep := max(minShareRetention, 2*ttl).Milliseconds()
	var failed error
	calls := make([]redistopology.Call, 0, min(len(shares), writeChunk))
	for len(shares) > 0 {
		chunk := shares[:min(len(shares), writeChunk)]
		shares = shares[len(chunk):]
		calls = calls[:0]
		for _, share := range chunk {
			c := redistopology.NewCall(shareScript, s.names.count(share.Topic), s.names.shares(share.Topic))
			c.Append(s.instance, share.Pages, ttl.Milliseconds(), keep,
				s.names.channel(share.Topic), tally.AppendFrameHead(nil, share.Topic))
			calls = append(calls, c)
		}
		s.topology.Call(ctx, calls)
		for i := range calls {
			st, err := s.parseWritten("set the share in", chunk[i].Topic, &calls[i])
			failed = errors.Join(failed, err)
			if err == nil && st.third == "1" {
				s.ranks.add(&s.stats, tally.Change{Topic: chunk[i].Topic, Count: st.count, Version: st.version})
			}
		}
	}
	return unavailable(failed)
}

// parseWritten returns what a script stored, and an error where it was not published.
func (s *Store) parseWritten(what string, topic tally.Topic, c *redistopology.Call) (state, error) {
	st, err := parseState(c)
	if err == nil && st.unpublished != nil {
		stateOf(c.Node()).publicationFailed()
		err = st.unpublished
	}
	if err != nil {
		return state{}, fmt.Errorf("%s %s: %w", what, topic, err)
	}
	return st, nil
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return tally.Unavailable(err)
}
