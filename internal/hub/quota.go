package hub

import "sync/atomic"

// Quota bounds how many topics several viewers watch together, those of one client for
// example: a topic counts once for each viewer that watches it. The nil Quota allows any
// number. It is safe for concurrent use.
type Quota struct {
	max  int64 // fixed; 0 means any number
	used atomic.Int64
}

// NewQuota returns a quota of most topics; 0 means any number.
func NewQuota(most int) *Quota { return &Quota{max: int64(most)} }

// Acquire counts one topic more. It is false, and counts nothing, if there are as many as
// there may be.
func (q *Quota) Acquire() bool {
	if q == nil || q.max == 0 {
		return true
	}
	if q.used.Add(1) > q.max {
		q.used.Add(-1)
		return false
	}
	return true
}

// Release counts one topic less.
func (q *Quota) Release() {
	if q != nil && q.max > 0 {
		q.used.Add(-1)
	}
}
