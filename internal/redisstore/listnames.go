package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// completeNames is the member of a directory by name that has all topics of its site. It is part
// of the directory, so that Redis cannot lose the topics and keep it.
const completeNames = ""

// namedTopics takes the topics after a cursor, nil for the first, from the directories by name.
func (s *Store) namedTopics(ctx context.Context, l tally.Listing, after *tally.Cursor) func(n int) ([]tally.Cursor, projectionEnd, error) {
	sites := slices.Sorted(slices.Values(s.catalog.Sites()))
	sites = slices.DeleteFunc(sites, func(site string) bool {
		return !l.HasSite(site) || after != nil && site < after.Topic.Site()
	})
	first, end := nameRange(l.Scope)
	start := first
	if after != nil && len(sites) > 0 && sites[0] == after.Topic.Site() && nameOf(after.Topic) >= first[1:] {
		start = "(" + nameOf(after.Topic)
	}
	return func(n int) (cursors []tally.Cursor, projection projectionEnd, err error) {
		for len(cursors) < n {
			if len(sites) == 0 {
				return cursors, endsComplete, nil
			}
			size := min(max(n, 1), listChunk)
			names, complete, err := s.readNames(ctx, sites[0], start, end, size)
			if err != nil {
				return nil, haveMore, err
			}
			if !complete {
				return cursors, endsIncomplete, nil
			}
			for _, name := range names {
				topic, err := tally.ParseTopic(sites[0] + "/" + name)
				if err == nil && l.Scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
					cursors = append(cursors, tally.Cursor{Topic: topic})
				}
			}
			if len(names) < size {
				sites, start = sites[1:], first
			} else {
				start = "(" + names[size-1]
			}
		}
		return cursors, haveMore, nil
	}
}

// nameOf returns the member of a topic in the directory of its site. Members sort as topics do:
// the slash sorts before all characters of a metric.
func nameOf(topic tally.Topic) string { return topic.Metric() + "/" + topic.Key() }

// nameRange returns the range of ZRANGEBYLEX that has the names in scope.
func nameRange(scope tally.Scope) (start, end string) {
	if scope.Metric == "" {
		return "(" + completeNames, "+"
	}
	name := scope.Metric + "/" + scope.Prefix
	return "[" + name, "(" + name + "\xff" // which is in no key: keys are UTF-8
}

// readNames returns at most size names from start to end of a site's directory by name, and
// whether the directory has all topics.
func (s *Store) readNames(ctx context.Context, site, start, end string, size int) (names []string, complete bool, err error) {
	key := s.names.topicNames(site)
	pipe := s.client.Pipeline()
	mark := pipe.ZScore(ctx, key, completeNames)
	found := pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, Start: start, Stop: end, ByLex: true, Count: int64(size)})
	_, _ = pipe.Exec(ctx) // each command has its own error
	if errors.Is(mark.Err(), redis.Nil) {
		return nil, false, nil
	}
	if names, err = found.Result(); err == nil {
		err = mark.Err()
	}
	if err != nil {
		return nil, false, tally.Unavailable(fmt.Errorf("list %s: %w", key, err))
	}
	return names, true, nil
}

// haveAllNames reports whether the directories by name of all sites have all topics.
func (s *Store) haveAllNames(ctx context.Context) bool {
	for _, site := range s.catalog.Sites() {
		if err := s.client.ZScore(ctx, s.names.topicNames(site), completeNames).Err(); err != nil {
			return false
		}
	}
	return true
}

// copiedNames is how many names one command copies: some tenths of a millisecond of Redis.
const copiedNames = 500

// copyNames adds the topics of the directories by version to those by name. An older release
// writes the former only, so that names are missing after an upgrade, or if it ran again.
func (s *Store) copyNames(ctx context.Context) error {
	for _, site := range s.catalog.Sites() {
		pipe := s.client.Pipeline()
		topics, names := pipe.ZCard(ctx, s.names.directory(site)), pipe.ZCard(ctx, s.names.topicNames(site))
		if _, err := pipe.Exec(ctx); err != nil {
			return tally.Unavailable(fmt.Errorf("count the names of %s: %w", site, err))
		}
		if topics.Val() <= names.Val()-1 { // one is completeNames
			continue
		}
		if err := s.copySiteNames(ctx, site); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) copySiteNames(ctx context.Context, site string) error {
	for names, err := range s.directoryAfter(ctx, site, place{score: "-inf"}, copiedNames) {
		if err != nil || len(names) == 0 {
			return err
		}
		members := make([]redis.Z, len(names))
		for i, name := range names {
			members[i].Member = name
		}
		if err := s.client.ZAdd(ctx, s.names.topicNames(site), members...).Err(); err != nil {
			return tally.Unavailable(fmt.Errorf("copy the names of %s: %w", site, err))
		}
	}
	return nil
}

// setAllNames records that the directories by name have all topics.
func (s *Store) setAllNames(ctx context.Context) error {
	for _, site := range s.catalog.Sites() {
		if err := s.client.ZAdd(ctx, s.names.topicNames(site), redis.Z{Member: completeNames}).Err(); err != nil {
			return tally.Unavailable(fmt.Errorf("complete %s: %w", s.names.topicNames(site), err))
		}
	}
	return nil
}

// dropMissing drops topics that do not exist from the directories: an older release deleted them,
// or instances wrote the creation after the deletion.
func (s *Store) dropMissing(ctx context.Context, topics []tally.Topic) {
	if len(topics) == 0 {
		return
	}
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	// A topic that is created after this has a greater version, and stays.
	versions := make([]*redis.FloatCmd, len(topics))
	pipe := s.client.Pipeline()
	for i, topic := range topics {
		versions[i] = pipe.ZScore(ctx, s.names.directory(topic.Site()), nameOf(topic))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	states, err := s.states(ctx, topics)
	if err != nil {
		return // a later list drops them
	}
	for i, state := range states {
		if err := versions[i].Err(); state.Version == 0 && (err == nil || errors.Is(err, redis.Nil)) {
			s.ranks.add(tally.Change{Topic: state.Topic, Version: max(int64(versions[i].Val()), 1)}, true)
		}
	}
}
