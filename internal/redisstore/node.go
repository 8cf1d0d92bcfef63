package redisstore

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
)

// node is the store's state of a node of the topology.
type node struct {
	*redistopology.Node
	// Fixed after newNode.
	store   *Store
	replica *replica // nil for a primary

	status    status
	feed      *feed
	pace      *pace               // of probes
	isChecked atomic.Bool         // the last check succeeded
	run       atomic.Pointer[run] // nil before the first check
	// checkRequested holds a token if the node should be checked again.
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

// isWatched reports whether somebody watches a topic of the node, there or at its replica.
func (n *node) isWatched() bool {
	r := n.store.replica
	return n.feed.isWatched() || r != nil && r.node.feed.isWatched()
}

// reader returns the reader of the replica if the node is one, else that of the primaries.
func (n *node) reader() reader {
	if n.replica != nil {
		return n.replica.reader
	}
	return n.store.reader
}

// probePace returns the pace of the probes that show whether changes arrive from the node: for a
// replica those of the primary.
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

// run identifies a process of Redis. The zero value is an unknown one.
type run struct {
	id      string    // run_id of INFO
	started time.Time // by uptime_in_seconds of INFO if there is no id, as in Dragonfly
}

// startTolerance is how far two computed starts of one process may differ, since uptime is in
// whole seconds.
const startTolerance = 3 * time.Second

func (n *node) parseRun(server map[string]string) run {
	if id := server["run_id"]; id != "" {
		return run{id: id}
	}
	uptime, err := strconv.ParseInt(server["uptime_in_seconds"], 10, 64)
	if err != nil {
		return run{}
	}
	now, ok := n.Now()
	if !ok {
		return run{}
	}
	return run{started: now.Add(-time.Duration(uptime) * time.Second)}
}

// isOther reports whether r and before are two different processes; false if one is unknown.
func (r run) isOther(before run) bool {
	switch {
	case r == run{}, before == run{}:
		return false
	case r.id != "" || before.id != "":
		return r.id != before.id
	}
	return r.started.Sub(before.started).Abs() > startTolerance
}

// setRun records the process of Redis. If it is another one than before, it may have loaded an
// older file, or have been a replica. So all projections are computed again. If the process is
// unknown, a restart is noticed only by topics that have to be reissued.
func (n *node) setRun(r run) {
	s, before := n.store, n.run.Load()
	if before == nil || r != (run{}) {
		n.run.Store(&r)
	}
	if n.replica != nil || !s.wasUsable.Load() || before != nil && !r.isOther(*before) {
		return
	}
	s.computations.requestAll()
	s.repairs.isUrgent.Store(true)
	notify(s.repairs.due)
}
