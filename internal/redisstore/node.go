package redisstore

import (
	"sync/atomic"

	"github.com/tallycast/tallycast/internal/redistopology"
)

// node is what the store keeps for a node of the topology.
type node struct {
	*redistopology.Node
	// Fixed after newNode.
	store   *Store
	replica *replica // nil for a primary

	status    status
	feed      *feed
	pace      *pace        // of probes
	isChecked atomic.Bool  // the last check succeeded
	runID     atomic.Value // string: identifies the process of Redis
	// checkRequested holds a token if the node is to be checked again.
	checkRequested chan struct{}
}

func (s *Store) newNode(n *redistopology.Node) any {
	p := newPace(s.options.Intervals)
	return &node{
		Node:           n,
		store:          s,
		status:         newStatus(s.options.Logger.With("store", n.Addr), primaryMessages),
		feed:           newFeed(s.isPresence, s.options.Intervals),
		pace:           p,
		checkRequested: make(chan struct{}, 1),
	}
}

func nodeOf(n *redistopology.Node) *node { return n.State.(*node) }

// isWatched reports whether somebody watches a topic that the node has.
func (n *node) isWatched() bool {
	r := n.store.replica
	return n.feed.isWatched() || r != nil && r.node.feed.isWatched()
}

// reader reads at the nodes among which the node is.
func (n *node) reader() reader {
	if n.replica != nil {
		return n.replica.reader
	}
	return n.store.reader
}

// probePace returns the pace of the probes that tell whether changes arrive from the node.
func (n *node) probePace() *pace {
	if primary := n.store.primary(); n.replica != nil && primary != nil {
		return primary.pace
	}
	return n.pace
}

// nodes returns the nodes that hold slots, by address.
func (s *Store) nodes() []*node {
	var all []*node
	for _, n := range s.topology.SlotMap().Nodes() {
		all = append(all, nodeOf(n))
	}
	return all
}

// noteRun records the process of Redis. If it is another than before, it may have loaded an older
// file, or was a replica. Then everything that is computed from counts is computed again.
func (n *node) noteRun(id string) {
	s := n.store
	if before := n.runID.Swap(id); before == id || n.replica != nil || !s.wasUsable.Load() {
		return
	}
	s.advances.requestAll()
	s.repairs.isUrgent.Store(true)
	notify(s.repairs.due)
}
