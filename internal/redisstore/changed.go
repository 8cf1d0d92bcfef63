package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
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
	since := place{score: strconv.FormatInt(from*time.Minute.Microseconds(), 10)}
	sites, ok, err := s.changedSites(ctx, scope, since, last-first+1)
	if err != nil {
		return err
	}
	if !ok {
		return s.Journal(ctx, scope, from, to, each)
	}
	r := s.newJournalReader()
	var journals []dayJournal
	for _, site := range sites {
		seen := seenKeys{seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}}
		for names, err := range s.directoryAfter(ctx, site, since, listChunk) {
			if err != nil {
				return err
			}
			journals = journals[:0]
			for _, name := range seen.unseen(names) { // a topic that changes meanwhile is found again
				metric, key, _ := strings.Cut(name, "/")
				topic, err := tally.NewTopic(site, metric, key)
				if err != nil || !scope.Contains(topic) || s.catalog.CheckEditable(topic) != nil {
					continue
				}
				for day := first; day <= last; day++ {
					journals = append(journals, dayJournal{topic, day})
				}
			}
			if err := r.readEntries(ctx, journals, from, to, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysATopic is how many keys a topic has at least: its count and its members.
const keysATopic = 2

// changedSites returns the sites in scope, whose directories by version have the topics that changed
// since a place. It reports false if these may lack topics, or if a scan visits fewer keys than the
// topics have journals on so many days.
func (s *Store) changedSites(ctx context.Context, scope tally.Scope, since place, days int64) (sites []string, ok bool, err error) {
	if err := s.checkUsable(); err != nil {
		return nil, false, err
	}
	if !s.flushRanks(s.options.Timeout) {
		return nil, false, nil
	}
	sites, total, complete, err := s.directories(ctx, scope)
	if err != nil || !complete {
		return nil, false, err
	}
	changed := int64(0)
	for _, site := range sites {
		page, err := s.directoryPage(ctx, site, since, 1)
		if err != nil {
			return nil, false, err
		}
		changed += page.left
	}
	return sites, changed*days <= keysATopic*total && changed <= maxSeenKeys, nil
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

// directoryPage is a part of a directory by version, the oldest topics first.
type directoryPage struct {
	names []string // metric/key
	last  place    // of the last topic
	left  int64    // topics of the directory from the first of names on
}

// directoryPage returns at most n topics of a site after a place in its directory by version.
func (s *Store) directoryPage(ctx context.Context, site string, after place, n int) (page directoryPage, err error) {
	c := redistopology.NewCall(followScript, s.names.directory(site))
	c.Append(after.score, after.member, n, 0)
	c = s.call(ctx, c)
	head, names, found := strings.Cut(c.Text(), "\n")
	left, score, ok := strings.Cut(head, " ")
	page.left, err = strconv.ParseInt(left, 10, 64)
	if c.Err != nil || err != nil || !ok {
		return directoryPage{}, tally.Unavailable(fmt.Errorf("list %s: %w", s.names.directory(site), cmp.Or(c.Err, unexpectedReply(&c))))
	}
	if found {
		page.names = strings.Split(names, "\n") // names have no control characters
		page.last = place{score, page.names[len(page.names)-1]}
	}
	return page, nil
}

// directoryAfter returns the names of the topics of a site after a place in its directory by version,
// at most n at once, the oldest first. Topics that change meanwhile are returned again; the last
// portion has fewer than n, since with those that others change it would never end.
func (s *Store) directoryAfter(ctx context.Context, site string, last place, n int) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for {
			began := time.Now()
			page, err := s.directoryPage(ctx, site, last, n)
			if err == nil {
				err = s.giveWay(ctx, began)
			}
			if !yield(page.names, err) || err != nil || len(page.names) < n {
				return
			}
			last = page.last
		}
	}
}
