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
func (s *Store) listByTopic(ctx context.Context, l tally.Listing) (page tally.Page, err error) {
	cursor, err := l.Cursor()
	if err != nil {
		return tally.Page{}, err
	}
	var after tally.Topic
	if cursor != nil {
		after = cursor.Topic
	}
	known, from := s.nameCache.after(l.Scope, after)
	for {
		if known == nil {
			if known, err = s.collectNames(ctx, l.Scope, after); err != nil {
				return tally.Page{}, err
			}
			s.nameCache.set(known)
			from = 0
		}
		for chunk := range slices.Chunk(known.names[from:], readChunk) {
			states, err := s.states(ctx, chunk)
			if err != nil {
				return tally.Page{}, err
			}
			for _, state := range states {
				if state.Version == 0 || l.Before != 0 && state.Version >= l.Before {
					continue
				}
				if len(page.States) == l.Limit {
					return page, nil
				}
				page.States = append(page.States, state)
				page.Next = tally.Cursor{Topic: state.Topic}.Text(l.Order)
			}
		}
		if !known.more {
			if !known.scope.Exact {
				s.nameCache.set(nil)
			}
			page.Next = ""
			return page, nil
		}
		after, known = known.names[len(known.names)-1], nil
	}
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
