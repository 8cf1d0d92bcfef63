package admin

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
)

// wrongTokenRate is the number of wrong tokens of one address that are logged and answered with
// not_authorized. Further ones are answered with rate_limited. A person mistypes fewer.
var wrongTokenRate = ratelimit.NewRate(ratelimit.Limit{Count: 10, Per: time.Minute}, 1)

// maxAttemptAddresses bounds the addresses whose wrong tokens are counted.
const maxAttemptAddresses = 4096

// attempts counts wrong tokens by client address, so that guessing does not fill the log. The right
// token is always accepted: otherwise another client behind the owner's proxy could lock the owner
// out, and guessing a token of 16 bytes or more is hopeless. It is safe for concurrent use.
type attempts struct {
	mu      sync.Mutex
	buckets map[netip.Addr]time.Duration // when each bucket is full again, in Unix time
}

// wrong counts a wrong token. wait is above 0 if the address sent too many.
func (a *attempts) wrong(client netip.Addr, at time.Time) (wait time.Duration) {
	now := time.Duration(at.UnixNano())
	a.mu.Lock()
	defer a.mu.Unlock()
	full, known := a.buckets[client]
	if wait = wrongTokenRate.Take(&full, now, 1); wait > 0 {
		return wait
	}
	if !known {
		a.makeRoomLocked(now)
	}
	a.buckets[client] = full
	return 0
}

// makeRoomLocked removes the addresses whose bucket is full, and if that is not enough any others.
func (a *attempts) makeRoomLocked(now time.Duration) {
	if len(a.buckets) < maxAttemptAddresses {
		return
	}
	for client, full := range a.buckets {
		if full <= now {
			delete(a.buckets, client)
		}
	}
	for client := range a.buckets {
		if len(a.buckets) < maxAttemptAddresses {
			return
		}
		delete(a.buckets, client)
	}
}
