package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errNoNode says that nobody is known to hold a slot: nobody told yet, or a
// Cluster has a hole.
var errNoNode = errors.New("no primary is known for it")

const (
	// lookEvery is how often those who know are asked who holds what, so that a
	// failover is followed within it, and lookSoon the least pause where there is
	// reason for doubt.
	lookEvery = time.Second
	lookSoon  = 100 * time.Millisecond
	// lookWithin is how long one of them may take to answer.
	lookWithin = time.Second
	// keepGuest is how long a node without slots is kept: one that imports a slot
	// is asked for keys before it holds it.
	keepGuest = time.Minute
)

// span says that the slots first to last are held by the node at addr.
type span struct {
	first, last int
	addr        string
}

// chart is which node holds which slot at a time. It is not changed once made. A
// single Redis is a chart of one node.
type chart struct {
	nodes []*node         // those that hold slots, by address
	only  *node           // where one holds them all, else nil
	held  *[slots]*node   // where only is nil; nil for a slot of nobody
	by    map[string]bool // their addresses
}

// of returns the node that holds key, nil where nobody does.
func (c *chart) of(key string) *node {
	if c.only != nil {
		return c.only
	}
	if c.held == nil {
		return nil
	}
	return c.held[slotOf(key)]
}

func (c *chart) has(n *node) bool { return slices.Contains(c.nodes, n) }

// fleet is the nodes of a store and who holds what. What shape the store has is
// known to its locator alone.
type fleet struct {
	// Fixed after newFleet.
	make    func(addr string) *node
	locator locator // nil where it never changes
	sends   bool    // its nodes send commands to each other: a Cluster
	changed chan struct{}
	doubt   chan struct{}

	now atomic.Pointer[chart]

	mu     sync.Mutex
	known  map[string]*node // guarded by mu: holders of slots and guests, by address
	recent []*node          // guarded by mu: of all charts since the last that was taken
}

func newFleet(make_ func(string) *node, locator locator) *fleet {
	_, sends := locator.(*members)
	f := &fleet{
		make: make_, locator: locator, sends: sends,
		changed: make(chan struct{}, 1), doubt: make(chan struct{}, 1),
		known: map[string]*node{},
	}
	f.now.Store(&chart{})
	return f
}

func (f *fleet) chart() *chart { return f.now.Load() }

// take returns the chart, and the nodes of it and of all charts since it was called
// last.
func (f *fleet) take() (*chart, []*node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, recent := f.chart(), f.recent
	f.recent = slices.Clone(c.nodes)
	return c, recent
}

// lately returns the nodes of all charts since take was called last.
func (f *fleet) lately() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.recent)
}

// doubted has who holds what looked at soon.
func (f *fleet) doubted() { poke(f.doubt) }

// install makes the spans the chart, and tells whether it is another than before.
// Nodes that hold nothing any more are closed.
func (f *fleet) install(spans []span) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var held [slots]*node
	for _, s := range spans {
		n := f.nodeLocked(s.addr)
		for slot := max(s.first, 0); slot <= min(s.last, slots-1); slot++ {
			held[slot] = n
		}
	}
	return f.storeLocked(&held)
}

// moved notes that a node said who holds a slot now.
func (f *fleet) moved(slot int, addr string) *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodeLocked(addr)
	var held [slots]*node
	switch c := f.chart(); {
	case c.held != nil:
		held = *c.held
	case c.only != nil:
		for i := range held {
			held[i] = c.only
		}
	}
	held[slot] = n
	f.storeLocked(&held)
	return n
}

// guest returns the node at addr, whether it holds slots or not.
func (f *fleet) guest(addr string) *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodeLocked(addr)
}

func (f *fleet) nodeLocked(addr string) *node {
	n := f.known[addr]
	if n == nil {
		n = f.make(addr)
		f.known[addr] = n
	}
	return n
}

func (f *fleet) storeLocked(held *[slots]*node) (changed bool) {
	before := f.chart()
	c := &chart{by: map[string]bool{}}
	whole := true
	for _, n := range held {
		if n == nil {
			whole = false
		} else if !c.by[n.addr] {
			c.by[n.addr] = true
			c.nodes = append(c.nodes, n)
		}
	}
	slices.SortFunc(c.nodes, func(a, b *node) int { return strings.Compare(a.addr, b.addr) })
	if whole && len(c.nodes) == 1 {
		c.only = c.nodes[0]
	} else if len(c.nodes) > 0 {
		c.held = held
	}
	if c.only == before.only && (c.held == before.held || c.held != nil && before.held != nil && *c.held == *before.held) {
		return false
	}
	for _, n := range c.nodes {
		if !slices.Contains(f.recent, n) {
			f.recent = append(f.recent, n)
		}
	}
	f.now.Store(c)
	for addr, n := range f.known {
		if !c.by[addr] && (before.by[addr] || time.Since(n.begun) > keepGuest) {
			delete(f.known, addr)
			n.close()
		}
	}
	poke(f.changed)
	return true
}

func (f *fleet) close() {
	if f.locator != nil {
		f.locator.close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.known {
		n.close()
	}
}

// look asks who holds what now, and goes by the answer.
func (s *Store) look(ctx context.Context) error {
	f := s.fleet
	if f.locator == nil {
		return nil
	}
	spans, err := f.locator.locate(ctx, f.chart())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.found(err)
	if err != nil {
		return err
	}
	before := f.chart().nodes
	if f.install(spans) {
		if nodes := f.chart().nodes; !slices.Equal(before, nodes) {
			s.options.Logger.Info("redis: these are the primaries now", "store", s.String(), "primaries", addresses(nodes))
		}
	}
	return nil
}

// lookAround looks again and again until ctx ends.
func (s *Store) lookAround(ctx context.Context) {
	if s.fleet.locator == nil {
		return
	}
	for {
		_ = s.look(ctx) // told in Health and log by found
		if !sleep(ctx, lookSoon) {
			return
		}
		timer := time.NewTimer(jitter(lookEvery))
		select {
		case <-ctx.Done():
		case <-s.fleet.doubt:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// found notes whether those who know who holds what could tell. It logs transitions.
func (s *Store) found(err error) {
	s.lost.mu.Lock()
	before := s.lost.err
	s.lost.err = err
	s.lost.mu.Unlock()
	switch {
	case err != nil && before == nil:
		poke(s.fleet.changed) // whoever watches may have to be told
		s.options.Logger.Warn("redis: nobody tells which node is the primary", "store", s.String(), "cause", err)
	case err == nil && before != nil:
		s.options.Logger.Info("redis: the primary is told again", "store", s.String())
	}
}

// ignorance is why it is not known who holds what now.
type ignorance struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (i *ignorance) get() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

func addresses(nodes []*node) (all []string) {
	for _, n := range nodes {
		all = append(all, n.addr)
	}
	return all
}

// everyNode runs work for each node at the same time and returns the first of
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
				errs[i] = fmt.Errorf("%s: %w", n.addr, err)
			}
		})
	}
	all.Wait()
	return cmp.Or(errs...)
}
