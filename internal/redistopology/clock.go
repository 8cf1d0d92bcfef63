package redistopology

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// preferredSampleAge is how long a sample is preferred to a newer one that took longer.
	preferredSampleAge = 10 * time.Second
	// maxSampleAge is when a sample expires: clocks whose rates differ by 100 ppm, which
	// is a lot, differ by 3 ms then.
	maxSampleAge = 30 * time.Second
)

// clock converts deadlines to a node's clock. It does not use the wall clock of this
// machine.
type clock struct {
	mu     sync.Mutex
	sample clockSample // guarded by mu; zero if unknown
}

// clockSample is one TIME: the node's clock was server at some moment between sent and
// received.
type clockSample struct {
	server         int64 // microseconds since the Unix epoch
	sent, received time.Time
}

func (s clockSample) roundTrip() time.Duration { return s.received.Sub(s.sent) }

// earliest returns the least value that the node's clock can have at t.
func (s clockSample) earliest(t time.Time) int64 {
	return s.server + t.Sub(s.received).Microseconds()
}

// latest returns the greatest value that it can have at t.
func (s clockSample) latest(t time.Time) int64 { return s.server + t.Sub(s.sent).Microseconds() }

// contradicts reports whether one clock cannot have given both samples: it was set in
// between.
func (s clockSample) contradicts(other clockSample) bool {
	const drift = 1000 // µs between samples that are at most preferredSampleAge apart
	t := s.received
	return s.earliest(t) > other.latest(t)+drift || s.latest(t)+drift < other.earliest(t)
}

// add stores a sample if it is better than the current one.
func (c *clock) add(sample clockSample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.sample; old.server != 0 && sample.roundTrip() > old.roundTrip() &&
		sample.received.Sub(old.received) < preferredSampleAge && !sample.contradicts(old) {
		return
	}
	c.sample = sample
}

// reset makes the next deadline wait for a new sample.
func (c *clock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample = clockSample{}
}

// at returns the least value of the node's clock at t, in microseconds, and whether it is
// known.
func (c *clock) at(t time.Time) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sample.server == 0 || time.Since(c.sample.received) > maxSampleAge {
		return 0, false
	}
	return c.sample.earliest(t), true
}

// AddClockSample stores an answer of TIME, and when it was asked and received.
func (n *Node) AddClockSample(server, sent, received time.Time) {
	n.clock.add(clockSample{server: server.UnixMicro(), sent: sent, received: received})
}

// SampleClock replaces what is known of the node's clock.
func (n *Node) SampleClock(ctx context.Context) error {
	n.clock.reset()
	_, err := n.deadline(ctx)
	return err
}

// deadline returns ctx's deadline in the node's clock, never too late. It asks for the
// time first if the clock is not known.
func (n *Node) deadline(ctx context.Context) (int64, error) {
	end, _ := ctx.Deadline()
	if at, ok := n.clock.at(end); ok {
		return at, nil
	}
	sent := time.Now()
	server, err := n.Client.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("read Redis's clock: %w", err)
	}
	n.AddClockSample(server, sent, time.Now())
	at, ok := n.clock.at(end)
	if !ok {
		return 0, fmt.Errorf("read Redis's clock: %w", context.DeadlineExceeded)
	}
	return at, nil
}
