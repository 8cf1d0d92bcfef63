package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// leaderboardSize is how many topics a leaderboard has.
	leaderboardSize = 10_000
	// lastRanksTimeout is how long the last update may take when an instance ends.
	lastRanksTimeout = time.Second
	// topChunk is how many topics one script call updates; Lua's stack limits it.
	topChunk = 200
	// maxPendingRanks bounds the pending topics while Redis is away, some 20 MB. Others are
	// dropped, and repaired later.
	maxPendingRanks = 100_000
	// extraTopics is how many topics are read in addition, in case that counts have fallen.
	extraTopics = 16
	// repairInterval and repairChunk are the pace of repairs: a million keys in half an
	// hour, at a small cost for Redis.
	repairInterval = 2 * time.Second
	repairChunk    = 1000
)

// pendingRanks has the newest change of each topic that leaderboards and directories lack.
type pendingRanks struct {
	// interval is how long changes are collected; flush writes them.
	interval time.Duration
	flush    func()

	flushing sync.Mutex // held while flush runs
	mu       sync.Mutex
	timer    *time.Timer                  // guarded by mu; nil if none runs
	closed   bool                         // guarded by mu
	topics   map[tally.Topic]tally.Change // guarded by mu
	deleted  map[tally.Topic]int64        // guarded by mu; the version at which a topic was deleted
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

// scheduleLocked calls flush after the interval.
func (g *pendingRanks) scheduleLocked() {
	if g.timer == nil && !g.closed {
		g.timer = time.AfterFunc(g.interval, func() { // ends with flush; close waits for it
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

// close waits for flush and prevents further ones.
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

// addDeleted records that a topic was deleted with change, its last.
func (g *pendingRanks) addDeleted(change tally.Change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.deleted) < maxPendingRanks {
		g.deleted[change.Topic] = max(g.deleted[change.Topic], change.Version)
		g.scheduleLocked()
	}
}

// take returns and removes the pending changes, by leaderboard.
func (g *pendingRanks) take() (boards map[leaderboard][]tally.Change, deleted map[tally.Topic]int64) {
	g.mu.Lock()
	topics, deleted := g.topics, g.deleted
	g.topics = make(map[tally.Topic]tally.Change, len(topics))
	g.deleted = map[tally.Topic]int64{}
	g.mu.Unlock()
	boards = map[leaderboard][]tally.Change{}
	for topic, change := range topics {
		b := leaderboard{topic.Site(), topic.Metric()}
		boards[b] = append(boards[b], change)
	}
	return boards, deleted
}

// flushRanks updates leaderboards and directories. If that fails, the changes are pending
// again.
func (s *Store) flushRanks(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var calls []redistopology.Call
	boards, deleted := s.ranks.take()
	for site, args := range s.directoryEntries(boards, deleted) {
		for chunk := range slices.Chunk(args, 2*topChunk) {
			c := redistopology.NewCall(directoryScript, s.names.directory(site))
			c.Append(chunk...)
			calls = append(calls, c)
		}
	}
	for b, changes := range boards {
		for chunk := range slices.Chunk(changes, topChunk) {
			c := redistopology.NewCall(topScript, s.names.top(b), s.names.topVersions(b))
			c.Append(leaderboardSize)
			for _, change := range chunk {
				var score any = -change.Count
				if version, ok := deleted[change.Topic]; ok && version >= change.Version {
					score = ""
				}
				c.Append(change.Topic.Key(), score, change.Version)
			}
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		return
	}
	s.topology.Call(ctx, calls)
	if !slices.ContainsFunc(calls, func(c redistopology.Call) bool { return c.Err != nil }) {
		return
	}
	for _, changes := range boards { // probes report why
		for _, change := range changes {
			s.ranks.add(&s.stats, change)
		}
	}
	for topic, version := range deleted {
		s.ranks.addDeleted(tally.Change{Topic: topic, Version: version})
	}
}

// directoryEntries returns the arguments of directory.lua, by site.
func (s *Store) directoryEntries(boards map[leaderboard][]tally.Change, deleted map[tally.Topic]int64) map[string][]any {
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
			if _, ok := deleted[change.Topic]; !ok || change.Version > deleted[change.Topic] {
				add(change.Topic, change.Version)
			}
		}
	}
	for topic, version := range deleted {
		add(topic, -version)
	}
	return sites
}

// Top implements [tally.Store]. It reads the leaderboard and then the current counts.
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
	if err := s.do(ctx, name, command); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("leaderboard of %s/%s: %w", site, metric, err))
	}
	queries := make([]tally.Query, 0, len(command.Val()))
	scores := make([]float64, 0, len(command.Val()))
	for _, z := range command.Val() {
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

// repairRankings scans all topics slowly until ctx ends, and adds to leaderboards and
// directories what was lost with an instance or by Redis.
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

// repairRankings continues the scan of a node at cursor.
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
