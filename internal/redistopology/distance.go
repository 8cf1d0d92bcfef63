package redistopology

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// roundTripPeriod is the least time for which a round trip counts. The shortest round trip of the
// current and the previous period is about the time on the network, without waits for a busy Redis.
const roundTripPeriod = 5 * time.Second

// roundTrips are the round trips to a node.
type roundTrips struct {
	mu sync.Mutex
	// Guarded by mu.
	began              time.Time     // start of the current period
	shortest, previous time.Duration // of the current and of the previous period; 0 if there was none
}

// AddRoundTrip records how long a pipeline of commands to the node took.
func (n *Node) AddRoundTrip(d time.Duration) {
	r := &n.roundTrips
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.began) > roundTripPeriod {
		r.began, r.previous, r.shortest = now, r.shortest, 0
	}
	if r.shortest == 0 || d < r.shortest {
		r.shortest = d
	}
}

// RoundTrip returns the shortest round trip to the node in the last seconds; 0 if none is known.
func (n *Node) RoundTrip() time.Duration {
	r := &n.roundTrips
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.previous > 0 {
		return min(r.previous, r.shortest)
	}
	return r.shortest
}

// farRoundTrip is the round trip from which on a node is far: a command spends most of its time on
// the network, not in Redis.
const farRoundTrip = 8 * time.Millisecond

// IsFar reports whether the node is far.
func (n *Node) IsFar() bool { return n.RoundTrip() >= farRoundTrip }

// IsFar reports whether a node that holds slots is far.
func (t *Topology) IsFar() bool { return t.RoundTrip() >= farRoundTrip }

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
	usable  atomic.Int64  // connections that answered a PING; some may be closed again
	opening atomic.Bool   // whether open runs
	running sync.WaitGroup
}

// Connections returns how many pipelines can be sent to the node at the same time on open
// connections, at least 1. If these are fewer than wanted, it opens more in the background: a new
// connection takes several round trips, so that waiting for a reply on an open one may be faster.
func (n *Node) Connections(wanted int) int {
	wanted = min(wanted, maxInFlight) + spareConnections
	usable := min(int(n.connections.usable.Load()), int(n.Client.PoolStats().TotalConns))
	if usable < wanted && !n.connections.opening.Swap(true) {
		n.connections.running.Go(func() { // ends within Options.Timeout
			defer n.connections.opening.Store(false)
			n.connections.usable.Store(int64(usable) + n.open(wanted-usable))
		})
	}
	return max(usable-spareConnections, 1)
}

// spareConnections are those for probes and for updates of leaderboards.
const spareConnections = 2

// open sends PINGs at the same time, so that each needs a connection of its own. It returns how many
// the node answered.
func (n *Node) open(pings int) int64 {
	ctx, cancel := context.WithTimeout(context.Background(), n.topology.options.Timeout)
	defer cancel()
	var answered atomic.Int64
	var sent sync.WaitGroup
	for range pings {
		sent.Go(func() { // ends with ctx
			if n.Client.Ping(ctx).Err() == nil {
				answered.Add(1)
			}
		})
	}
	sent.Wait()
	return answered.Load()
}
