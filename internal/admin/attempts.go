package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxWrong is how many wrong tokens an address may send in wrongWithin: more than
	// anybody mistypes.
	maxWrong    = 10
	wrongWithin = time.Minute
	// maxHolders bounds of how many addresses wrong tokens are remembered. Beyond it
	// one is forgotten: a token cannot be guessed by who begins anew either.
	maxHolders = 4096
)

// attempts counts wrong tokens by address. It is safe for concurrent use.
type attempts struct {
	mu       sync.Mutex
	byHolder map[netip.Addr]*spell // those with a wrong one
}

// spell is a time in which wrong tokens came. Guarded by the mutex of attempts.
type spell struct {
	until time.Time
	wrong int
}

// try carries an attempt out, unless the address has to wait first. The comparison
// stands within the lock, so that no more are made at once than are allowed.
func (a *attempts) try(holder netip.Addr, now time.Time, right func() bool) (ok bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.byHolder[holder]
	if s != nil && !now.Before(s.until) {
		delete(a.byHolder, holder)
		s = nil
	}
	if s != nil && s.wrong >= maxWrong {
		return false, s.until.Sub(now)
	}
	if right() {
		return true, 0
	}
	if s == nil {
		a.makeRoomLocked(now)
		s = &spell{until: now.Add(wrongWithin)}
		a.byHolder[holder] = s
	}
	s.wrong++
	return false, 0
}

func (a *attempts) makeRoomLocked(now time.Time) {
	if len(a.byHolder) < maxHolders {
		return
	}
	for holder, s := range a.byHolder {
		if !now.Before(s.until) {
			delete(a.byHolder, holder)
		}
	}
	for holder := range a.byHolder {
		if len(a.byHolder) < maxHolders {
			return
		}
		delete(a.byHolder, holder)
	}
}
