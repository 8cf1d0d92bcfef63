package checker_test

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

// now returns the moment.
func now() checker.Moment { return checker.Moment(time.Now().UnixMicro()) }

// record is a history in the making.
type record struct {
	mu          sync.Mutex
	writes      []checker.Write
	reads       []checker.Sighting
	connections []*connection
	faults      []checker.Fault
}

func (r *record) wrote(w checker.Write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, w)
}

func (r *record) read(s checker.Sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, s)
}

func (r *record) broke(f checker.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// connected adds a connection and returns it.
func (r *record) connected(name string, instance int, topics []string) *connection {
	c := &connection{pending: topics}
	c.told = checker.Connection{Name: name, Instance: instance, Watched: map[string]checker.Moment{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connections = append(r.connections, c)
	return c
}

// history returns what was recorded until now.
func (r *record) history() *checker.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &checker.History{
		Writes: slices.Clone(r.writes), Reads: slices.Clone(r.reads), Faults: slices.Clone(r.faults), Judged: now(),
	}
	slices.SortStableFunc(h.Writes, func(a, b checker.Write) int { return cmp.Compare(a.Called, b.Called) })
	for _, c := range r.connections {
		h.Connections = append(h.Connections, c.copy())
	}
	return h
}

// connection is what one connection was told so far.
type connection struct {
	mu      sync.Mutex
	told    checker.Connection
	pending []string       // topics that were asked for and not yet said to be current
	doubted checker.Moment // when it was told that numbers may be old
}

func (c *connection) copy() checker.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.told
	told.Watched, told.Seen = maps.Clone(told.Watched), slices.Clone(told.Seen)
	return told
}

// ask notes that topics are asked for.
func (c *connection) ask(topics []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, topics...)
}

// take notes a frame.
func (c *connection) take(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f.Event == "live":
		if c.told.Stale {
			c.told.Doubts = append(c.told.Doubts, checker.Doubt{Began: c.doubted, Ended: now(), Seen: len(c.told.Seen)})
		}
		for _, topic := range c.pending {
			c.told.Watched[topic] = now()
		}
		c.pending, c.told.Stale = nil, false
	case f.Event == "stale":
		if !c.told.Stale {
			c.doubted = now()
		}
		c.told.Stale = true
	case f.Topic != "":
		c.told.Seen = append(c.told.Seen, checker.Sighting{Topic: f.Topic, Count: f.Count, Version: f.Version, At: now()})
	}
}

// end notes that the connection is gone.
func (c *connection) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told.Ended = now()
}
