package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxCachedNames is how many names a scan collects for pages by topic, some 10 MB: not
	// each page needs a scan.
	maxCachedNames = 50_000
	// namesRetention is how long names are used for later pages. The first page is always
	// read again.
	namesRetention = time.Minute
)

// nameList is names of topics in order, collected for a page and those after it.
type nameList struct {
	scope tally.Scope
	at    time.Time
	names []tally.Topic
	more  bool // there are more after them
}

// nameCache has the list that was collected last.
type nameCache struct {
	mu   sync.Mutex
	last *nameList // guarded by mu; immutable
}

// set stores a list, unless it is for one topic, which has no second page.
func (c *nameCache) set(l *nameList) {
	if l != nil && l.scope.Exact {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = l
}

// after returns the list for scope if it has names after a topic, and the index of the
// first.
func (c *nameCache) after(scope tally.Scope, after tally.Topic) (l *nameList, from int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l = c.last; l == nil || l.scope != scope || time.Since(l.at) > namesRetention {
		return nil, 0
	}
	at, ok := slices.BinarySearchFunc(l.names, after, byName)
	if !ok || at+1 == len(l.names) && l.more {
		return nil, 0
	}
	return l, at + 1
}

// listByTopic returns a page in the order of names.
func (s *Store) listByTopic(ctx context.Context, l tally.Listing, after *tally.Cursor) (tally.Page, error) {
	var last tally.Topic
	if after != nil {
		last = after.Topic
	}
	known, from := s.nameCache.after(l.Scope, last)
	page, err := s.page(ctx, l, func(int) (some []tally.Cursor, ended bool, err error) {
		if known == nil || from == len(known.names) && known.more {
			if known, err = s.collectNames(ctx, l.Scope, last); err != nil {
				return nil, false, err
			}
			s.nameCache.set(known)
			from = 0
		}
		to := min(from+readChunk, len(known.names))
		for ; from < to; from++ {
			last = known.names[from]
			some = append(some, tally.Cursor{Topic: last})
		}
		return some, from == len(known.names) && !known.more, nil
	})
	if err == nil && page.Next == "" && !l.Scope.Exact {
		s.nameCache.set(nil)
	}
	return page, err
}

// collectNames returns the first maxCachedNames topics of scope after a topic.
func (s *Store) collectNames(ctx context.Context, scope tally.Scope, after tally.Topic) (*nameList, error) {
	l := &nameList{scope: scope, at: time.Now()}
	shorten := func() {
		slices.SortFunc(l.names, byName)
		l.names = slices.Compact(l.names)
		if len(l.names) > maxCachedNames {
			l.names, l.more = l.names[:maxCachedNames], true
		}
	}
	err := s.scanTopics(ctx, scope, func(topics []tally.Topic) error {
		for _, topic := range topics {
			if after == (tally.Topic{}) || byName(topic, after) > 0 {
				l.names = append(l.names, topic)
			}
		}
		if len(l.names) > 2*maxCachedNames {
			shorten()
		}
		return nil
	})
	shorten()
	return l, err
}
