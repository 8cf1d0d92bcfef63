package redisstore

import (
	"context"
	"sync"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Each node has a subscription of its own, for the topics whose slots it holds, and
// each topic is followed where it is written. That needs no relay between nodes,
// tells of each node by itself whether its publications arrive, and lets those of
// the others arrive while one hangs.
//
// It is the classic Pub/Sub, which a Cluster relays to all nodes, and not the
// sharded one. While a slot is on its way to another node, keys that are there
// already are written there, and sharded publications from there would not reach
// those who subscribed at the old one, which is where sharded subscriptions have to
// stay until the last key has moved. The classic ones do, by the relay. It also is
// the same in a Redis that is no Cluster, and in version 6.
//
// Its price is the relay: a publication, of which there is one a topic a batch,
// costs 2 µs of each other node, replicas included, and some 2 µs more of its own
// (measured on 7.0: of three nodes 6.4 µs in all, of six 13.8; sharded 0.6 and 3.8).
// Beside the script that makes it that is little for a Cluster of some nodes. In
// one of dozens it would be what bounds them, and sharded publication the better
// choice.

// With one node away viewers hear stale whichever topics they watch. To tell only those
// of that node's topics would take a word for it in the sink, the hub and the frames,
// and leave pages that watch topics of several nodes with numbers of which some are
// current: a page has one sign for all of its numbers. A node is away for seconds.

// liveState is what the sink heard last. Calls of the sink are made under the lock, so
// that they are in order; they do not block.
type liveState struct {
	mu       sync.Mutex
	reported bool // guarded by mu: it heard anything yet
	live     bool // guarded by mu: it heard Live last
}

// reportLive tells the sink that the feed is live where that of every node is, or, where
// one failed, that it is stale; both unless it knows.
func (s *Store) reportLive(sink tally.Sink, failed bool) {
	v := &s.liveState
	v.mu.Lock()
	defer v.mu.Unlock()
	live := s.allLive()
	switch {
	case live && !v.live:
		v.reported, v.live = true, true
		sink.Live()
	case !live && failed && (v.live || !v.reported):
		v.reported, v.live = true, false
		sink.Stale()
	}
}

func (s *Store) allLive() bool {
	nodes := s.topology.SlotMap().Nodes()
	for _, n := range nodes {
		if _, live := stateOf(n).feed.status(); !live {
			return false
		}
	}
	homeless, _ := s.unassigned.status()
	return len(nodes) > 0 && homeless == 0
}

// Watch implements [tally.Feed].
func (s *Store) Watch(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	s.feedOf(s.topology.SlotMap(), topic).watch(topic)
}

// Unwatch implements [tally.Feed].
func (s *Store) Unwatch(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	// It may be followed where its slot was, too, until it is rehomed.
	for _, n := range s.topology.RecentNodes() {
		stateOf(n).feed.unwatch(topic)
	}
	s.unassigned.unwatch(topic)
}

// Refresh implements [tally.Refresher].
func (s *Store) Refresh(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	for _, n := range s.topology.RecentNodes() {
		stateOf(n).feed.settleAgain(topic)
	}
}

// feedOf returns the feed that is to follow a topic.
func (s *Store) feedOf(c *redistopology.SlotMap, topic tally.Topic) *feed {
	if n := c.Single(); n != nil {
		return stateOf(n).feed
	}
	if n := c.Node(s.names.count(topic)); n != nil {
		return stateOf(n).feed
	}
	return s.unassigned
}

// Run implements [tally.Feed]. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context, sink tally.Sink, received func(payload []byte)) error {
	var around sync.WaitGroup // all end with ctx
	for _, work := range []func(context.Context){s.repairRankings, s.sendBroadcasts, s.topology.Run} {
		around.Go(func() { work(ctx) })
	}
	defer s.flushLastRanks()
	defer around.Wait()
	followed := followedNodes{store: s, sink: sink, received: received, nodes: map[*node]context.CancelFunc{}}
	defer followed.all.Wait()
	for {
		followed.update(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-s.topology.Changed():
		case <-s.feedLive:
		}
	}
}

// followedNodes is the nodes that are followed. It is owned by Run.
type followedNodes struct {
	store    *Store
	sink     tally.Sink
	received func(payload []byte)

	all   sync.WaitGroup
	nodes map[*node]context.CancelFunc
}

// update follows the nodes of the chart, and no others, and has every topic followed
// where it is held. Nodes that failed to be found at all are told by the one who
// looks for them.
func (f *followedNodes) update(ctx context.Context) {
	s := f.store
	c := s.topology.SlotMap()
	gone := false
	for n, cancel := range f.nodes {
		if !c.Has(n.Node) {
			cancel()
			delete(f.nodes, n)
			gone = true
		}
	}
	s.reassignTopics()
	homeless, _ := s.unassigned.status()
	s.reportLive(f.sink, gone || len(c.Nodes()) > 0 && homeless > 0 || len(c.Nodes()) == 0 && s.topology.LocateErr() != nil)
	for _, held := range c.Nodes() {
		n := stateOf(held)
		if f.nodes[n] == nil {
			ctx, cancel := context.WithCancel(ctx)
			f.nodes[n] = cancel
			f.all.Go(func() { // ends with ctx
				defer cancel()
				n.follow(ctx, f.sink, f.received)
			})
		}
	}
}

// reassignTopics moves topics to the feeds of the nodes that hold them now: at once where
// the old one is gone; else when the new one is live, since what is published there
// is relayed to the old one.
func (s *Store) reassignTopics() {
	s.reassigning.Lock()
	defer s.reassigning.Unlock()
	c, recent := s.topology.TakeSlotMap()
	s.reassignFrom(c, s.unassigned, true)
	for _, n := range recent {
		if n != c.Single() {
			s.reassignFrom(c, stateOf(n).feed, !c.Has(n))
		}
	}
	// What could not move yet is found again: its node is in the chart.
}

func (s *Store) reassignFrom(c *redistopology.SlotMap, from *feed, gone bool) {
	for _, topic := range from.wantedTopics() {
		to := s.feedOf(c, topic)
		if to == from {
			continue
		}
		if gone {
			to.watchBeforeLive(topic)
		} else if _, live := to.status(); live {
			to.watch(topic)
		} else {
			continue
		}
		from.unwatch(topic)
	}
}
