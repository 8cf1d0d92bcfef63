package hub

import "sync/atomic"

// Quota bounds how many topics several viewers watch together, those of one client for
// example: a topic counts once for each viewer that watches it. The nil Quota allows any
// number. It is safe for concurrent use.
type Quota struct {
	most int64 // fixed; 0 means any number
	used atomic.Int64
}

// NewQuota returns a quota of most topics; 0 means any number.
func NewQuota(most int) *Quota { return &Quota{most: int64(most)} }

// Take counts one topic more. It is false, and counts nothing, if there are as many as
// there may be.
func (q *Quota) Take() bool {
	if q == nil || q.most == 0 {
		return true
	}
	if q.used.Add(1) > q.most {
		q.used.Add(-1)
		return false
	}
	return true
}

// Put counts one topic less.
func (q *Quota) Put() {
	if q != nil && q.most > 0 {
		q.used.Add(-1)
	}
}
