package redistopology

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// tripPeriod is the least time for which a round trip counts. The shortest round trip of the
// present and the last period is about the time on the network, without waits for a busy Redis.
const tripPeriod = 5 * time.Second

// trips are the round trips to a node.
type trips struct {
	mu sync.Mutex
	// Guarded by mu.
	began         time.Time     // start of the present period
	least, before time.Duration // the shortest in the present and in the last period; 0 if there was none
}

func (t *trips) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.began) > tripPeriod {
		t.began, t.before, t.least = now, t.least, 0
	}
	if t.least == 0 || d < t.least {
		t.least = d
	}
}

// shortest returns the shortest round trip of both periods; 0 if there was none.
func (t *trips) shortest() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before > 0 && t.before < t.least {
		return t.before
	}
	return t.least
}

// AddRoundTrip records how long a pipeline of commands to the node took.
func (n *Node) AddRoundTrip(d time.Duration) { n.trips.add(d) }

// RoundTrip returns the shortest round trip to the node in the last seconds; 0 if none is known.
func (n *Node) RoundTrip() time.Duration { return n.trips.shortest() }

// farTrip is the round trip from which on a node is far: a command spends most of its time on
// the network, not in Redis.
const farTrip = 8 * time.Millisecond

// IsFar reports whether the node is far.
func (n *Node) IsFar() bool { return n.RoundTrip() >= farTrip }

// IsFar reports whether a node that holds slots is far.
func (t *Topology) IsFar() bool { return t.RoundTrip() >= farTrip }

// RoundTrip returns the longest [Node.RoundTrip] of the nodes that hold slots.
func (t *Topology) RoundTrip() (longest time.Duration) {
	for _, n := range t.SlotMap().Nodes() {
		longest = max(longest, n.RoundTrip())
	}
	return longest
}

// acquire waits until a pipeline may be sent. A near node has at most nearConnections pipelines
// at once. acquire returns nil if ctx ends before.
func (n *Node) acquire(ctx context.Context) (release func()) {
	if n.IsFar() {
		return func() {}
	}
	select {
	case n.connections.near <- struct{}{}:
		return func() { <-n.connections.near }
	case <-ctx.Done():
		return nil
	}
}

// connections limits the pipelines to a near node, and opens connections to a far one.
type connections struct {
	near    chan struct{} // has a token for each pipeline to a near node
	opened  atomic.Int64  // number of connections after the last open; some may be closed again
	opening atomic.Bool   // whether open runs
	ended   sync.WaitGroup
}

// Connections returns how many pipelines can use open connections to the node at the same time,
// at least 1. If these are fewer than wanted, it starts to open more, and does not wait for
// them: connecting takes several round trips, so waiting for a reply on an open connection may
// be faster.
func (n *Node) Connections(wanted int) int {
	wanted = min(wanted, maxInFlight) + spareConnections
	open := min(1+int(n.connections.opened.Load()), int(n.Client.PoolStats().TotalConns))
	if open < wanted && !n.connections.opening.Swap(true) {
		n.connections.ended.Go(func() { // ends within Timeout
			defer n.connections.opening.Store(false)
			n.open(wanted-open, open)
		})
	}
	return max(open-spareConnections, 1)
}

// spareConnections are those for probes and for updates of leaderboards.
const spareConnections = 2

// open opens more connections by using them at the same time.
func (n *Node) open(more, present int) {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	var opened atomic.Int64
	var connected sync.WaitGroup
	for range more {
		connected.Go(func() { // ends with ctx
			if n.Client.Ping(ctx).Err() == nil {
				opened.Add(1)
			}
		})
	}
	connected.Wait()
	n.connections.opened.Store(int64(present-1) + opened.Load())
}
