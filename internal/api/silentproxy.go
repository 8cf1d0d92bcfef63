package api

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxProxyAgents is more user agents than the browsers and scripts of one person have.
	maxProxyAgents = 8
	// proxyWindow is the time in which they must occur, since browsers change their user agents with
	// each update.
	proxyWindow = 24 * time.Hour
	// maxObservedProxies bounds how many addresses are observed: more than a deployment
	// has proxies.
	maxObservedProxies = 64
)

// silentProxies detects a trusted proxy that does not name its clients, by requests of many user
// agents with the proxy's own address. It is safe for concurrent use.
type silentProxies struct {
	isFound atomic.Bool // ends observing

	mu        sync.Mutex
	seed      maphash.Seed
	byAddress map[netip.Addr]*proxyAgents
}

// proxyAgents are the user agents of one address. Guarded by the mutex of silentProxies.
type proxyAgents struct {
	since  time.Duration
	hashes []uint64 // each once
}

// observe observes a request whose client is a trusted proxy. It returns true once, for
// the request that shows that the proxy is silent.
func (p *silentProxies) observe(proxy netip.Addr, agent string, now time.Duration) bool {
	if agent == "" || p.isFound.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byAddress == nil {
		p.byAddress, p.seed = map[netip.Addr]*proxyAgents{}, maphash.MakeSeed()
	}
	seen := p.byAddress[proxy]
	if seen == nil {
		if len(p.byAddress) >= maxObservedProxies {
			return false
		}
		seen = &proxyAgents{since: now}
		p.byAddress[proxy] = seen
	}
	if now-seen.since > proxyWindow {
		seen.since, seen.hashes = now, seen.hashes[:0]
	}
	hash := maphash.String(p.seed, agent)
	if slices.Contains(seen.hashes, hash) {
		return false
	}
	seen.hashes = append(seen.hashes, hash)
	return len(seen.hashes) >= maxProxyAgents && p.isFound.CompareAndSwap(false, true)
}

// silentProxyWarning is the warning in /readyz and doctor. It contains no address, since /readyz is
// public.
const silentProxyWarning = "a proxy named in --trusted-proxy does not name its clients: requests of many user agents have one address; configure it to send X-Forwarded-For, Forwarded or X-Real-IP"

// observeProxy logs a warning once if the client of q is a silent proxy.
func (a *API) observeProxy(q *call) {
	if a.silentProxies.observe(q.client.address, q.r.UserAgent(), a.now()) {
		a.options.Logger.Warn("a proxy named in --trusted-proxy does not name its clients: requests of many user agents have its own address, so visitors without an id count as one and share limits; configure it to send X-Forwarded-For, Forwarded or X-Real-IP",
			"address", q.client.address.String(), "user_agents", maxProxyAgents, "flag", "--trusted-proxy")
	}
}
