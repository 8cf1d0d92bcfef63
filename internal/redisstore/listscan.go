package redisstore

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxScannedTopics is how many topics a scan collects for pages, some 10 MB: not each
	// page needs a scan.
	maxScannedTopics = 50_000
	// scannedRetention is how long they are used for later pages. The first page is always
	// read again.
	scannedRetention = time.Minute
)

// scannedList is topics in order, collected by a scan for a page and those after it. It is immutable.
type scannedList struct {
	scope  tally.Scope
	sites  []string
	order  tally.Order
	at     time.Time
	topics []tally.Cursor // in the order byRank, which is by name if all values are 0
	more   bool           // there are more after them
}

func (l *scannedList) isFor(listing tally.Listing) bool {
	return l != nil && l.scope == listing.Scope && l.order == listing.Order && slices.Equal(l.sites, listing.Sites)
}

// scanCache has the list that was collected last.
type scanCache struct{ atomic.Pointer[scannedList] }

// drop drops the list for a listing.
func (c *scanCache) drop(listing tally.Listing) {
	if l := c.Load(); l.isFor(listing) {
		c.CompareAndSwap(l, nil)
	}
}

// after returns the list for a listing if it has topics after a cursor, and the index of the
// first.
func (c *scanCache) after(listing tally.Listing, after tally.Cursor) (l *scannedList, from int) {
	if l = c.Load(); !l.isFor(listing) || time.Since(l.at) > scannedRetention {
		return nil, 0
	}
	at, ok := slices.BinarySearchFunc(l.topics, after, byRank)
	if !ok || at+1 == len(l.topics) && l.more {
		return nil, 0
	}
	return l, at + 1
}

// scannedTopics takes the topics after a cursor, nil for the first, from scans.
func (s *Store) scannedTopics(ctx context.Context, l tally.Listing, after *tally.Cursor) takeTopics {
	var last tally.Cursor
	var known *scannedList
	from := 0
	if after != nil {
		last = *after
		known, from = s.scanCache.after(l, last)
	}
	return func(int) (cursors []tally.Cursor, ended bool, err error) {
		if known == nil || from == len(known.topics) && known.more {
			if known, err = s.scanList(ctx, l, last); err != nil {
				return nil, false, err
			}
			if !l.Scope.Exact { // one topic has no second page
				s.scanCache.Store(known)
			}
			from = 0
		}
		to := min(from+readChunk, len(known.topics))
		cursors, from = known.topics[from:to], to
		if len(cursors) > 0 {
			last = cursors[len(cursors)-1]
		}
		ended = from == len(known.topics) && !known.more
		return cursors, ended, nil
	}
}

// scanList returns the first maxScannedTopics topics of a listing after a cursor.
func (s *Store) scanList(ctx context.Context, listing tally.Listing, after tally.Cursor) (*scannedList, error) {
	l := &scannedList{scope: listing.Scope, sites: listing.Sites, order: listing.Order, at: time.Now()}
	shorten := func() {
		slices.SortFunc(l.topics, byRank)
		l.topics = slices.Compact(l.topics)
		if len(l.topics) > maxScannedTopics {
			l.topics, l.more = l.topics[:maxScannedTopics], true
		}
	}
	err := s.Topics(ctx, listing.Scope, func(topics []tally.Topic) error {
		topics = slices.DeleteFunc(topics, func(topic tally.Topic) bool { return !listing.HasSite(topic.Site()) })
		found, err := s.cursors(ctx, listing.Order, topics)
		for _, c := range found {
			if after.Topic == (tally.Topic{}) || byRank(c, after) > 0 {
				l.topics = append(l.topics, c)
			}
		}
		if len(l.topics) > 2*maxScannedTopics {
			shorten()
		}
		return err
	})
	shorten()
	return l, err
}

// cursors returns the cursors of topics, in other orders than ByTopic with their stored counts or versions.
func (s *Store) cursors(ctx context.Context, order tally.Order, topics []tally.Topic) ([]tally.Cursor, error) {
	cursors := make([]tally.Cursor, len(topics))
	for i, topic := range topics {
		cursors[i].Topic = topic
	}
	if order == tally.ByTopic {
		return cursors, nil
	}
	states, err := s.states(ctx, topics)
	for i, state := range states {
		if cursors[i].Value = state.Count; order == tally.ByNewest {
			cursors[i].Value = state.Version
		}
	}
	return cursors, err
}
