package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// replicaReadTimeout bounds a read of the replica, which is near. After it the primary is read.
const replicaReadTimeout = 500 * time.Millisecond

// reader reads at the nodes of a topology: the primaries, or the replica.
type reader struct {
	store    *Store
	topology *redistopology.Topology
	client   *redis.Client // sends commands to the nodes of their keys
}

// near is a store that reads numbers for pages at the replica while the replica is the source.
type near struct{ *Store }

// Near returns the same store, whose Read, Top, TopGains and History may be behind by the lag of the
// replica, if there is one. A read of contributions is not.
func (s *Store) Near() tally.ServiceStore {
	if s.replica == nil {
		return s
	}
	return near{s}
}

// atNearest calls read with the replica if it is the source. It calls read with the primary if the
// replica is not the source, or if read fails there.
func (s *Store) atNearest(ctx context.Context, read func(ctx context.Context, from reader) (failed bool)) {
	if s.replica.isSource() {
		replicaCtx, cancel := context.WithTimeout(ctx, replicaReadTimeout)
		failed := read(replicaCtx, s.replica.reader)
		cancel()
		if !failed {
			return
		}
	}
	read(ctx, s.reader)
}

// IsStale implements [tally.Replicated].
func (s near) IsStale() bool { return s.replica.isSource() && !s.replica.isProven() }

// Read implements [tally.Reader].
func (s near) Read(ctx context.Context, queries []tally.Query) (readings []tally.Reading) {
	if slices.ContainsFunc(queries, func(q tally.Query) bool { return q.Member != 0 }) {
		return s.Store.Read(ctx, queries)
	}
	s.atNearest(ctx, func(ctx context.Context, from reader) bool {
		isOld := from != s.reader && s.IsStale() // before the read, since it may be proven during the read
		readings = s.read(ctx, from, queries, true, marker{})
		for i := range readings {
			readings[i].IsStale = isOld
		}
		return slices.ContainsFunc(readings, func(r tally.Reading) bool { return r.Err != nil && !isTopicError(r.Err) })
	})
	return readings
}

// Top implements [tally.Ranker].
func (s near) Top(ctx context.Context, site, metric string, limit int) (top []tally.Change, err error) {
	s.atNearest(ctx, func(ctx context.Context, from reader) bool {
		top, err = from.Top(ctx, site, metric, limit)
		return err != nil
	})
	return top, err
}

// TopGains implements [tally.GainRanker]. Gains are computed from the data of the primary only.
func (s near) TopGains(ctx context.Context, site, metric string, since tally.Since, limit int) (gains []tally.TopicGain, err error) {
	s.atNearest(ctx, func(ctx context.Context, from reader) bool {
		gains, err = from.TopGains(ctx, site, metric, since, limit)
		return err != nil
	})
	return gains, err
}

// History implements [tally.HistoryReader].
func (s near) History(ctx context.Context, period tally.Period, topics []tally.Topic) (histories []tally.History) {
	s.atNearest(ctx, func(ctx context.Context, from reader) bool {
		histories = from.History(ctx, period, topics)
		return slices.ContainsFunc(histories, func(h tally.History) bool { return h.Err != nil && !isTopicError(h.Err) })
	})
	return histories
}
