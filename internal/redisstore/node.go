package redisstore

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/tallycast/tallycast/internal/redistopology"
)

// node is what the store keeps for a node of the topology.
type node struct {
	*redistopology.Node
	// Fixed after newNode.
	store *Store

	status status
	feed   *feed
	// checkRequested holds a token if the node is to be checked again.
	checkRequested chan struct{}
}

func (s *Store) newNode(n *redistopology.Node) any {
	return &node{
		Node:           n,
		store:          s,
		status:         newStatus(s.options.Logger.With("store", n.Addr)),
		feed:           newFeed(),
		checkRequested: make(chan struct{}, 1),
	}
}

func stateOf(n *redistopology.Node) *node { return n.State.(*node) }

// nodes returns the nodes that hold slots, by address.
func (s *Store) nodes() []*node {
	var all []*node
	for _, n := range s.topology.SlotMap().Nodes() {
		all = append(all, stateOf(n))
	}
	return all
}

// everyNode calls work for each node at the same time and returns the first of
// their errors, by address.
func everyNode(nodes []*node, work func(*node) error) error {
	if len(nodes) == 1 {
		return work(nodes[0])
	}
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if err := work(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.Addr, err)
			}
		})
	}
	all.Wait()
	return cmp.Or(errs...)
}
