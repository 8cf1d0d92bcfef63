package api

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxProxyAgents is how many user agents make a crowd: more than the browsers and
	// scripts of one person.
	maxProxyAgents = 8
	// proxyWindow is the time in which they have to be seen: browsers on one machine
	// change their user agents with each update.
	proxyWindow = 24 * time.Hour
	// maxObservedProxies bounds how many addresses are observed. There are as many as
	// there are proxies; addresses beyond are not observed.
	maxObservedProxies = 64
)

// silentProxies notices that a trusted proxy does not say who its clients are: requests of
// many user agents come from its own address. It is safe for concurrent use.
type silentProxies struct {
	isFound atomic.Bool // one was noticed; nothing is observed any more

	mu        sync.Mutex
	seed      maphash.Seed
	byAddress map[netip.Addr]*proxyAgents
}

// proxyAgents is what one address sent. Guarded by the mutex of crowds.
type proxyAgents struct {
	since  time.Duration
	agents []uint64 // hashes of user agents, each once
}

// observe notes a request whose client is a trusted proxy itself, at the time now. It
// is true once, for the request that makes a crowd.
func (c *silentProxies) observe(proxy netip.Addr, agent string, now time.Duration) bool {
	if agent == "" || c.isFound.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byAddress == nil {
		c.byAddress, c.seed = map[netip.Addr]*proxyAgents{}, maphash.MakeSeed()
	}
	seen := c.byAddress[proxy]
	if seen == nil {
		if len(c.byAddress) >= maxObservedProxies {
			return false
		}
		seen = &proxyAgents{since: now}
		c.byAddress[proxy] = seen
	}
	if now-seen.since > proxyWindow {
		seen.since, seen.agents = now, seen.agents[:0]
	}
	hash := maphash.String(c.seed, agent)
	for _, other := range seen.agents {
		if other == hash {
			return false
		}
	}
	seen.agents = append(seen.agents, hash)
	return len(seen.agents) >= maxProxyAgents && c.isFound.CompareAndSwap(false, true)
}

// observeProxy warns once if q's client is a trusted proxy from which many different
// clients come.
func (a *API) observeProxy(q *call) {
	if a.silentProxies.observe(q.client.address, q.r.UserAgent(), a.now()) {
		a.logger.Warn("a proxy named in --trusted-proxy does not say who its clients are: requests of many user agents have its own address, so that visitors without an id are counted as one and share limits; have it send X-Forwarded-For, Forwarded or X-Real-IP",
			"address", q.client.address.String(), "user_agents", maxProxyAgents, "flag", "--trusted-proxy")
	}
}

// silentProxyWarning is what /readyz and doctor say of it. It names no address, since
// everybody can read it.
const silentProxyWarning = "a proxy named in --trusted-proxy does not say who its clients are: requests of many user agents have one address; have it send X-Forwarded-For, Forwarded or X-Real-IP"
