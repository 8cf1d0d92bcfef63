package checker_test

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

// now returns the current moment.
func now() checker.Moment { return checker.Moment(time.Now().UnixMicro()) }

// record collects a history.
type record struct {
	mu          sync.Mutex
	writes      []checker.Write
	reads       []checker.Observation
	connections []*connection
	faults      []checker.Fault
}

func (r *record) addWrite(w checker.Write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, w)
}

func (r *record) addRead(s checker.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, s)
}

func (r *record) addFault(f checker.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// addConnection adds a connection that requested topics.
func (r *record) addConnection(name string, instance int, topics []string) *connection {
	c := &connection{pending: topics}
	c.state = checker.Connection{Name: name, Instance: instance, Watched: map[string]checker.Moment{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connections = append(r.connections, c)
	return c
}

// history returns everything recorded so far.
func (r *record) history() *checker.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &checker.History{
		Choices: map[string]int{},
		Writes:  slices.Clone(r.writes), Reads: slices.Clone(r.reads), Faults: slices.Clone(r.faults), ObservedUntil: now(),
	}
	for topic, most := range topics {
		if isChoice(topic) {
			h.Choices[topic] = int(most)
		}
	}
	slices.SortStableFunc(h.Writes, func(a, b checker.Write) int { return cmp.Compare(a.Called, b.Called) })
	for _, c := range r.connections {
		h.Connections = append(h.Connections, c.copy())
	}
	return h
}

// connection is the state of one connection.
type connection struct {
	mu         sync.Mutex
	state      checker.Connection
	pending    []string       // topics requested and not yet live
	staleSince checker.Moment // when it received stale
}

func (c *connection) copy() checker.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.state
	state.Watched, state.Seen = maps.Clone(state.Watched), slices.Clone(state.Seen)
	return state
}

// subscribe records that topics are requested.
func (c *connection) subscribe(topics []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, topics...)
}

// receive records a frame.
func (c *connection) receive(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f.Event == "live":
		if c.state.Stale {
			c.state.StalePeriods = append(c.state.StalePeriods, checker.StalePeriod{Began: c.staleSince, Ended: now(), Seen: len(c.state.Seen)})
		}
		for _, topic := range c.pending {
			c.state.Watched[topic] = now()
		}
		c.pending, c.state.Stale = nil, false
	case f.Event == "stale":
		if !c.state.Stale {
			c.staleSince = now()
		}
		c.state.Stale = true
	case f.Topic != "":
		c.state.Seen = append(c.state.Seen, checker.Observation{Topic: f.Topic, Count: f.Count, Options: f.Options, Version: f.Version, At: now()})
	}
}

// end records that the connection ended.
func (c *connection) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Ended = now()
}
