package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxWrong is how many wrong tokens of an address are each logged and answered as
	// such in wrongWithin: more than anybody mistypes.
	maxWrong    = 10
	wrongWithin = time.Minute
	// maxHolders bounds of how many addresses wrong tokens are remembered. Beyond it
	// one is forgotten.
	maxHolders = 4096
)

// attempts counts wrong tokens by address, so that guessing neither fills the log nor
// goes unanswered. The right token is never counted and never has to wait: a stranger
// behind the same proxy as the owner would otherwise lock the owner out, and a token
// has 16 bytes or more against guessing. It is safe for concurrent use.
type attempts struct {
	mu       sync.Mutex
	byHolder map[netip.Addr]*spell // those with a wrong one
}

// spell is a time in which wrong tokens came. Guarded by the mutex of attempts.
type spell struct {
	until time.Time
	wrong int
}

// wrong counts a wrong token. wait is above 0 if the address sent too many.
func (a *attempts) wrong(holder netip.Addr, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.byHolder[holder]
	if s == nil || !now.Before(s.until) {
		a.makeRoomLocked(now)
		s = &spell{until: now.Add(wrongWithin)}
		a.byHolder[holder] = s
	}
	if s.wrong >= maxWrong {
		return s.until.Sub(now)
	}
	s.wrong++
	return 0
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
