package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// sampleGood is how long a look at Redis's clock is preferred to a newer one
	// that took longer.
	sampleGood = 10 * time.Second
	// sampleOld is when a look is too old to be used: two clocks that drift apart by
	// 100 ppm, which is a lot, differ by 3 ms then.
	sampleOld = 30 * time.Second
)

// clock translates deadlines to a node's clock. It does not look at the wall clock
// of this machine.
type clock struct {
	mu     sync.Mutex
	sample sample // guarded by mu
}

// sample is one look: Redis's clock said server some time between sent and received.
type sample struct {
	server         int64 // microseconds since the Unix epoch
	sent, received time.Time
}

func (s sample) took() time.Duration { return s.received.Sub(s.sent) }

// earliest returns the least that Redis's clock may say at t.
func (s sample) earliest(t time.Time) int64 { return s.server + t.Sub(s.received).Microseconds() }

// latest returns the most that it may say at t.
func (s sample) latest(t time.Time) int64 { return s.server + t.Sub(s.sent).Microseconds() }

// contradicts tells whether no clock could have given both.
func (s sample) contradicts(other sample) bool {
	const drift = 1000 // µs between two looks that are at most sampleGood apart
	t := s.received
	return s.earliest(t) > other.latest(t)+drift || s.latest(t)+drift < other.earliest(t)
}

// note adds a look.
func (c *clock) note(new sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.sample; old.server != 0 && new.took() > old.took() &&
		new.received.Sub(old.received) < sampleGood && !new.contradicts(old) {
		return
	}
	c.sample = new
}

// forget makes the next deadline wait for a new look.
func (c *clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample = sample{}
}

// at returns what Redis's clock says at t at the earliest, in microseconds, and
// whether that is known.
func (c *clock) at(t time.Time) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sample.server == 0 || time.Since(c.sample.received) > sampleOld {
		return 0, false
	}
	return c.sample.earliest(t), true
}

// deadline returns ctx's deadline in the node's clock, never too late, and looks at
// that clock first where it must.
func (n *node) deadline(ctx context.Context) (int64, error) {
	end, _ := ctx.Deadline()
	if at, ok := n.clock.at(end); ok {
		return at, nil
	}
	sent := time.Now()
	server, err := n.client.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("look at Redis's clock: %w", err)
	}
	n.clock.note(sample{server: server.UnixMicro(), sent: sent, received: time.Now()})
	at, ok := n.clock.at(end)
	if !ok {
		return 0, fmt.Errorf("look at Redis's clock: %w", context.DeadlineExceeded)
	}
	return at, nil
}
