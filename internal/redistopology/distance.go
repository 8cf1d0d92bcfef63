package redistopology

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// tripPeriod is the least time for which a round trip counts. The shortest round trip of one or
// two periods is the time on the network, without a wait for a busy Redis.
const tripPeriod = 5 * time.Second

// trips are the round trips to a node.
type trips struct {
	mu sync.Mutex
	// Guarded by mu.
	began         time.Time     // the present period
	least, before time.Duration // in it and in the one before; 0: none
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

// shortest returns the shortest round trip lately; 0 if there was none.
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

// RoundTrip returns how long a message to the node and back takes, as far as is known: the
// shortest round trip of the last seconds.
func (n *Node) RoundTrip() time.Duration { return n.trips.shortest() }

// nearTrip is the round trip up to which a node is near.
const nearTrip = 8 * time.Millisecond

// IsFar reports whether the round trip to the node is long. Then a command takes most of its
// time on the network, not in Redis.
func (n *Node) IsFar() bool { return n.RoundTrip() >= nearTrip }

// acquire waits until a pipeline may be sent: nearConnections are enough for a near node. It
// returns nil if ctx ended before.
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

// connections are the connections to a node that are used for pipelines, or open for those to a
// far node.
type connections struct {
	near    chan struct{} // has an element for each pipeline to a near node
	opened  atomic.Int64  // by open, of which some may be closed again
	opening atomic.Bool
	ended   sync.WaitGroup
}

// Connections returns how many pipelines the node can take at the same time over open
// connections, at least 1. If these are fewer than wanted, it starts to open more, and does not
// wait: connecting takes several round trips, and a pipeline that waits for the reply to
// another one may be faster.
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

// spareConnections are for probes, and for updates of leaderboards, at the same time.
const spareConnections = 2

// open opens connections in addition to the present ones.
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
