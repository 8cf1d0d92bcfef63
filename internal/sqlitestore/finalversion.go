package sqlitestore

import (
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// finalVersionRetention is the least time for which the final version of a deleted topic
	// is known, as in Redis.
	finalVersionRetention = time.Hour
	// maxFinalVersions bounds each of the two maps, to a few MB.
	maxFinalVersions = 1 << 15
)

// finalVersions has the final versions of recently deleted topics, so that versions do not
// fall on a connection. It is in memory, since the connections end with the process. It is
// safe for concurrent use.
type finalVersions struct {
	mu sync.Mutex
	// Guarded by mu. If recent is full or finalVersionRetention old, it replaces older.
	recent, older map[tally.Topic]int64
	since         time.Time // of recent
}

// add stores the final version of topic. The writer calls it before the commit, so that a
// reader always finds the topic or its final version.
func (e *finalVersions) add(topic tally.Topic, version int64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.recent == nil || len(e.recent) >= maxFinalVersions || now.Sub(e.since) > finalVersionRetention {
		e.older, e.recent, e.since = e.recent, map[tally.Topic]int64{}, now
	}
	e.recent[topic] = version
}

// get returns the final version of a missing topic; 0 if it is not known.
func (e *finalVersions) get(topic tally.Topic) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(e.recent[topic], e.older[topic])
}
