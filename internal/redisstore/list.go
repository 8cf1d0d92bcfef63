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

	"github.com/tallycast/tallycast/internal/redistopology"
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
// beyond the end of a leaderboard, ByTopic until a repair completed the directory, and in each order
// while Redis refuses changes of them.
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
	// If the flush fails, the projections lack topics.
	if l.Scope.Exact || !s.flushRanks(s.options.Timeout) {
		return s.page(ctx, l, s.scannedTopics(ctx, l, after))
	}
	if l.Order == tally.ByTopic {
		return s.page(ctx, l, s.orScanned(ctx, l, after, s.namedTopics(ctx, l, after)))
	}
	var sources []*ranking
	for _, site := range s.catalog.Sites() {
		if !l.HasSite(site) {
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
		return s.highestOf(ctx, l, sources, n)
	}))
}

// takeTopics returns at least n further topics of an order, fewer if there are no more.
type takeTopics func(n int) (cursors []tally.Cursor, ended bool, err error)

// projectionEnd says whether a projection has further topics.
type projectionEnd int

const (
	haveMore       projectionEnd = iota
	endsComplete                 // all topics were taken
	endsIncomplete               // further topics are not in the projection
)

// orScanned takes topics from a projection, and from a scan after the projection ended incomplete.
func (s *Store) orScanned(ctx context.Context, l tally.Listing, after *tally.Cursor, take func(n int) ([]tally.Cursor, projectionEnd, error)) takeTopics {
	last := after
	var scanned takeTopics
	return func(n int) ([]tally.Cursor, bool, error) {
		if scanned != nil {
			return scanned(n)
		}
		cursors, end, err := take(n)
		if len(cursors) > 0 {
			last = &cursors[len(cursors)-1]
		}
		if end == endsIncomplete {
			scanned = s.scannedTopics(ctx, l, last)
		}
		return cursors, end == endsComplete, err
	}
}

// ranking reads one sorted set of topics in chunks, in the order byRank.
type ranking struct {
	key     string
	topicOf func(member string) (tally.Topic, error)
	sign    int64 // a score times sign is the value

	// versions is the key of the hash that says whether topics were cut; empty if none ever
	// are.
	versions string

	// The next chunk has count topics after this position.
	score, member string
	count         int

	ended    bool
	isCut    bool           // there are topics that the ranking does not have
	buffered []tally.Cursor // read but not used
}

// lastMember sorts after all members of rankings: names are valid UTF-8.
const lastMember = "\xff"

// firstChunk is how many entries the first command reads. Further ones read twice as many each,
// since the scope may have few of them.
func firstChunk(l tally.Listing) int { return min(l.Limit+1, listChunk) }

func (s *Store) newest(l tally.Listing, after *tally.Cursor, site string) *ranking {
	r := &ranking{
		key: s.names.directory(site), sign: 1, score: "+inf", count: firstChunk(l),
		topicOf: func(member string) (tally.Topic, error) { return tally.ParseTopic(site + "/" + member) },
	}
	if l.Before != 0 {
		r.score, r.member = strconv.FormatInt(l.Before, 10), lastMember
		if after != nil && after.Value >= l.Before {
			after = nil
		}
	}
	if after != nil {
		r.beginAfter(*after, strings.Compare(after.Topic.Site(), site), nameOf(after.Topic))
	}
	return r
}

func (s *Store) highest(l tally.Listing, after *tally.Cursor, site, metric string) *ranking {
	r := &ranking{
		key: s.names.top(siteMetric{site, metric}), sign: -1, score: "-inf", count: firstChunk(l),
		topicOf:  func(member string) (tally.Topic, error) { return tally.NewTopic(site, metric, member) },
		versions: s.names.topVersions(siteMetric{site, metric}),
	}
	if after != nil {
		r.beginAfter(*after, cmp.Or(strings.Compare(after.Topic.Site(), site), strings.Compare(after.Topic.Metric(), metric)), after.Topic.Key())
	}
	return r
}

// beginAfter makes r begin after a cursor. If order is 0, the topic of the cursor is in the ranking,
// as member. Otherwise it is before (-1) or after (1) all topics of the ranking with the same value.
func (r *ranking) beginAfter(after tally.Cursor, order int, member string) {
	r.score = strconv.FormatInt(r.sign*after.Value, 10)
	r.member = [...]string{"", member, lastMember}[order+1]
}

// fill reads the next topics if none are buffered.
func (r *ranking) fill(ctx context.Context, s *Store, l tally.Listing) error {
	for len(r.buffered) == 0 && !r.ended {
		found, err := s.follow(ctx, r.key, r.score, r.member, r.count, r.sign)
		if err != nil {
			return err
		}
		for _, place := range found {
			r.score, r.member = place.score, place.member
			value, _ := strconv.ParseFloat(place.score, 64) // Redis formatted it
			topic, err := r.topicOf(r.member)
			if err == nil && l.Scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
				r.buffered = append(r.buffered, tally.Cursor{Value: r.sign * int64(value), Topic: topic})
			}
		}
		if r.ended = len(found) < r.count; r.ended && r.versions != "" {
			r.isCut = s.isCut(ctx, r)
		}
		r.count = min(2*r.count, listChunk)
	}
	return nil
}

// place is a member of a sorted set with its score.
type place struct{ score, member string }

// follow returns at most count members of a sorted set after a place, see script/follow.lua.
func (s *Store) follow(ctx context.Context, key, score, member string, count int, sign int64) (found []place, err error) {
	c := redistopology.NewCall(followScript, key)
	c.Append(score, member, count, sign)
	c = s.call(ctx, c)
	texts, ok := c.Reply.([]any)
	if c.Err != nil || !ok {
		return nil, tally.Unavailable(fmt.Errorf("list %s: %w", key, cmp.Or(c.Err, unexpectedReply(&c))))
	}
	for pair := range slices.Chunk(texts, 2) {
		member, _ := pair[0].(string)
		score, ok := pair[len(pair)-1].(string)
		if !ok || len(pair) < 2 {
			return nil, tally.Unavailable(unexpectedReply(&c))
		}
		found = append(found, place{score, member})
	}
	return found, nil
}

// isCut reports whether a leaderboard does not have all topics. Earlier releases cut
// leaderboards without the field. A failed read may hide a cut.
func (s *Store) isCut(ctx context.Context, r *ranking) bool {
	pipe := s.client.Pipeline()
	size, cut := pipe.ZCard(ctx, r.key), pipe.HGet(ctx, r.versions, "")
	_, _ = pipe.Exec(ctx) // each command has its own error
	return size.Val() >= leaderboardSize || !errors.Is(cut.Err(), redis.Nil)
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
		cursors, ended, err := take(l.Limit + 1 - len(page.States))
		if err != nil {
			return tally.Page{}, err
		}
		topics := make([]tally.Topic, len(cursors))
		for i, c := range cursors {
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
			page.Next = cursors[i].Text(l.Order)
		}
		if ended {
			page.Next = ""
			s.scanCache.drop(l)
			return page, nil
		}
	}
}

// highestOf takes n topics from the rankings, the first in the order byRank, or all. It ends when
// a ranking that does not have all topics is used up.
func (s *Store) highestOf(ctx context.Context, l tally.Listing, sources []*ranking, n int) (cursors []tally.Cursor, end projectionEnd, err error) {
	for len(cursors) < n {
		var next *ranking
		for _, r := range sources {
			if err := r.fill(ctx, s, l); err != nil {
				return nil, haveMore, err
			}
			if len(r.buffered) == 0 && r.isCut {
				return cursors, endsIncomplete, nil
			}
			if len(r.buffered) > 0 && (next == nil || byRank(r.buffered[0], next.buffered[0]) < 0) {
				next = r
			}
		}
		if next == nil {
			return cursors, endsComplete, nil
		}
		cursors, next.buffered = append(cursors, next.buffered[0]), next.buffered[1:]
	}
	return cursors, haveMore, nil
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
