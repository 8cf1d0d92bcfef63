package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// neighbours are viewers of one topic, one by each transport and both present, beside
// whom others are hostile or vanish. They must not notice.
type neighbours struct {
	t       testing.TB
	s       *service
	topic   string
	viewers []*viewer
	likes   int64
	took    []time.Duration // from each like to each viewer
}

// neighbours opens them and waits until they are current.
func (s *service) neighbours(topic string) *neighbours {
	s.client.t.Helper()
	query := "?topic=" + topic + "&topic=" + readers + "&present=" + readers
	n := &neighbours{t: s.client.t, s: s, topic: topic, viewers: []*viewer{s.watch(query), s.dial(query)}}
	for _, v := range n.viewers {
		v.sawEvents("live", 1)
	}
	n.sawReaders(2)
	return n
}

// press likes once, which must be acknowledged, and waits until all show it.
func (n *neighbours) press() {
	n.t.Helper()
	pressed := time.Now()
	n.s.like(n.topic, visitor(int(n.likes)), "1")
	n.likes++
	for _, v := range n.viewers {
		within(n.t, soon, "the neighbour is current", func() bool { return v.last(n.topic).Count == n.likes })
		n.took = append(n.took, time.Since(pressed))
	}
}

// sawReaders waits until all show so many readers.
func (n *neighbours) sawReaders(count int) {
	n.t.Helper()
	for _, v := range n.viewers {
		eventually(n.t, "the readers", func() bool { return v.last(readers).Count == int64(count) })
	}
}

// unharmed checks that they noticed nothing, that each like counted once, and that the
// operator was not told in the log what metrics tell.
func (n *neighbours) unharmed() {
	n.t.Helper()
	// Milliseconds where this machine has nothing else to do; it may have a lot.
	slices.Sort(n.took)
	if median := n.took[len(n.took)/2]; median > 2*time.Second {
		n.t.Errorf("a like was with the neighbours after %s, as a median", median)
	}
	for _, v := range n.viewers {
		if v.hasEnded() || strings.Contains(v.transcript(), `"stale"`) {
			n.t.Errorf("a neighbour noticed: %s", clip(v.transcript()))
		}
		v.onlyGrows()
	}
	if c := n.s.read(n.topic); c.Count != n.likes {
		n.t.Errorf("%d likes were acknowledged, %d are counted", n.likes, c.Count)
	}
	if held, ready := n.s.metric("tallycast_viewers"), n.s.status("/readyz"); held != float64(len(n.viewers)) || ready != 200 {
		n.t.Errorf("%v viewers are held, /readyz answers %d", held, ready)
	}
	if lines := n.s.faulty(); len(lines) > 0 {
		n.t.Errorf("the log has %d lines about it: %s", len(lines), clip(strings.Join(lines, "\n")))
	}
}
