package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// leaderboardSize is how many topics a leaderboard has.
	leaderboardSize = 10_000
	// lastRanksTimeout is how long the last update may take when an instance ends.
	lastRanksTimeout = time.Second
	// maxLastChanges is how many changes may be pending after a call of an owner: they are written
	// within lastRanksTimeout.
	maxLastChanges = 5000
	// topChunk is how many topics one script call updates: some tenths of a millisecond of Redis,
	// for which likes wait. A near Redis gets one call at a time, a far one writeChunk of them.
	topChunk = 50
	// maxPendingChanges bounds the pending topics while Redis is away, some 20 MB. Others are
	// dropped, and repaired later.
	maxPendingChanges = 100_000
	// extraTopics is how many topics are read beyond the limit, since counts may have fallen.
	extraTopics = 16
)

// pendingChanges has the newest change of each topic that a projection lacks: leaderboards and
// directories, or gains.
type pendingChanges struct {
	// interval is how long changes are collected; flush writes them.
	interval time.Duration
	flush    func()
	dropped  atomic.Int64 // changes that did not fit

	flushing sync.Mutex     // held while they are written
	running  sync.WaitGroup // scheduled and running calls of flush
	mu       sync.Mutex
	// Guarded by mu.
	timer  *time.Timer // nil if none runs
	closed bool
	topics map[tally.Topic]pendingChange
}

// pendingChange is a topic's newest count, or its deletion.
type pendingChange struct {
	count, version int64
	deleted        bool
}

// add adds a change; if deleted is set, the topic was deleted with it.
func (g *pendingChanges) add(change tally.Change, deleted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.topics[change.Topic]
	if change.Version < old.version || change.Version == old.version && (!ok || !deleted) {
		return
	}
	if !ok && len(g.topics) >= maxPendingChanges {
		g.dropped.Add(1)
		return
	}
	g.topics[change.Topic] = pendingChange{change.Count, change.Version, deleted}
	g.scheduleLocked()
}

// scheduleLocked calls flush after the interval.
func (g *pendingChanges) scheduleLocked() {
	if g.timer == nil && !g.closed {
		g.running.Add(1)
		g.timer = time.AfterFunc(g.interval, func() { // ends with flush; close waits for it
			defer g.running.Done()
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

// stopLocked ends the wait for the interval.
func (g *pendingChanges) stopLocked() {
	if g.timer != nil && g.timer.Stop() {
		g.timer = nil
		g.running.Done()
	}
}

// close prevents further calls of flush, and waits for the one that runs.
func (g *pendingChanges) close() {
	g.mu.Lock()
	g.closed = true
	g.stopLocked()
	g.mu.Unlock()
	g.running.Wait()
}

// take returns and removes the pending changes. The next one begins an interval.
func (g *pendingChanges) take() map[tally.Topic]pendingChange {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopLocked()
	topics := g.topics
	g.topics = make(map[tally.Topic]pendingChange, len(topics))
	return topics
}

// restore makes topics pending again with the changes that take returned.
func (g *pendingChanges) restore(taken map[tally.Topic]pendingChange, topics []tally.Topic) {
	for _, topic := range topics {
		change := taken[topic]
		g.add(tally.Change{Topic: topic, Count: change.count, Version: change.version}, change.deleted)
	}
}

// flushRanks updates leaderboards and directories with the pending changes, and reports whether
// it could update all. If not, the others are pending again.
func (s *Store) flushRanks(timeout time.Duration) bool {
	s.ranks.flushing.Lock()
	defer s.ranks.flushing.Unlock()
	pending := s.ranks.take()
	if len(pending) == 0 {
		return true
	}
	byMetric := map[siteMetric][]tally.Topic{}
	for topic := range pending {
		byMetric[metricOf(topic)] = append(byMetric[metricOf(topic)], topic)
	}
	var chunks [][]tally.Topic // each of one metric
	for _, all := range byMetric {
		chunks = slices.AppendSeq(chunks, slices.Chunk(all, topChunk))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	size := 1
	if s.topology.IsFar() {
		size = writeChunk
	}
	isFlushed := true
	for some := range slices.Chunk(chunks, size) {
		calls, topics := s.rankCalls(pending, some)
		for few := range slices.Chunk(calls, size) {
			s.topology.Call(ctx, few)
		}
		for i := range calls {
			if calls[i].Err != nil { // probes report why
				isFlushed = false
				s.ranks.restore(pending, topics[i])
			}
		}
	}
	return isFlushed
}

// limitRanks writes the pending changes if there are many. So a command that ends after an import
// leaves leaderboards and directories that have all topics.
func (s *Store) limitRanks() {
	s.ranks.mu.Lock()
	n := len(s.ranks.topics)
	s.ranks.mu.Unlock()
	if n > maxLastChanges {
		s.flushRanks(s.options.Timeout)
	}
}

// rankCalls returns the calls that update leaderboards and directories with chunks of the pending
// changes, and the topics of each call.
func (s *Store) rankCalls(pending map[tally.Topic]pendingChange, chunks [][]tally.Topic) (calls []redistopology.Call, topics [][]tally.Topic) {
	for _, chunk := range chunks {
		b := metricOf(chunk[0])
		board := redistopology.NewCall(topScript, s.names.top(b), s.names.topVersions(b))
		directory := redistopology.NewCall(directoryScript, s.names.directory(b.site), s.names.topicNames(b.site))
		board.Append(leaderboardSize)
		for _, topic := range chunk {
			change := pending[topic]
			score, version := any(-change.count), change.version
			if change.deleted {
				score, version = "", -change.version
			}
			board.Append(topic.Key(), score, change.version)
			directory.Append(topic.String()[len(b.site)+1:], version)
		}
		if !s.isPresence(chunk[0]) {
			calls, topics = append(calls, directory), append(topics, chunk)
		}
		calls, topics = append(calls, board), append(topics, chunk)
	}
	return calls, topics
}

// Top implements [tally.Store]. It reads the leaderboard and then the current counts.
func (from reader) Top(ctx context.Context, site, metric string, limit int) ([]tally.Change, error) {
	s := from.store
	if err := s.checkUsable(); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	ranked, err := from.client.ZRangeWithScores(ctx, s.names.top(siteMetric{site, metric}), 0, int64(limit+extraTopics-1)).Result()
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
	for i, r := range s.read(ctx, from, queries, false, marker{}) {
		if isTopicError(r.Err) {
			continue
		}
		if r.Err != nil {
			return nil, r.Err
		}
		if float64(-r.Change.Count) != scores[i] && from == s.reader {
			s.ranks.add(r.Change, false)
		}
		if r.Change.Count > 0 {
			top = append(top, r.Change)
		}
	}
	slices.SortFunc(top, func(a, b tally.Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.Topic.Compare(b.Topic))
	})
	return top[:min(limit, len(top))], nil
}
