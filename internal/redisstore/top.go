package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// leaderboardSize is how many topics a leaderboard holds.
	leaderboardSize = 10_000
	// lastRanksTimeout is how long the last gathered changes may take when an instance ends.
	lastRanksTimeout = time.Second
	// topChunk is how many topics one script sets; Lua's stack bounds it.
	topChunk = 200
	// maxPendingRanks bounds the topics gathered while Redis is away, some 20 MB. What
	// comes beyond is dropped, and repaired by the sweep.
	maxPendingRanks = 100_000
	// extraTopics is how many topics are looked at beyond those asked for, in place of
	// some whose count went down since.
	extraTopics = 16
	// repairInterval and repairChunk are the pace of the sweep over all topics: enough
	// for a million keys in half an hour, and hardly anything for Redis.
	repairInterval = 2 * time.Second
	repairChunk    = 1000
)

// pendingRanks holds the newest change of each topic that the leaderboards and directories
// lack.
type pendingRanks struct {
	// interval is how long changes are gathered; write writes them.
	interval time.Duration
	flush    func()

	flushing sync.Mutex // held while write is under way
	mu       sync.Mutex
	timer    *time.Timer                  // guarded by mu; nil while nothing waits for it
	closed   bool                         // guarded by mu
	topics   map[tally.Topic]tally.Change // guarded by mu
	ended    map[tally.Topic]int64        // guarded by mu; the version at which a topic ended
}

func (g *pendingRanks) add(stats *counters, change tally.Change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.topics[change.Topic]
	if !ok && len(g.topics) >= maxPendingRanks {
		stats.leaderboardsDropped.Add(1)
		return
	}
	if change.Version > old.Version {
		g.topics[change.Topic] = change
		g.scheduleLocked()
	}
}

// scheduleLocked has what was gathered written in a while.
func (g *pendingRanks) scheduleLocked() {
	if g.timer == nil && !g.closed {
		g.timer = time.AfterFunc(g.interval, func() { // ends with write; close waits for it
			g.flushing.Lock()
			defer g.flushing.Unlock()
			g.mu.Lock()
			closed := g.closed
			g.timer = nil
			g.mu.Unlock()
			if !closed {
				g.flush()
			}
		})
	}
}

// close ends the writing.
func (g *pendingRanks) close() {
	g.mu.Lock()
	g.closed = true
	if g.timer != nil {
		g.timer.Stop()
	}
	g.mu.Unlock()
	g.flushing.Lock()
	defer g.flushing.Unlock()
}

// addEnded notes that a topic ended with change, its last.
func (g *pendingRanks) addEnded(change tally.Change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ended) < maxPendingRanks {
		g.ended[change.Topic] = max(g.ended[change.Topic], change.Version)
		g.scheduleLocked()
	}
}

// take returns what was gathered, by leaderboard, and begins anew.
func (g *pendingRanks) take() (boards map[leaderboard][]tally.Change, ended map[tally.Topic]int64) {
	g.mu.Lock()
	topics, ended := g.topics, g.ended
	g.topics = make(map[tally.Topic]tally.Change, len(topics))
	g.ended = map[tally.Topic]int64{}
	g.mu.Unlock()
	boards = map[leaderboard][]tally.Change{}
	for topic, change := range topics {
		b := leaderboard{topic.Site(), topic.Metric()}
		boards[b] = append(boards[b], change)
	}
	return boards, ended
}

// updateRankings brings leaderboards and directories up to date. What fails is gathered again.
func (s *Store) updateRankings(ctx context.Context) error {
	var calls []redistopology.Call
	var changes [][]tally.Change
	boards, ended := s.ranks.take()
	for site, args := range s.directoryEntries(boards, ended) {
		for chunk := range slices.Chunk(args, 2*topChunk) {
			c := redistopology.NewCall(directoryScript, s.names.directory(site))
			c.Append(chunk...)
			calls, changes = append(calls, c), append(changes, nil)
		}
	}
	listed := len(calls)
	for b, all := range boards {
		for chunk := range slices.Chunk(all, topChunk) {
			c := redistopology.NewCall(topScript, s.names.top(b), s.names.topVersions(b))
			c.Append(leaderboardSize)
			for _, change := range chunk {
				var score any = -change.Count
				if version, gone := ended[change.Topic]; gone && version >= change.Version {
					score = ""
				}
				c.Append(change.Topic.Key(), score, change.Version)
			}
			calls, changes = append(calls, c), append(changes, chunk)
		}
	}
	if len(calls) == 0 {
		return nil
	}
	s.topology.Call(ctx, calls)
	var failed error
	for i := range calls {
		if calls[i].Err == nil {
			continue
		}
		failed = fmt.Errorf("leaderboard: %w", calls[i].Err)
		again := changes[i]
		if i < listed { // which topics it was of is not worth remembering
			again = slices.Concat(slices.Collect(maps.Values(boards))...)
			for topic, version := range ended {
				s.ranks.addEnded(tally.Change{Topic: topic, Version: version})
			}
		}
		for _, change := range again {
			s.ranks.add(&s.stats, change)
		}
	}
	return failed
}

// directoryEntries returns what the directories are told, by site: directory.lua's arguments.
func (s *Store) directoryEntries(boards map[leaderboard][]tally.Change, ended map[tally.Topic]int64) map[string][]any {
	sites := map[string][]any{}
	add := func(topic tally.Topic, version int64) {
		name := topic.Metric() + "/" + topic.Key()
		sites[topic.Site()] = append(sites[topic.Site()], name, version)
	}
	for _, changes := range boards {
		if len(changes) == 0 || s.catalog.Rule(changes[0].Topic).Kind == tally.Presence {
			continue
		}
		for _, change := range changes {
			if _, gone := ended[change.Topic]; !gone || change.Version > ended[change.Topic] {
				add(change.Topic, change.Version)
			}
		}
	}
	for topic, version := range ended {
		add(topic, -version)
	}
	return sites
}

// Top implements [tally.Store]: the order is the leaderboard's, the counts are
// the topics' own.
func (s *Store) Top(ctx context.Context, site, metric string, limit int) ([]tally.Change, error) {
	if err := s.checkUsable(); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	name := s.names.top(leaderboard{site, metric})
	command := redis.NewZSliceCmd(ctx, "zrange", name, 0, limit+extraTopics-1, "withscores")
	s.do(ctx, name, command)
	ranked, err := command.Result()
	if err != nil {
		return nil, tally.Unavailable(fmt.Errorf("leaderboard of %s/%s: %w", site, metric, err))
	}
	queries := make([]tally.Query, 0, len(ranked))
	scores := make([]float64, 0, len(ranked))
	for _, z := range ranked {
		key, _ := z.Member.(string)
		if topic, err := tally.NewTopic(site, metric, key); err == nil {
			queries, scores = append(queries, tally.Query{Topic: topic}), append(scores, z.Score)
		}
	}
	var top []tally.Change
	for i, r := range s.readStored(ctx, queries) {
		if r.Err != nil {
			return nil, r.Err
		}
		if float64(-r.Change.Count) != scores[i] {
			s.ranks.add(&s.stats, r.Change)
		}
		if r.Change.Count > 0 {
			top = append(top, r.Change)
		}
	}
	slices.SortFunc(top, func(a, b tally.Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Topic.String(), b.Topic.String()))
	})
	return top[:min(limit, len(top))], nil
}

// flushRanks brings the leaderboards and directories up to date, some time after a change.
func (s *Store) flushRanks() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = s.updateRankings(ctx) // gathered again; the probe tells of a Redis that is away
}

// flushLastRanks sees to it that what changed last is not lost with the instance.
func (s *Store) flushLastRanks() {
	ctx, cancel := context.WithTimeout(context.Background(), lastRanksTimeout)
	defer cancel()
	_ = s.updateRankings(ctx) // the sweep of another instance repairs it
}

// repairRankings goes over all topics, slowly and for ever, until ctx ends, and gives the
// leaderboards what an instance that ended, or a Redis that forgot, owes them.
func (s *Store) repairRankings(ctx context.Context) {
	cursors := map[*node]uint64{}
	for sleep(ctx, jitter(repairInterval)) {
		nodes := s.nodes()
		for n := range cursors {
			if !slices.Contains(nodes, n) {
				delete(cursors, n)
			}
		}
		for _, n := range nodes {
			if next, err := n.repairRankings(ctx, cursors[n]); err == nil {
				cursors[n] = next
			}
		}
	}
}

func (n *node) repairRankings(ctx context.Context, cursor uint64) (next uint64, err error) {
	s := n.store
	if err := s.checkUsable(); err != nil {
		return cursor, err
	}
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	keys, next, err := n.Client.Scan(ctx, cursor, s.names.countPattern(tally.Scope{}), repairChunk).Result()
	if err != nil {
		return cursor, err
	}
	var queries []tally.Query
	for _, key := range keys {
		if text, ok := s.names.countTopic(key); ok {
			if topic, err := s.catalog.Resolve(text); err == nil {
				queries = append(queries, tally.Query{Topic: topic})
			}
		}
	}
	for _, r := range s.readStored(ctx, queries) {
		if r.Err == nil && r.Change.Version > 0 {
			s.ranks.add(&s.stats, r.Change)
		}
	}
	return next, nil
}
