package push

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tallycast/tallycast/internal/hub"
)

// readiness waits for input on all connections with one goroutine for each processor. Each
// has an epoll set of its own. It reads from WebSockets. On event streams it only waits for
// the client to close. A connection without events has neither a goroutine nor a buffer.
type readiness struct{ loops []*loop }

func newReadiness() (*readiness, error) {
	r := &readiness{loops: make([]*loop, 0, runtime.GOMAXPROCS(0))}
	for range cap(r.loops) {
		l, err := newLoop(cap(r.loops))
		if err != nil {
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

func (r *readiness) loop(fd int) *loop { return r.loops[fd%len(r.loops)] }

// watchStream calls the hub's Leave when the client of c closes.
func (r *readiness) watchStream(c *streamConn) {
	// Without EPOLLIN, since input on an event stream is never read.
	if err := r.loop(c.fd()).watch(c.fd(), c, unix.EPOLLRDHUP); err != nil {
		c.server.hub.Leave(&c.Viewer, hub.ReasonGone)
	}
}

// watchSocket starts reading from c.
func (r *readiness) watchSocket(c *socketConn) {
	l := r.loop(c.fd())
	isWaiting := c.incomplete != nil // the handshake came with the beginning of a message
	if err := l.watch(c.fd(), c, unix.EPOLLRDHUP|unix.EPOLLIN); err != nil {
		c.endReader(nil)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.hasReader = true
	if isWaiting || c.isRetired.Load() {
		l.toLimit = append(l.toLimit, c)
	}
}

// forget removes the descriptor of a stream. It is called before the descriptor is
// closed, which removes it from the epoll set.
func (r *readiness) forget(c *streamConn) { r.loop(c.fd()).forget(c.fd()) }

// retire ends the reader of c after the close timeout.
func (r *readiness) retire(c *socketConn) {
	l := r.loop(c.fd())
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.hasReader { // otherwise watchSocket does it
		l.toLimit = append(l.toLimit, c)
	}
}

// run reads until ctx ends. Then it calls finish, and reads until finish returns.
func (r *readiness) run(ctx context.Context, finish func()) error {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, failed := errgroup.WithContext(reading)
	for _, l := range r.loops {
		group.Go(func() error { return l.run(failed) }) // ends with failed
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	finish()
	stop()
	return group.Wait()
}

const (
	// limitInterval is how often a loop checks time limits.
	limitInterval = 250 * time.Millisecond
	// maxReads is how often a loop reads from one socket before it serves the others.
	maxReads = 2
)

// loop is one epoll set and the goroutine that serves it.
type loop struct {
	file  *os.File // of the set; the runtime's poller waits for it
	set   int
	loops int // number of loops; each has the descriptors with one remainder modulo loops

	// Owned by the goroutine in run.
	buffer []byte
	limits map[*socketConn]time.Time // deadlines of incomplete messages and retired sockets
	unread []*socketConn             // may have more input

	mu         sync.Mutex
	watched    []watched     // by descriptor / loops
	generation int32         // the newest
	toLimit    []*socketConn // get a deadline at the next check
}

// watched is a connection and a number that distinguishes it from earlier ones with the
// same descriptor.
type watched struct {
	conn       readable
	generation int32
}

// readable is a connection that can handle the events of its descriptor.
type readable interface{ ready(l *loop, events uint32) }

func newLoop(loops int) (*loop, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(set, true)
	}
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	return &loop{
		loops: loops, set: set, file: os.NewFile(uintptr(set), "epoll"),
		buffer: make([]byte, maxMessage+maxHeader),
		limits: map[*socketConn]time.Time{},
	}, nil
}

// watch adds a descriptor to the set, edge-triggered.
func (l *loop) watch(fd int, conn readable, events uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.watched) <= fd/l.loops {
		l.watched = append(l.watched, watched{})
	}
	l.generation++
	l.watched[fd/l.loops] = watched{conn, l.generation}
	event := unix.EpollEvent{Events: events | unix.EPOLLET&0xffffffff, Fd: int32(fd), Pad: l.generation}
	return unix.EpollCtl(l.set, unix.EPOLL_CTL_ADD, fd, &event)
}

func (l *loop) forget(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := fd / l.loops; i < len(l.watched) {
		l.watched[i] = watched{}
	}
}

// find returns the connection of an event, or nil if it is closed.
func (l *loop) find(event unix.EpollEvent) readable {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.watched[int(event.Fd)/l.loops]; w.generation == event.Pad {
		return w.conn
	}
	return nil
}

// run handles events until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer l.file.Close()
	set, err := l.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for viewers: %w", err)
	}
	events := make([]unix.EpollEvent, 256)
	for next := time.Now(); ctx.Err() == nil; {
		if now := time.Now(); !now.Before(next) {
			l.checkLimits(now)
			next = now.Add(limitInterval)
			_ = l.file.SetReadDeadline(next)
		}
		n := 0
		var failed error
		err := set.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n > 0 || len(l.unread) > 0 || failed != nil && failed != unix.EINTR
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || failed != nil && failed != unix.EINTR {
			return fmt.Errorf("wait for viewers: %w", errors.Join(err, failed))
		}
		unread := l.unread
		l.unread = nil
		for _, event := range events[:max(n, 0)] {
			if conn := l.find(event); conn != nil {
				conn.ready(l, event.Events)
			}
		}
		for _, c := range unread {
			c.ready(l, unix.EPOLLRDHUP) // the event before may have announced the end of the input
		}
	}
	return nil
}

// checkLimits closes the connections with an incomplete message, and the retired sockets, whose
// deadline has passed.
func (l *loop) checkLimits(now time.Time) {
	l.mu.Lock()
	toLimit := l.toLimit
	l.toLimit = nil
	l.mu.Unlock()
	for _, c := range toLimit {
		switch {
		case c.readerHasEnded:
		case c.isRetired.Load():
			l.limits[c] = now.Add(closeTimeout)
		default:
			l.limitMessage(c)
		}
	}
	for c, limit := range l.limits {
		switch {
		case now.Before(limit):
		case c.isRetired.Load():
			l.endReader(c, nil)
		default:
			delete(l.limits, c)
			c.closeFor(&violation{closePolicy, "the message takes too long"})
		}
	}
}

// endReader ends reading from c, see [socketConn.endReader].
func (l *loop) endReader(c *socketConn, err error) {
	delete(l.limits, c)
	l.forget(c.fd())
	c.endReader(err)
}

// ready implements readable: the client of a stream closed.
func (c *streamConn) ready(l *loop, _ uint32) {
	c.server.hub.Leave(&c.Viewer, hub.ReasonOf(l.failure(c)))
}

// failure returns the error that ended the connection of c, or nil if its client closed.
func (l *loop) failure(c *streamConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The descriptor cannot become another connection's meanwhile, since the shard calls
	// forget before it closes the descriptor.
	if l.watched[c.fd()/l.loops].conn != readable(c) {
		return nil
	}
	code, err := unix.GetsockoptInt(c.fd(), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || code == 0 {
		return nil
	}
	return syscall.Errno(code)
}

// ready implements readable: it reads the input, at most maxReads times. A read that does
// not fill the buffer leaves no input; later input causes another event. Only the end of the
// input, which EPOLLRDHUP announces, needs a further read.
func (c *socketConn) ready(l *loop, events uint32) {
	if c.readerHasEnded {
		return
	}
	for range maxReads {
		n, err := syscall.Read(c.fd(), l.buffer)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			l.limitMessage(c)
			return
		case err != nil || n == 0:
			l.endReader(c, err)
			return
		default:
			c.receive(l.buffer[:n])
			if n < len(l.buffer) && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
				l.limitMessage(c)
				return
			}
		}
	}
	l.limitMessage(c)
	l.unread = append(l.unread, c)
}

// limitMessage sets a deadline if a message is incomplete, and else removes the deadline.
func (l *loop) limitMessage(c *socketConn) {
	if c.ignoresInput || c.isRetired.Load() {
		return
	}
	isIncomplete := c.incomplete != nil
	if _, limited := l.limits[c]; limited == isIncomplete {
		return
	}
	if !isIncomplete {
		delete(l.limits, c)
	} else {
		l.limits[c] = time.Now().Add(c.server.options.MessageTimeout)
	}
}

// setUserTimeout makes the kernel end a connection whose bytes stay unacknowledged for timeout
// (TCP_USER_TIMEOUT, RFC 5482).
func setUserTimeout(fd int, timeout time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
}
