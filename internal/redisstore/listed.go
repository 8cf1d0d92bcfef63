package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// listNamed is how many names are gathered at once for pages by topic, some 10 MB,
	// so that whoever turns pages does not have all keys gone over for each.
	listNamed = 50_000
	// listKept is how long the names serve the pages that follow the first, which is
	// always as of now.
	listKept = time.Minute
)

// listed is names of topics in order, gathered for a page and kept for those that
// follow it.
type listed struct {
	scope tally.Scope
	at    time.Time
	names []tally.Topic
	more  bool // there are some behind them
}

// lastListed is the last that was gathered.
type lastListed struct {
	mu   sync.Mutex
	last *listed // guarded by mu; not changed once made
}

// set keeps what was gathered; one topic alone has no page that follows.
func (k *lastListed) set(l *listed) {
	if l != nil && l.scope.Exact {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = l
}

// following returns the names behind after, where they are known still.
func (k *lastListed) following(scope tally.Scope, after tally.Topic) (l *listed, from int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l = k.last; l == nil || l.scope != scope || time.Since(l.at) > listKept {
		return nil, 0
	}
	at, ok := slices.BinarySearchFunc(l.names, after, byName)
	if !ok || at+1 == len(l.names) && l.more {
		return nil, 0
	}
	return l, at + 1
}

// listByTopic returns a page by name.
func (s *Store) listByTopic(ctx context.Context, l tally.Listing) (page tally.Page, err error) {
	var after tally.Topic
	if l.After != "" {
		if after, err = tally.ParseTopic(l.After); err != nil {
			return tally.Page{}, tally.Errorf(tally.CodeBadBody, "%q is not what a page of this list gave as next", l.After)
		}
	}
	known, from := s.listed.following(l.Scope, after)
	for {
		if known == nil {
			if known, err = s.gatherNames(ctx, l.Scope, after); err != nil {
				return tally.Page{}, err
			}
			s.listed.set(known)
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
				page.Next = state.Topic.String()
			}
		}
		if !known.more {
			if !known.scope.Exact {
				s.listed.set(nil)
			}
			page.Next = ""
			return page, nil
		}
		after, known = known.names[len(known.names)-1], nil
	}
}

// gatherNames returns the first listNamed topics of scope behind after.
func (s *Store) gatherNames(ctx context.Context, scope tally.Scope, after tally.Topic) (*listed, error) {
	l := &listed{scope: scope, at: time.Now()}
	shorten := func() {
		slices.SortFunc(l.names, byName)
		l.names = slices.Compact(l.names)
		if len(l.names) > listNamed {
			l.names, l.more = l.names[:listNamed], true
		}
	}
	err := s.scanTopics(ctx, scope, func(topics []tally.Topic) error {
		for _, topic := range topics {
			if after == (tally.Topic{}) || byName(topic, after) > 0 {
				l.names = append(l.names, topic)
			}
		}
		if len(l.names) > 2*listNamed {
			shorten()
		}
		return nil
	})
	shorten()
	return l, err
}
