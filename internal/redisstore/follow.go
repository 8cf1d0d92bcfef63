package redisstore

import (
	"context"
	"sync"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Each node has its own subscription, for the topics whose slots it holds. So it is known for each
// node whether publications arrive, and a node that hangs does not delay those of the others. If one
// node is away, all viewers get stale, whichever topics they watch: a page has one sign for all of
// its numbers, and a node is away for seconds.
//
// Subscriptions use classic Pub/Sub, which a Cluster relays to all nodes. So while a slot moves,
// publications of moved keys reach subscribers at the old node. Sharded Pub/Sub does not relay them,
// but a subscription must stay at the old node until the last key has moved. The relay costs every
// other node, replicas included, 2 µs for each topic of a batch, and its own node 2 µs more (Redis
// 7.0: 6.4 µs in all with three nodes, 13.8 with six; sharded 0.6 and 3.8). In a Cluster of dozens
// of nodes sharded Pub/Sub would be the better choice.

// liveState is the last report to the sink. The sink is called under the lock, so that the calls
// are in order. They do not block.
type liveState struct {
	mu       sync.Mutex
	reported bool // guarded by mu: Live or Stale was called
	live     bool // guarded by mu: Live was called last
}

// reportLive calls the sink's Live if the feeds of all nodes are live, or its Stale if they are not
// and failed is true. It does not repeat the last call.
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

func (s *Store) isLive() bool {
	s.liveState.mu.Lock()
	defer s.liveState.mu.Unlock()
	return s.liveState.live
}

func (s *Store) allLive() bool {
	nodes := s.topology.SlotMap().Nodes()
	for _, n := range nodes {
		if _, live := nodeOf(n).feed.status(); !live {
			return false
		}
	}
	if r := s.replica; r != nil && r.node.feed.isWatched() {
		if _, live := r.node.feed.status(); !live || !r.isProven() {
			return false
		}
	}
	unassigned, _ := s.unassigned.status()
	return len(nodes) > 0 && unassigned == 0
}

// Watch implements [tally.Feed].
func (s *Store) Watch(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	s.feedOf(s.followed, topic).watch(topic)
}

// Unwatch implements [tally.Feed].
func (s *Store) Unwatch(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	// While a topic moves, the feed of the former node may still follow it.
	for _, f := range s.followingFeeds() {
		f.unwatch(topic)
	}
	s.unassigned.unwatch(topic)
}

// Refresh implements [tally.Feed].
func (s *Store) Refresh(topic tally.Topic) {
	s.reassigning.RLock()
	defer s.reassigning.RUnlock()
	for _, f := range s.followingFeeds() {
		f.settleAgain(topic)
	}
}

// followingFeeds returns the feeds of nodes that may follow topics. The caller holds reassigning.
func (s *Store) followingFeeds() (feeds []*feed) {
	for _, n := range s.followed.Nodes() {
		feeds = append(feeds, nodeOf(n).feed)
	}
	if s.replica != nil {
		feeds = append(feeds, s.replica.node.feed)
	}
	return feeds
}

// feedOf returns the feed that must follow a topic. The caller holds reassigning.
func (s *Store) feedOf(m *redistopology.SlotMap, topic tally.Topic) *feed {
	if s.atReplica {
		return s.replica.node.feed
	}
	if n := s.topicNode(m, topic); n != nil {
		return nodeOf(n).feed
	}
	return s.unassigned
}

// Run implements [tally.Feed]. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context, sink tally.Sink, received func(payload []byte)) error {
	var background sync.WaitGroup // all end with ctx
	for _, work := range []func(context.Context){s.repairRankings, s.sendBroadcasts, s.topology.Run} {
		background.Go(func() { work(ctx) })
	}
	defer s.flushGains(lastRanksTimeout)
	defer s.flushRanks(lastRanksTimeout)
	defer background.Wait()
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

// followedNodes runs a session for each node. Run owns it.
type followedNodes struct {
	store    *Store
	sink     tally.Sink
	received func(payload []byte)

	all   sync.WaitGroup
	nodes map[*node]context.CancelFunc
}

// update follows the nodes of the slot map and no others, and assigns each topic to the
// feed of its node.
func (f *followedNodes) update(ctx context.Context) {
	s := f.store
	m := s.topology.SlotMap()
	removed := false
	for n, cancel := range f.nodes {
		if n.replica == nil && !m.Has(n.Node) {
			cancel()
			delete(f.nodes, n)
			removed = true
		}
	}
	s.reassignTopics()
	unassigned, _ := s.unassigned.status()
	s.reportLive(f.sink, removed || len(m.Nodes()) > 0 && unassigned > 0 || len(m.Nodes()) == 0 && s.topology.LocateErr() != nil)
	nodes := s.nodes()
	if s.replica != nil && s.wasUsable.Load() { // then the secret of the primary is known
		nodes = append(nodes, s.replica.node)
	}
	for _, n := range nodes {
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

// reassignTopics moves topics to the feeds of the nodes that hold them now, or to that of the
// replica while it is the source. It moves them at once if the former node was removed or the
// replica failed, and otherwise when the new feed is live. Until then the former feed misses no
// change: the new node relays publications to the former one, or the former one is the primary.
func (s *Store) reassignTopics() {
	s.reassigning.Lock()
	defer s.reassigning.Unlock()
	before := s.followed
	s.followed, s.atReplica = s.topology.SlotMap(), s.replica.isSource()
	s.reassignFrom(s.followed, s.unassigned, true)
	if s.replica != nil {
		s.reassignFrom(s.followed, s.replica.node.feed, !s.atReplica)
	}
	for _, n := range before.Nodes() {
		from := nodeOf(n).feed
		_, live := from.status()
		s.reassignFrom(s.followed, from, !s.followed.Has(n) || s.atReplica && !live)
	}
}

func (s *Store) reassignFrom(m *redistopology.SlotMap, from *feed, removed bool) {
	if n := m.Single(); n != nil && s.feedOf(m, tally.Topic{}) == from {
		return // nearly always
	}
	for _, topic := range from.wantedTopics() {
		to := s.feedOf(m, topic)
		if to == from {
			continue
		}
		if removed {
			to.watchBeforeLive(topic)
		} else if _, live := to.status(); live {
			to.watch(topic)
		} else {
			continue
		}
		from.unwatch(topic)
	}
}
