package owner

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A search for spikes reads the whole journal, and dashboards repeat it. So the result of a search
// that took minSharedSearch or more is used again for searchTimes the time that the search took, at
// most for maxSearchAge: repeated searches take 2% of a core. In smaller stores each call searches.
const (
	minSharedSearch = 250 * time.Millisecond
	searchTimes     = 50
	maxSearchAge    = 5 * time.Minute
	// maxSearches bounds the searches whose results are kept.
	maxSearches = 64
)

// searchKey identifies a search. Sites are those that the caller sees.
type searchKey struct {
	sites string
	scope tally.Scope
	since time.Duration
}

// search is the last search with a key.
type search struct {
	running chan struct{} // holds an element while a caller searches
	// Guarded by running.
	spikes  []Spike
	expires time.Time
}

// spikeCache has the results of searches for spikes.
type spikeCache struct {
	mu       sync.Mutex
	searches map[searchKey]*search // guarded by mu
}

// of returns the search with a key. If there are too many searches, it removes another one.
func (c *spikeCache) of(key searchKey) *search {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.searches[key]
	if found == nil {
		for other := range c.searches {
			if len(c.searches) < maxSearches {
				break
			}
			delete(c.searches, other)
		}
		found = &search{running: make(chan struct{}, 1)}
		c.searches[key] = found
	}
	return found
}

// clear removes all results, since contributions were reverted.
func (c *spikeCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.searches)
}

// Spikes returns the spikes in scope in the period of length since that ends now, the greatest first,
// at most [maxSpikes]. In a large store the result may be some minutes old, see [minSharedSearch], but reverts by this instance
// are considered. Errors: [tally.CodeStoreUnavailable].
func (s *Service) Spikes(ctx context.Context, scope tally.Scope, since time.Duration) ([]Spike, error) {
	key := searchKey{scope: scope, since: since}
	if s.sites != nil {
		key.sites = "in " + strings.Join(s.sites, " ")
	}
	last := s.spikes.of(key)
	select { // wait for the same search of another caller
	case last.running <- struct{}{}:
	case <-ctx.Done():
		return nil, tally.Unavailable(ctx.Err())
	}
	defer func() { <-last.running }()
	began := s.now()
	if began.Before(last.expires) {
		return last.spikes, nil
	}
	spikes, err := s.searchSpikes(ctx, scope, since)
	if err != nil {
		return nil, err
	}
	if took := s.now().Sub(began); took >= minSharedSearch {
		last.spikes, last.expires = spikes, s.now().Add(min(searchTimes*took, maxSearchAge))
	}
	return spikes, nil
}
