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
	// handshakes is how many connections are being made at once: fewer than the
	// backlog of any server here, more than are needed to keep one busy.
	handshakes = 256
	// perAddress is how many viewers share a source address: far below the 28,000
	// ports that the kernel has for one, and above what one browser makes.
	perAddress = 100
	// readBuffer is what is read of one viewer at once, in bytes.
	readBuffer = 64 << 10
	// batch is how many ready viewers are served between two looks at the clock
	// and at whoever waits for the crowd's lock.
	batch = 256
	// idleWait is how long the loop waits for readiness, in ms, before it looks
	// whether it should end.
	idleWait = 20
)

// Plan is what a crowd is to do. It is plain data.
type Plan struct {
	Door    Door
	Viewers int
	// Topics is how many topics there are, PerViewer how many of them each viewer
	// watches: the first viewer the first ones, the next those that follow.
	Topics    int
	PerViewer int
	// Offset is the number of the first viewer among all crowds; it spreads the
	// topics and the source addresses.
	Offset int
	// Record keeps an [Event] of each frame.
	Record bool
}

// Event is a frame that a viewer got.
type Event struct {
	At            int64 // ns of [Clock]
	Before, Count int64 // what the viewer showed, and shows
}

// Crowd is many viewers of one server. Its methods may be called concurrently.
type Crowd struct {
	plan     Plan
	greeting []byte
	epoll    int
	done     chan struct{} // closed when the loop ended

	mu          sync.Mutex
	viewers     []viewer
	next        int // the first viewer that was not yet sent
	arriving    int
	live        int
	lastArrival int64
	generation  int32 // how often the viewers left
	closing     bool
	notes       []string // the first few things that went wrong

	frames, malformed, strange, back, repeated, lost int64
	events                                           []Event
}

var epoch = time.Now()

// Clock is a monotonic clock, in ns since the process began.
func Clock() int64 { return int64(time.Since(epoch)) }

// NewCrowd returns a crowd whose viewers are all away. [Crowd.Close] ends it.
func NewCrowd(plan Plan) (*Crowd, error) {
	if plan.Viewers < 1 || plan.Topics < 1 || plan.PerViewer < 1 || plan.PerViewer > plan.Topics {
		return nil, fmt.Errorf("a crowd of %d viewers, %d topics, %d topics a viewer", plan.Viewers, plan.Topics, plan.PerViewer)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create an epoll set: %w", err)
	}
	c := &Crowd{
		plan: plan, greeting: plan.Door.greeting(), epoll: epoll,
		done: make(chan struct{}), viewers: make([]viewer, plan.Viewers),
	}
	slots := make([]slot, plan.Viewers*plan.PerViewer)
	for i := range c.viewers {
		v := &c.viewers[i]
		v.fd = -1
		v.first = int32((plan.Offset + i) * plan.PerViewer % plan.Topics)
		v.slots = slots[i*plan.PerViewer : (i+1)*plan.PerViewer : (i+1)*plan.PerViewer]
	}
	go c.run() // ends after Close, which waits for it
	return c, nil
}

// Open sends all viewers and returns once each was told all that it lacks.
func (c *Crowd) Open(ctx context.Context) error {
	c.mu.Lock()
	c.next = 0
	c.live = 0
	for range handshakes {
		c.sendNext()
	}
	c.mu.Unlock()
	return c.until(ctx, func() (bool, string) {
		if c.lost > 0 || c.malformed > 0 {
			return true, ""
		}
		return c.live == len(c.viewers), fmt.Sprintf("%d of %d viewers are let in", c.live, len(c.viewers))
	})
}

// Leave closes all viewers at once; what they held is forgotten.
func (c *Crowd) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave()
}

func (c *Crowd) leave() {
	for i := range c.viewers {
		v := &c.viewers[i]
		if v.fd >= 0 {
			_ = unix.Close(int(v.fd)) // nothing is done with it any more
		}
		v.fd, v.state, v.tail = -1, away, nil
		clear(v.slots)
	}
	c.live, c.arriving, c.next = 0, 0, len(c.viewers)
	c.generation++
}

// Await returns once each viewer holds the final count of each of its topics.
func (c *Crowd) Await(ctx context.Context, finals []int64) error {
	return c.until(ctx, func() (bool, string) {
		behind := c.behind(finals)
		return behind == 0, fmt.Sprintf("%d of %d viewers miss the final number", behind, len(c.viewers))
	})
}

// behind returns how many viewers do not show the final counts.
func (c *Crowd) behind(finals []int64) (n int) {
	for i := range c.viewers {
		v := &c.viewers[i]
		for k := range v.slots {
			if v.slots[k].count != finals[(int(v.first)+k)%c.plan.Topics] {
				n++
				break
			}
		}
	}
	return n
}

// until waits until done says so, or ctx ends; then the error says how far it came.
func (c *Crowd) until(ctx context.Context, done func() (bool, string)) error {
	tick := time.NewTicker(2 * time.Millisecond) // finer than any figure that is read from it
	defer tick.Stop()
	for {
		c.mu.Lock()
		ok, so := done()
		note := ""
		if len(c.notes) > 0 {
			note = "; " + c.notes[0]
		}
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s%s: %w", so, note, ctx.Err())
		case <-tick.C:
		}
	}
}

// Reset begins to count anew. What the viewers hold stays.
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

// Close closes all viewers and ends the crowd.
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

// run is the loop. It ends when the crowd is closed.
func (c *Crowd) run() {
	defer close(c.done)
	buffer := make([]byte, readBuffer)
	ready := make([]unix.EpollEvent, batch)
	for {
		n, err := unix.EpollWait(c.epoll, ready, idleWait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("epoll_wait on an own set: %v", err)) // a mistake here, not a condition
		}
		c.mu.Lock()
		if c.closing {
			c.mu.Unlock()
			return
		}
		for _, event := range ready[:max(n, 0)] {
			// What was ready before the viewers left concerns connections that are gone.
			if v := &c.viewers[event.Fd]; event.Pad == c.generation && v.fd >= 0 {
				c.serve(v, event.Events, buffer)
			}
		}
		c.mu.Unlock()
	}
}

// note keeps the first few things that went wrong, for people.
func (c *Crowd) note(format string, args ...any) {
	if len(c.notes) < 5 {
		c.notes = append(c.notes, fmt.Sprintf(format, args...))
	}
}
