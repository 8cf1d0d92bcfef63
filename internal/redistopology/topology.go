// Package redistopology connects to a standalone Redis, to the primary that Sentinels name,
// or to the nodes of a Cluster. It knows which node holds which keys, and sends commands and
// script calls there. It knows nothing about counts. Only internal/redisstore imports it.
//
// Its invariants:
//
//   - Commands for one node go in one pipeline, and nodes do not wait for each other.
//   - A script with a deadline has no effect after the deadline of its context. A call
//     that fails returns only when it can have no effect any more.
//   - Each new connection is verified before anything else is sent on it.
//   - Each node has a clock, connections and state of its own.
//
// A standalone Redis, a primary behind Sentinels, and a Cluster differ in the slot map
// and in how it is refreshed (see [locator]). All other code uses the slot map alone.
package redistopology

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Options are the settings of a topology.
type Options struct {
	// RootCAs are trusted for rediss://; nil for those of the system.
	RootCAs *x509.CertPool
	// Scripts are all scripts that calls use; [Node.AppendScripts] loads them.
	Scripts []*Script
	Logger  *slog.Logger
	// Timeout bounds operations without a deadline, and each command; zero for [Timeout].
	Timeout time.Duration

	// NewNode returns the caller's state of a node, see [Node.State].
	NewNode func(*Node) any
	// Verify checks each new connection before anything else is sent on it.
	Verify func(context.Context, *Node, redis.Pipeliner) error
	// SampleClock reads the node's clock and passes it to [Node.AddClockSample]. A call with a
	// deadline waits for it if the last sample is too old. It may be nil without such calls.
	SampleClock func(context.Context, *Node) error
	// CountCommand, if set, is called with the name of each command that is sent to a node, except
	// SUBSCRIBE and UNSUBSCRIBE. It must not wait.
	CountCommand func(command string)
	// Failing reports whether a node failed recently. Reads of several nodes wait less time
	// for such a node.
	Failing func(*Node) bool
	// RoundTrip, if set, is called with the duration of each pipeline that reached a node.
	// It must not wait.
	RoundTrip func(time.Duration)
}

const (
	// Timeout is the default of [Options.Timeout]. It is below the 3 s within which a request
	// must be answered.
	Timeout = 2500 * time.Millisecond

	// refreshInterval is the greatest time between two refreshes of the slot map, and so to
	// the discovery of a failover. minRefreshInterval is the least time, which applies if the
	// slot map may be out of date.
	refreshInterval    = time.Second
	minRefreshInterval = 100 * time.Millisecond
	// importingRetention is how long a node without slots is kept: a node that imports a slot
	// receives commands before it holds the slot.
	importingRetention = time.Minute
)

// errNoNode is the error of a key whose slot is unassigned: the slot map is not known
// yet, or the Cluster does not cover all slots.
var errNoNode = errors.New("no primary is known for this key")

// Topology has the nodes of a store and the slots that they hold. It is safe for concurrent
// use.
type Topology struct {
	// Fixed after Open.
	url     storeURL
	options Options
	locator *locator      // nil if the slot map never changes
	changed chan struct{} // see Changed
	stale   chan struct{} // holds a token if the slot map may be out of date

	slotMap       atomic.Pointer[SlotMap]
	scriptReloads atomic.Int64

	mu sync.Mutex
	// Guarded by mu.
	nodes     map[string]*Node // by address: those with slots, and those that import some
	locateErr error            // of the last refresh
}

// Open returns the topology of the store at url. It does not connect. Its errors do not
// contain the URL's passwords.
func Open(url string, options Options) (*Topology, error) {
	options.Timeout = cmp.Or(options.Timeout, Timeout)
	parsed, err := parseURL(url, options.RootCAs, options.Timeout)
	if err != nil {
		return nil, err
	}
	logging.Disable() // go-redis logs errors that it also returns
	t := &Topology{
		url: parsed, options: options, nodes: map[string]*Node{},
		changed: make(chan struct{}, 1), stale: make(chan struct{}, 1),
	}
	t.slotMap.Store(newSlotMap(&[slotCount]*Node{}))
	if t.IsStandalone() {
		t.Assign(allSlots(parsed.addrs[0]))
	} else {
		t.locator = &locator{url: &t.url, clients: map[source]*redis.Client{}}
	}
	return t, nil
}

// String describes the store without its passwords.
func (t *Topology) String() string { return t.url.String() }

// Login describes the user for Redis and where the URL has its password.
func (t *Topology) Login() string { return t.url.redisLogin().String() }

// Database returns the number of the database.
func (t *Topology) Database() int { return t.url.settings.DB }

// Replicas returns how many replicas must confirm a durable call: wait=N of the URL.
func (t *Topology) Replicas() int { return t.url.replicas }

// IsStandalone reports whether the store is one Redis with a fixed address.
func (t *Topology) IsStandalone() bool { return t.url.mode == standalone }

// IsCluster reports whether the nodes redirect commands to each other.
func (t *Topology) IsCluster() bool { return t.url.mode == cluster }

// SlotMap returns the current slot map.
func (t *Topology) SlotMap() *SlotMap { return t.slotMap.Load() }

// Changed receives a token after the slot map changed, and after [Topology.LocateErr] became an
// error.
func (t *Topology) Changed() <-chan struct{} { return t.changed }

// LocateErr returns why the last refresh failed.
func (t *Topology) LocateErr() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.locateErr
}

// ScriptReloads returns how often Redis had lost the scripts.
func (t *Topology) ScriptReloads() int64 { return t.scriptReloads.Load() }

// RefreshSoon makes [Topology.Run] refresh the slot map without waiting for its interval.
func (t *Topology) RefreshSoon() { notify(t.stale) }

// Refresh asks the Sentinels or cluster nodes for the slot map.
func (t *Topology) Refresh(ctx context.Context) error {
	if t.locator == nil {
		return nil
	}
	ranges, err := t.locator.locate(ctx, t.SlotMap())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.recordLookup(err)
	if err != nil {
		return err
	}
	before := t.SlotMap().nodes
	t.Assign(ranges)
	if nodes := t.SlotMap().nodes; !slices.Equal(before, nodes) {
		addrs := make([]string, len(nodes))
		for i, n := range nodes {
			addrs[i] = n.Addr
		}
		t.options.Logger.Info("redis: primaries changed", "store", t.String(), "primaries", addrs)
	}
	return nil
}

// Run refreshes the slot map until ctx ends.
func (t *Topology) Run(ctx context.Context) {
	if t.locator == nil {
		return
	}
	for {
		_ = t.Refresh(ctx) // recordLookup reports its error
		select {
		case <-ctx.Done():
			return
		case <-time.After(minRefreshInterval):
		}
		select {
		case <-ctx.Done():
			return
		case <-t.stale:
		case <-time.After(refreshInterval/2 + rand.N(refreshInterval/2)):
		}
	}
}

// recordLookup stores the result of a refresh and logs transitions.
func (t *Topology) recordLookup(err error) {
	t.mu.Lock()
	before := t.locateErr
	t.locateErr = err
	t.mu.Unlock()
	switch {
	case err != nil && before == nil:
		notify(t.changed)
		t.options.Logger.Warn("redis: cannot find the primary", "store", t.String(), "cause", err)
	case err == nil && before != nil:
		t.options.Logger.Info("redis: found the primary again", "store", t.String())
	}
}

// Assign replaces the slot map and closes nodes that no longer hold slots. Refresh calls it,
// and tests call it to set a slot map.
func (t *Topology) Assign(ranges []SlotRange) {
	for _, n := range t.assign(ranges) {
		n.close() // may wait for a connection that is being opened
	}
}

// assign replaces the slot map. It returns the nodes that no longer hold slots.
func (t *Topology) assign(ranges []SlotRange) (removed []*Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var owners [slotCount]*Node
	for _, r := range ranges {
		n := t.nodeLocked(r.Addr)
		for slot := max(r.First, 0); slot <= min(r.Last, slotCount-1); slot++ {
			owners[slot] = n
		}
	}
	before, m := t.SlotMap(), newSlotMap(&owners)
	if owners == *before.owners {
		return nil
	}
	t.slotMap.Store(m)
	for addr, n := range t.nodes {
		if !m.Has(n) && (before.Has(n) || time.Since(n.created) > importingRetention) {
			delete(t.nodes, addr)
			removed = append(removed, n)
		}
	}
	notify(t.changed)
	return removed
}

// node returns the node at addr, which need not hold slots.
func (t *Topology) node(addr string) *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodeLocked(addr)
}

func (t *Topology) nodeLocked(addr string) *Node {
	n := t.nodes[addr]
	if n == nil {
		n = t.newNode(addr)
		t.nodes[addr] = n
	}
	return n
}

// Close closes all connections. Run must have returned.
func (t *Topology) Close() {
	if t.locator != nil {
		t.locator.close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.nodes {
		n.close()
	}
}

// notify puts a token into c, which has capacity 1, unless it has one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
