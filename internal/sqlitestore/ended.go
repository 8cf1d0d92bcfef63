package sqlitestore

import (
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// finalVersionRetention is how long the final version of a deleted topic is known at least: as long
	// as in Redis. Connections remember what they were sent for longer, see package hub.
	finalVersionRetention = time.Hour
	// maxFinalVersions bounds how many are known at most, twice: some MB.
	maxFinalVersions = 1 << 15
)

// finalVersions keeps the final versions of topics that were deleted lately. It is in memory:
// connections, whose versions may not fall, end with the process. It is safe for
// concurrent use.
type finalVersions struct {
	mu sync.Mutex
	// Guarded by mu. Former is dropped when recent takes its place: after endKept, or
	// when recent is full.
	recent, older map[tally.Topic]int64
	since         time.Time // of recent
}

// add notes that topic ends at version. It is called before the commit, so that no reader
// finds the topic gone and its end unknown; while the topic is there nobody asks.
func (e *finalVersions) add(topic tally.Topic, version int64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.recent == nil || len(e.recent) >= maxFinalVersions || now.Sub(e.since) > finalVersionRetention {
		e.older, e.recent, e.since = e.recent, map[tally.Topic]int64{}, now
	}
	e.recent[topic] = version
}

// get returns the final version of a topic that is missing; 0 if it is not known.
func (e *finalVersions) get(topic tally.Topic) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(e.recent[topic], e.older[topic])
}
