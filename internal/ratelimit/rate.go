// Package ratelimit limits how often clients do something, with the generic cell rate
// algorithm (GCRA, ITU-T I.371). A [Rate] is one limit. A [Limiter] applies four to each
// client address, and shares the use of addresses with the other instances.
//
// A client that stays within a limit is never refused. Memory is bounded: if there are
// too many addresses the limiter forgets some, which then start with full buckets.
package ratelimit

import (
	"net/netip"
	"time"
)

// Limit allows Count events in each period Per. The zero Limit allows any number.
type Limit struct {
	Count int
	Per   time.Duration
}

// times returns the limit with n times as many events.
func (l Limit) times(n int) Limit { return Limit{Count: n * l.Count, Per: l.Per} }

// Rate is a limit as a token bucket, which fills steadily. The state of a bucket is the time
// when it is full again, on the caller's clock. The zero Rate allows everything.
type Rate struct {
	interval time.Duration // time in which the bucket gains one event; 0 for no limit
	depth    time.Duration // time in which an empty bucket becomes full
}

// NewRate returns a rate whose full bucket holds burst times l.Count events.
func NewRate(l Limit, burst int) Rate {
	if l.Count <= 0 || l.Per <= 0 {
		return Rate{}
	}
	interval := max(l.Per/time.Duration(l.Count), 1)
	return Rate{interval: interval, depth: interval * time.Duration(l.Count*burst)}
}

// Take takes n events from the bucket and returns 0, or takes none and returns how long
// to wait. It treats n above the bucket's size as that size.
func (r Rate) Take(full *time.Duration, now time.Duration, n int) (wait time.Duration) {
	if r.interval == 0 {
		return 0
	}
	next := max(*full, now) + r.cost(n)
	if wait = next - now - r.depth; wait > 0 {
		return wait
	}
	*full = next
	return 0
}

// maxDebt bounds the debt of a bucket, in full buckets: before they receive each other's
// broadcasts, this many further instances may each allow a full bucket.
const maxDebt = 16

// drain takes n events that another instance allowed. If the bucket holds fewer, the rest is
// its debt, for which the client waits longer. r must have a limit.
func (r Rate) drain(full *time.Duration, now time.Duration, n int) {
	latest := now + (1+maxDebt)*r.depth
	cost := r.interval * time.Duration(min(n, int((1+maxDebt)*r.depth/r.interval)))
	*full = min(max(*full, now)+cost, latest)
}

// cost returns the time in which the bucket gains n events, at most its depth.
func (r Rate) cost(n int) time.Duration {
	if n >= int(r.depth/r.interval) {
		return r.depth
	}
	return r.interval * time.Duration(n)
}

// ClientAddress returns the address under which limits count a client: an IPv4 address
// itself, or the first address of an IPv6 /64, since a customer has at least a /64.
func ClientAddress(address netip.Addr) netip.Addr {
	if address.Is4() {
		return address
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return netip.IPv6Unspecified() // the zero Addr
	}
	return prefix.Addr()
}
