package redistopology

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// maxSampleAge is the age at which a sample expires. Clocks whose rates differ by 100 ppm, which is much,
// drift apart by 3 ms in this time.
const maxSampleAge = 30 * time.Second

// clock converts times to a node's clock. It uses the newest sample, since somebody may set the
// node's clock, and not the wall clock of this machine.
type clock struct{ atomic.Pointer[clockSample] }

// clockSample is a time of a node, in microseconds since the Unix epoch, and when it arrived here.
type clockSample struct {
	server   int64
	received time.Time
}

// at returns the earliest time that the node's clock can show at t, in microseconds, and whether it
// is known. It is the earliest because the node read its clock before the sample arrived.
func (c *clock) at(t time.Time) (int64, bool) {
	s := c.Load()
	if s == nil {
		return 0, false
	}
	return s.server + t.Sub(s.received).Microseconds(), time.Since(s.received) <= maxSampleAge
}

// AddClockSample stores a sample: the time of the node, and when it was received.
func (n *Node) AddClockSample(server, received time.Time) {
	n.clock.Store(&clockSample{server.UnixMicro(), received})
}

// ForgetClock makes the next call with a deadline read the node's clock.
func (n *Node) ForgetClock() { n.clock.Store(nil) }

// sampleClock reads the node's clock unless it is known. Concurrent callers share one read.
func (n *Node) sampleClock(ctx context.Context) error {
	select {
	case n.sampling <- struct{}{}:
		defer func() { <-n.sampling }()
	case <-ctx.Done():
		return fmt.Errorf("read Redis's clock: %w", ctx.Err())
	}
	if _, ok := n.Now(); ok {
		return nil
	}
	if err := n.topology.options.SampleClock(ctx, n); err != nil {
		return fmt.Errorf("read Redis's clock: %w", err)
	}
	return nil
}

// Now returns the node's clock; ok is false if there is no sample that has not expired.
func (n *Node) Now() (now time.Time, ok bool) {
	at, ok := n.clock.at(time.Now())
	return time.UnixMicro(at), ok
}

// deadline returns ctx's deadline in the node's clock, or an earlier time. If the clock is not
// known, it reads it first.
func (n *Node) deadline(ctx context.Context) (int64, error) {
	end, _ := ctx.Deadline()
	if at, ok := n.clock.at(end); ok {
		return at, nil
	}
	if err := n.sampleClock(ctx); err != nil {
		return 0, err
	}
	at, ok := n.clock.at(end)
	if !ok {
		return 0, fmt.Errorf("read Redis's clock: %w", context.DeadlineExceeded)
	}
	return at, nil
}
