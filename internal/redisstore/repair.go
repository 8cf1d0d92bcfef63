package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// repairLease is held by the instance that repairs the rankings.
const repairLease = "repair"

// repairs decides when the rankings, which are leaderboards and directories, are repaired. They
// lack changes that an instance had collected when it died, and changes that Redis lost. So a
// repair is due when an instance starts, after topics were reissued, and some time after changes.
// An idle store is not scanned. After Redis restarted, perhaps with an older file, the scan is
// fast, so that leaderboards are right within a minute.
type repairs struct {
	due       chan struct{} // holds a token if a repair is due
	scheduled atomic.Bool   // whether changes have scheduled a repair
	isUrgent  atomic.Bool   // whether Redis restarted
}

// urgentRepair divides the pauses of a repair after Redis restarted.
const urgentRepair = 20

// addChange schedules a repair after the given time, unless one is scheduled.
func (r *repairs) addChange(after time.Duration) {
	if !r.scheduled.Swap(true) {
		time.AfterFunc(after, func() {
			r.scheduled.Store(false)
			notify(r.due)
		})
	}
}

// repairRankings repairs the rankings whenever a repair is due, until ctx ends. One instance at a
// time repairs them.
func (s *Store) repairRankings(ctx context.Context) {
	notify(s.repairs.due)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.repairs.due:
		}
		for !s.repairAll(ctx) {
			if !sleep(ctx, jitter(repairRetries*s.options.Intervals.Repair)) {
				return
			}
		}
	}
}

// repairRetries is the pause before another attempt, in steps, if another instance repairs or
// Redis is away.
const repairRetries = 5

// buildSpeed divides the pauses of the repair that completes the directories by name after an
// upgrade, since each list by name scans all keys until then. The repair takes some percent of
// Redis's time.
const buildSpeed = 40

// repairChunk is how many topics a repair reads in one call, less than a millisecond of Redis.
const repairChunk = 200

// repairAll scans all topics slowly, and adds the missing topics to leaderboards and
// directories. It returns false if the repair must be repeated: it failed, or another instance
// holds the lease and may have begun its scan before the changes.
func (s *Store) repairAll(ctx context.Context) (done bool) {
	if held, err := s.acquireLease(ctx, repairLease); err != nil || !held || s.copyNames(ctx) != nil {
		return false
	}
	pause, dropped := s.options.Intervals.Repair, s.ranks.dropped.Load()
	if !s.haveAllNames(ctx) {
		pause /= buildSpeed
	}
	isUrgent := s.repairs.isUrgent.Swap(false)
	if isUrgent {
		pause /= urgentRepair
		defer func() {
			if !done {
				s.repairs.isUrgent.Store(true)
			}
		}()
	}
	for _, n := range s.nodes() {
		for cursor := uint64(0); ; {
			if !sleep(ctx, jitter(pause)) {
				return true
			}
			if s.repairs.isUrgent.Load() {
				return false // Redis restarted, perhaps with older data than was scanned
			}
			if held, err := s.acquireLease(ctx, repairLease); err != nil || !held {
				return false
			}
			next, err := n.repairStep(ctx, cursor)
			if err != nil {
				return false
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	done = len(s.nodes()) > 0 && s.flushRanks(s.options.Timeout) && s.ranks.dropped.Load() == dropped && s.setAllNames(ctx) == nil
	_, _ = s.setLease(ctx, repairLease, 0) // else it expires
	return done
}

// repairStep continues the scan of a node at cursor.
func (n *node) repairStep(ctx context.Context, cursor uint64) (next uint64, err error) {
	s := n.store
	if err := s.checkUsable(); err != nil {
		return cursor, err
	}
	keys, next, err := n.scanStep(ctx, cursor, s.names.countPattern(tally.Scope{}))
	if err != nil {
		return cursor, err
	}
	var queries []tally.Query
	for _, topic := range s.countedTopics(keys) {
		queries = append(queries, tally.Query{Topic: topic})
	}
	oldest := tally.Since30d.Begin(time.Now().UnixMicro())
	for chunk := range slices.Chunk(queries, repairChunk) {
		readings := s.readStored(ctx, chunk)
		if err := s.reissueOlder(ctx, readings); err != nil {
			return cursor, err
		}
		for _, r := range readings {
			switch {
			case r.Err != nil || r.Change.Version == 0:
			case r.Change.Version < oldest:
				s.ranks.add(r.Change, false) // it gains nothing
			default:
				s.changed(r.Change, false)
			}
		}
	}
	return next, nil
}

// reissueOlder reissues topics whose version is below that in the leaderboard, which ignores older
// ones. The node of the topic, in a Cluster, returned with older data.
func (s *Store) reissueOlder(ctx context.Context, readings []tally.Reading) error {
	byMetric := map[siteMetric][]tally.Change{}
	for _, r := range readings {
		if b := metricOf(r.Change.Topic); r.Err == nil && r.Change.Version > 0 {
			byMetric[b] = append(byMetric[b], r.Change)
		}
	}
	var older []tally.Change
	for b, changes := range byMetric {
		keys := make([]string, len(changes))
		for i, change := range changes {
			keys[i] = change.Topic.Key()
		}
		versions, err := s.client.HMGet(ctx, s.names.topVersions(b), keys...).Result()
		if err != nil {
			return tally.Unavailable(fmt.Errorf("read the versions in %s: %w", s.names.top(b), err))
		}
		for i, text := range versions {
			ranked, _ := strconv.ParseInt(valueText(text), 10, 64) // 0: it is not ranked
			if ranked > changes[i].Version {
				// If it changed since it was read, its version is not below the ranked one. If it was
				// deleted, it stays deleted, since its count is 0.
				older = append(older, tally.Change{Topic: changes[i].Topic, Version: ranked - 1})
			}
		}
	}
	reissued, err := s.reissue(ctx, older)
	for _, change := range reissued {
		s.changed(change, false)
	}
	return err
}
