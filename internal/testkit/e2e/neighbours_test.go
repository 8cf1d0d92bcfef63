package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// neighbourViewers are viewers of one topic, one by each transport and both present. Hostile
// or half-open viewers beside them must not affect them.
type neighbourViewers struct {
	t         testing.TB
	s         *service
	topic     string
	viewers   []*viewer
	likes     int64
	latencies []time.Duration // of each like to each viewer
}

// neighbours opens neighbour viewers and waits until they are live.
func (s *service) neighbours(topic string) *neighbourViewers {
	s.t.Helper()
	query := "?topic=" + topic + "&topic=" + readers + "&present=" + readers
	n := &neighbourViewers{t: s.t, s: s, topic: topic, viewers: []*viewer{s.watch(query), s.dial(query)}}
	for _, v := range n.viewers {
		v.awaitEvents("live", 1)
	}
	n.awaitReaders(2)
	return n
}

// sendLike sends one like, which must be acknowledged, and waits until all viewers show it.
func (n *neighbourViewers) sendLike() {
	n.t.Helper()
	pressed := time.Now()
	n.s.like(n.topic, visitor(int(n.likes)), "1")
	n.likes++
	for _, v := range n.viewers {
		processtest.Within(n.t, soon, "the neighbour shows the like", func() bool { return v.last(n.topic).Count == n.likes })
		n.latencies = append(n.latencies, time.Since(pressed))
	}
}

// awaitReaders waits until all viewers show a number of readers.
func (n *neighbourViewers) awaitReaders(count int) {
	n.t.Helper()
	for _, v := range n.viewers {
		processtest.Eventually(n.t, "the readers", func() bool { return v.last(readers).Count == int64(count) })
	}
}

// checkUnaffected checks that the viewers were not disconnected or stale, that each like
// counted once, and that the log has no warnings.
func (n *neighbourViewers) checkUnaffected() {
	n.t.Helper()
	// Milliseconds on an idle machine.
	slices.Sort(n.latencies)
	if median := n.latencies[len(n.latencies)/2]; median > 2*time.Second {
		n.t.Errorf("the median latency of likes is %s", median)
	}
	for _, v := range n.viewers {
		if v.hasEnded() || strings.Contains(v.transcript(), `"stale"`) {
			n.t.Errorf("a neighbour was disconnected or stale: %s", clip(v.transcript()))
		}
		v.checkVersions()
	}
	if c := n.s.read(n.topic); c.Count != n.likes {
		n.t.Errorf("%d likes were acknowledged, %d are counted", n.likes, c.Count)
	}
	if held, ready := n.s.Metric("tallycast_viewers"), n.s.status("/readyz"); held != float64(len(n.viewers)) || ready != 200 {
		n.t.Errorf("%v viewers are held, /readyz answers %d", held, ready)
	}
	if lines := n.s.warnings(); len(lines) > 0 {
		n.t.Errorf("%d warnings: %s", len(lines), clip(strings.Join(lines, "\n")))
	}
}
