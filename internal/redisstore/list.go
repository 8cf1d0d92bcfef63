package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// listChunk is how many entries of a directory or leaderboard one command reads at most: some
// tenths of a millisecond of Redis.
const listChunk = 1000

// byName orders topics by site, metric and key.
func byName(a, b tally.Topic) int {
	return cmp.Or(strings.Compare(a.Site(), b.Site()), strings.Compare(a.Metric(), b.Metric()), strings.Compare(a.Key(), b.Key()))
}

// List implements [tally.Ledger]. The orders are those of directories and leaderboards, with the
// current numbers. It scans the keys of all primaries for topics that are not in them: ByCount
// beyond the end of a leaderboard, and ByTopic until a repair completed the directory.
func (s *Store) List(ctx context.Context, l tally.Listing) (tally.Page, error) {
	if err := s.checkUsable(); err != nil {
		return tally.Page{}, err
	}
	if l.Limit <= 0 || l.Limit > tally.MaxPortion {
		l.Limit = tally.MaxPortion
	}
	after, err := l.Cursor()
	if err != nil {
		return tally.Page{}, err
	}
	if l.Scope.Exact {
		return s.page(ctx, l, s.scannedTopics(ctx, l, after))
	}
	s.flushRanks(timeout) // if Redis fails, so does the list
	if l.Order == tally.ByTopic {
		return s.page(ctx, l, s.orScanned(ctx, l, after, s.namedTopics(ctx, l, after)))
	}
	var sources []*ranking
	for _, site := range s.catalog.Sites() {
		if l.Scope.Site != "" && l.Scope.Site != site {
			continue
		}
		if l.Order == tally.ByNewest {
			sources = append(sources, s.newest(l, after, site))
			continue
		}
		for _, metric := range s.catalog.Metrics() {
			if any, err := tally.NewTopic(site, metric, "any"); err == nil && s.catalog.CheckEditable(any) == nil &&
				(l.Scope.Metric == "" || l.Scope.Metric == metric) {
				sources = append(sources, s.highest(l, after, site, metric))
			}
		}
	}
	return s.page(ctx, l, s.orScanned(ctx, l, after, func(n int) ([]tally.Cursor, projectionEnd, error) {
		return s.highestOf(ctx, l, after, sources, n)
	}))
}

// takeTopics returns n or more further topics of an order, or all. A long list comes in
// portions of another size.
type takeTopics func(n int) (some []tally.Cursor, ended bool, err error)

// projectionEnd says whether a projection has further topics.
type projectionEnd int

const (
	haveMore       projectionEnd = iota
	endsComplete                 // all topics were taken
	endsIncomplete               // further topics are not in the projection
)

// orScanned takes topics from a projection, and from a scan when the projection does not have
// all.
func (s *Store) orScanned(ctx context.Context, l tally.Listing, after *tally.Cursor, take func(n int) ([]tally.Cursor, projectionEnd, error)) takeTopics {
	last := after
	var scanned takeTopics
	return func(n int) ([]tally.Cursor, bool, error) {
		if scanned != nil {
			return scanned(n)
		}
		some, end, err := take(n)
		if len(some) > 0 {
			last = &some[len(some)-1]
		}
		if end == endsIncomplete {
			scanned = s.scannedTopics(ctx, l, last)
		}
		return some, end == endsComplete, err
	}
}

// ranking reads one sorted set of topics in chunks.
type ranking struct {
	next    redis.ZRangeArgs // of the next chunk
	topicOf func(member string) (tally.Topic, error)
	sign    int64 // a score times sign is the value that topics are ordered by, highest first

	// versions is the key of the hash that says whether topics were cut; empty if none ever
	// are.
	versions string

	ended    bool
	cut      bool           // there are topics that the ranking does not have
	buffered []tally.Cursor // read but not used
}

// firstChunk is how many entries the first command reads. Further ones read twice as many each,
// since the scope may have few of them.
func firstChunk(l tally.Listing) int64 { return int64(min(l.Limit+1, listChunk)) }

func (s *Store) newest(l tally.Listing, after *tally.Cursor, site string) *ranking {
	last := "+inf"
	if l.Before != 0 {
		last = "(" + strconv.FormatInt(l.Before, 10)
	}
	if after != nil && (l.Before == 0 || after.Value < l.Before) {
		last = strconv.FormatInt(after.Value, 10)
	}
	return &ranking{
		next: redis.ZRangeArgs{Key: s.names.directory(site), Start: last, Stop: "-inf", ByScore: true, Rev: true, Count: firstChunk(l)}, sign: 1,
		topicOf: func(member string) (tally.Topic, error) { return tally.ParseTopic(site + "/" + member) },
	}
}

func (s *Store) highest(l tally.Listing, after *tally.Cursor, site, metric string) *ranking {
	first := "-inf"
	if after != nil {
		first = strconv.FormatInt(-after.Value, 10)
	}
	return &ranking{
		next: redis.ZRangeArgs{Key: s.names.top(leaderboard{site, metric}), Start: first, Stop: "+inf", ByScore: true, Count: firstChunk(l)}, sign: -1,
		topicOf:  func(member string) (tally.Topic, error) { return tally.NewTopic(site, metric, member) },
		versions: s.names.topVersions(leaderboard{site, metric}),
	}
}

// fill reads the next topics if none are buffered.
func (r *ranking) fill(ctx context.Context, s *Store, l tally.Listing) error {
	for len(r.buffered) == 0 && !r.ended {
		pipe := s.client.Pipeline()
		chunk := pipe.ZRangeArgsWithScores(ctx, r.next)
		var size *redis.IntCmd
		var cut *redis.StringCmd
		if r.versions != "" {
			size, cut = pipe.ZCard(ctx, r.next.Key), pipe.HGet(ctx, r.versions, "")
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		found, err := chunk.Result()
		if err != nil {
			return tally.Unavailable(fmt.Errorf("list %s: %w", r.next.Key, err))
		}
		// Earlier releases cut leaderboards without the field. A failed read may hide a cut.
		r.cut = cut != nil && (size.Val() >= leaderboardSize || !errors.Is(cut.Err(), redis.Nil))
		r.ended = int64(len(found)) < r.next.Count
		r.skip(found)
		r.next.Count = min(2*r.next.Count, listChunk)
		for _, z := range found {
			member, _ := z.Member.(string)
			topic, err := r.topicOf(member)
			if err == nil && l.Scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
				r.buffered = append(r.buffered, tally.Cursor{Value: r.sign * int64(z.Score), Topic: topic})
			}
		}
	}
	return nil
}

// skip lets the next chunk begin after found. It begins at the last score, since Redis walks
// over as many topics as the offset says.
func (r *ranking) skip(found []redis.Z) {
	if len(found) == 0 {
		return
	}
	last := found[len(found)-1].Score
	equal := 0
	for equal < len(found) && found[len(found)-1-equal].Score == last {
		equal++
	}
	if equal == len(found) {
		r.next.Offset += int64(equal)
		return
	}
	r.next.Start, r.next.Offset = strconv.FormatFloat(last, 'f', -1, 64), int64(equal)
}

// byRank orders by value, highest first, and equal values by name.
func byRank(a, b tally.Cursor) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), byName(a.Topic, b.Topic))
}

// page returns a page of the topics that take returns in order.
func (s *Store) page(ctx context.Context, l tally.Listing, take takeTopics) (page tally.Page, err error) {
	var missing []tally.Topic
	defer func() { s.dropMissing(ctx, missing) }()
	for {
		// One more than the limit shows that there is another page.
		some, ended, err := take(l.Limit + 1 - len(page.States))
		if err != nil {
			return tally.Page{}, err
		}
		topics := make([]tally.Topic, len(some))
		for i, c := range some {
			topics[i] = c.Topic
		}
		states, err := s.states(ctx, topics)
		if err != nil {
			return tally.Page{}, err
		}
		for i, state := range states {
			if state.Version == 0 && !l.Scope.Exact {
				missing = append(missing, state.Topic)
			}
			if state.Version == 0 || l.Before != 0 && state.Version >= l.Before {
				continue
			}
			if len(page.States) == l.Limit {
				return page, nil
			}
			page.States = append(page.States, state)
			page.Next = some[i].Text(l.Order)
		}
		if ended {
			page.Next = ""
			s.scanCache.drop(l)
			return page, nil
		}
	}
}

// highestOf takes n or more topics from the rankings, the highest first, or all. Equal
// scores are taken together and sorted here: sorted sets differ in the order of names. It
// ends when a ranking that does not have all topics is used up.
func (s *Store) highestOf(ctx context.Context, l tally.Listing, after *tally.Cursor, sources []*ranking, n int) (some []tally.Cursor, end projectionEnd, err error) {
	var equal []tally.Cursor // topics of the score that is taken now
	for {
		var next *ranking
		for _, r := range sources {
			if err := r.fill(ctx, s, l); err != nil {
				return nil, haveMore, err
			}
			if len(r.buffered) == 0 && r.cut {
				return some, endsIncomplete, nil // without equal, which may lack topics
			}
			if len(r.buffered) > 0 && (next == nil || r.buffered[0].Value > next.buffered[0].Value) {
				next = r
			}
		}
		if next != nil && (len(equal) == 0 || next.buffered[0].Value == equal[0].Value) {
			equal, next.buffered = append(equal, next.buffered[0]), next.buffered[1:]
			continue
		}
		slices.SortFunc(equal, byRank)
		if after != nil {
			equal = slices.DeleteFunc(equal, func(c tally.Cursor) bool { return byRank(c, *after) <= 0 })
		}
		some, equal = append(some, equal...), equal[:0]
		switch {
		case next == nil:
			return some, endsComplete, nil
		case len(some) >= n:
			return some, haveMore, nil
		}
	}
}

// states reads the stored states of topics; a missing topic has version 0.
func (s *Store) states(ctx context.Context, topics []tally.Topic) ([]tally.State, error) {
	states := make([]tally.State, len(topics))
	for from := 0; from < len(topics); from += readChunk {
		chunk := topics[from:min(from+readChunk, len(topics))]
		commands := make([]*redis.SliceCmd, len(chunk))
		pipe := s.client.Pipeline()
		for i, topic := range chunk {
			commands[i] = pipe.HMGet(ctx, s.names.count(topic), "n", "v", "s", "a")
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for i, topic := range chunk {
			texts, err := fieldTexts(commands[i])
			if err == nil {
				states[from+i], err = parseState(s.catalog.Rule(topic), topic, texts[0], texts[1], texts[2], texts[3])
			}
			if err != nil {
				return nil, tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))
			}
		}
	}
	return states, nil
}
