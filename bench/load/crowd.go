package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// handshakes is the number of concurrent handshakes: fewer than the backlog of any
	// server here, enough to keep one busy.
	handshakes = 256
	// perAddress is the number of viewers of a source address: far below the 28,000
	// ephemeral ports of an address.
	perAddress = 100
	// readBuffer is the size of one read, in bytes.
	readBuffer = 64 << 10
	// batch is the number of ready viewers that are served before the crowd's lock is
	// released.
	batch = 256
	// idleWait is the time, in ms, after which the loop checks whether it should end.
	idleWait = 20
)

// Plan describes a crowd. It can be sent to another process.
type Plan struct {
	Endpoint Endpoint
	Viewers  int
	// Topics is the number of topics, PerViewer the number that each viewer watches: the
	// first viewer the first ones, the next viewer the following ones.
	Topics    int
	PerViewer int
	// Offset is the number of the first viewer among all crowds. It spreads topics and
	// source addresses.
	Offset int
	// Record stores an [Event] for each frame.
	Record bool
}

// Event is a received frame.
type Event struct {
	At            int64 // ns of [Clock]
	Before, Count int64 // the count that the viewer showed before, and now
}

// Crowd is many viewers of one server. Its methods are safe for concurrent use.
type Crowd struct {
	plan         Plan
	firstMessage []byte
	epoll        int
	done         chan struct{} // closed when the loop ended

	mu          sync.Mutex
	viewers     []viewer
	next        int // the first viewer without a connection attempt
	arriving    int
	live        int
	lastArrival int64
	generation  int32 // number of calls of Leave
	closing     bool
	problems    []string // the first few problems

	frames, malformed, unrequested, decreased, repeated, lost int64
	events                                                    []Event

	// Of [Crowd.Press].
	answered, refused, lastAnswer int64
	latencies                     []int64
}

var epoch = time.Now()

// Clock returns a monotonic time in ns since the process began.
func Clock() int64 { return int64(time.Since(epoch)) }

// NewCrowd returns a crowd without connections. [Crowd.Close] ends it.
func NewCrowd(plan Plan) (*Crowd, error) {
	if plan.Viewers < 1 || plan.Topics < 1 || plan.PerViewer < 1 || plan.PerViewer > plan.Topics {
		return nil, fmt.Errorf("a crowd of %d viewers, %d topics, %d topics a viewer", plan.Viewers, plan.Topics, plan.PerViewer)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create an epoll set: %w", err)
	}
	c := &Crowd{
		plan: plan, firstMessage: plan.Endpoint.firstMessage(), epoll: epoll,
		done: make(chan struct{}), viewers: make([]viewer, plan.Viewers),
	}
	slots := make([]topicState, plan.Viewers*plan.PerViewer)
	for i := range c.viewers {
		v := &c.viewers[i]
		v.fd = -1
		v.first = int32((plan.Offset + i) * plan.PerViewer % plan.Topics)
		v.topics = slots[i*plan.PerViewer : (i+1)*plan.PerViewer : (i+1)*plan.PerViewer]
	}
	go c.run() // ends after Close, which waits for it
	return c, nil
}

// Open connects all viewers and returns when each has its snapshot.
func (c *Crowd) Open(ctx context.Context) error {
	c.mu.Lock()
	c.next = 0
	c.live = 0
	for range handshakes {
		c.connectNext()
	}
	c.mu.Unlock()
	return c.until(ctx, func() (bool, string) {
		if c.lost > 0 || c.malformed > 0 {
			return true, ""
		}
		return c.live == len(c.viewers), fmt.Sprintf("%d of %d viewers are connected", c.live, len(c.viewers))
	})
}

// Leave disconnects all viewers at once. They forget their counts.
func (c *Crowd) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave()
}

func (c *Crowd) leave() {
	for i := range c.viewers {
		v := &c.viewers[i]
		if v.fd >= 0 {
			_ = unix.Close(int(v.fd)) // no longer used
		}
		v.fd, v.state, v.tail = -1, unconnected, nil
		clear(v.topics)
	}
	c.live, c.arriving, c.next = 0, 0, len(c.viewers)
	c.generation++
}

// Await returns when each viewer has the final count of each of its topics.
func (c *Crowd) Await(ctx context.Context, finals []int64) error {
	return c.until(ctx, func() (bool, string) {
		behind := c.behind(finals)
		return behind == 0, fmt.Sprintf("%d of %d viewers miss the final number", behind, len(c.viewers))
	})
}

// behind returns the number of viewers without the final counts.
func (c *Crowd) behind(finals []int64) (n int) {
	for i := range c.viewers {
		v := &c.viewers[i]
		for k := range v.topics {
			if v.topics[k].count != finals[(int(v.first)+k)%c.plan.Topics] {
				n++
				break
			}
		}
	}
	return n
}

// until waits until done returns true. If ctx ends first, the error has the progress.
func (c *Crowd) until(ctx context.Context, done func() (bool, string)) error {
	tick := time.NewTicker(2 * time.Millisecond) // finer than any figure derived from it
	defer tick.Stop()
	for {
		c.mu.Lock()
		ok, progress := done()
		note := ""
		if len(c.problems) > 0 {
			note = "; " + c.problems[0]
		}
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s%s: %w", progress, note, ctx.Err())
		case <-tick.C:
		}
	}
}

// Reset sets all counters to 0. The viewers keep their counts.
func (c *Crowd) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames, c.repeated, c.events = 0, 0, c.events[:0]
	now := Clock()
	for i := range c.viewers {
		v := &c.viewers[i]
		v.frames, v.within, v.busiest, v.second = 0, 0, 0, now
	}
}

// Close disconnects all viewers and ends the crowd.
func (c *Crowd) Close() error {
	c.mu.Lock()
	closed := c.closing
	c.closing = true
	c.leave()
	c.mu.Unlock()
	<-c.done
	if closed {
		return nil
	}
	return unix.Close(c.epoll)
}

// run is the event loop. It ends when the crowd is closed.
func (c *Crowd) run() {
	defer close(c.done)
	buffer := make([]byte, readBuffer)
	ready := make([]unix.EpollEvent, batch)
	for {
		n, err := unix.EpollWait(c.epoll, ready, idleWait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("epoll_wait: %v", err)) // a programming error
		}
		c.mu.Lock()
		if c.closing {
			c.mu.Unlock()
			return
		}
		for _, event := range ready[:max(n, 0)] {
			// Events from before Leave concern closed connections.
			if v := &c.viewers[event.Fd]; event.Pad == c.generation && v.fd >= 0 {
				c.serve(v, event.Events, buffer)
			}
		}
		c.mu.Unlock()
	}
}

// recordProblem stores the first few problems, for messages.
func (c *Crowd) recordProblem(format string, args ...any) {
	if len(c.problems) < 5 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}
