package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// clockSlack is how many minutes the clock of a node may be ahead of another one, and how long
// before midnight an entry may be in the journal of the next day.
const clockSlack = 5

// SearchJournal implements [tally.JournalStore]. It reads the journals of the topics that changed
// since from by the directories by version: a contribution raises the version of its topic to
// the time of the journal entry or more. If the directories may lack topics, or have too many of
// them, or the sites are not known, it scans as Journal does.
func (s *Store) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if scope.Exact || s.catalog.IsOpen() {
		return s.Journal(ctx, scope, from, to, each)
	}
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	from = s.firstMinute(from, now)
	first, last := from/minutesADay, (min(to, now)+clockSlack)/minutesADay
	topics, ok, err := s.changedTopics(ctx, scope, from, last-first+1)
	if err != nil {
		return err
	}
	if !ok {
		return s.Journal(ctx, scope, from, to, each)
	}
	for chunk := range slices.Chunk(topics, journalChunk) {
		var journals []dayJournal
		for _, topic := range chunk {
			journals = append(journals, dayJournals(topic, first, last)...)
		}
		if err := s.readEntries(ctx, journals, from, to, each); err != nil {
			return err
		}
	}
	return nil
}

// keysATopic is how many keys a topic has at least: its count and its members.
const keysATopic = 2

// changedTopics returns the topics of scope that changed since a minute, in their order, by the
// directories by version. It reports false if these may lack topics, or if a scan visits fewer
// keys than the topics have journals on so many days.
func (s *Store) changedTopics(ctx context.Context, scope tally.Scope, since, days int64) (topics []tally.Topic, ok bool, err error) {
	if err := s.checkUsable(); err != nil {
		return nil, false, err
	}
	s.flushRanks(s.options.Timeout) // if Redis fails, so does the search
	sites, total, complete, err := s.directories(ctx, scope)
	if err != nil || !complete {
		return nil, false, err
	}
	for _, site := range sites {
		from := place{score: strconv.FormatInt(since*time.Minute.Microseconds(), 10)}
		for found, err := range s.directoryAfter(ctx, site, from, listChunk) {
			if err != nil {
				return nil, false, err
			}
			for _, p := range found {
				topic, err := tally.ParseTopic(site + "/" + p.member)
				if err == nil && scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
					topics = append(topics, topic)
				}
			}
			if int64(len(topics))*days > keysATopic*total {
				return nil, false, nil
			}
		}
	}
	slices.SortFunc(topics, tally.Topic.Compare)
	return slices.Compact(topics), true, nil // a topic that changes meanwhile is read again
}

// directories returns the sites in scope, and how many topics the directories by version of all
// sites have. Those of the scope are complete if a repair completed those by name, which one
// script updates together with them.
func (s *Store) directories(ctx context.Context, scope tally.Scope) (sites []string, total int64, complete bool, err error) {
	all := s.catalog.Sites()
	marks, names, topics := make([]*redis.FloatCmd, len(all)), make([]*redis.IntCmd, len(all)), make([]*redis.IntCmd, len(all))
	pipe := s.client.Pipeline()
	for i, site := range all {
		marks[i] = pipe.ZScore(ctx, s.names.topicNames(site), completeNames)
		names[i], topics[i] = pipe.ZCard(ctx, s.names.topicNames(site)), pipe.ZCard(ctx, s.names.directory(site))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	complete = true
	for i, site := range all {
		isMarked := !errors.Is(marks[i].Err(), redis.Nil)
		if err := cmp.Or(names[i].Err(), topics[i].Err()); err != nil || isMarked && marks[i].Err() != nil {
			return nil, 0, false, tally.Unavailable(fmt.Errorf("search the topics of %s: %w", site, cmp.Or(err, marks[i].Err())))
		}
		total += topics[i].Val()
		if scope.Site == "" || scope.Site == site {
			sites = append(sites, site)
			complete = complete && isMarked && topics[i].Val() >= names[i].Val()-1 // one is completeNames
		}
	}
	return sites, total, complete, nil
}

// directoryAfter returns the topics of a site after a place in its directory by version, at most
// n at once, the oldest first. Topics that change meanwhile are returned again; the last portion
// has fewer than n, since with those that others change it would never end.
func (s *Store) directoryAfter(ctx context.Context, site string, last place, n int) iter.Seq2[[]place, error] {
	return func(yield func([]place, error) bool) {
		for {
			began := time.Now()
			found, err := s.follow(ctx, s.names.directory(site), last.score, last.member, n, -1)
			if !yield(found, err) || err != nil || len(found) < n {
				return
			}
			last = found[n-1]
			if err := s.giveWay(ctx, began); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
