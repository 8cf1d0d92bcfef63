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

// readiness notices what viewers do, for all of them with a goroutine a processor:
// epoll sets of its own beside the runtime's. Event streams are only watched for
// their clients' hanging up, WebSockets are read too. A connection that nothing
// happens on has no goroutine and no buffer.
type readiness struct{ loops []*loop }

func newReadiness() (*readiness, error) {
	r := &readiness{}
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

func (r *readiness) loop(fd int) *loop { return r.loops[fd%len(r.loops)] }

// watchStream has the hub told when the client of c leaves.
func (r *readiness) watchStream(c *streamConn) {
	// Without EPOLLIN: what a client sends on an event stream is never read.
	if err := r.loop(c.fd).watch(c.fd, c, unix.EPOLLRDHUP); err != nil {
		c.server.hub.Leave(&c.Viewer, hub.ReasonGone)
	}
}

// watchSocket hands c to its reader.
func (r *readiness) watchSocket(c *socketConn) {
	l := r.loop(c.fd)
	waiting := !c.inbound.complete() // for more than came with the handshake
	if err := l.watch(c.fd, c, unix.EPOLLRDHUP|unix.EPOLLIN); err != nil {
		c.leave(nil)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.read = true
	if waiting || c.retired.Load() {
		l.pressed = append(l.pressed, c)
	}
}

// forget is called before the descriptor of a stream is closed, which takes it out
// of the set.
func (r *readiness) forget(fd int) { r.loop(fd).forget(fd) }

// retire has the reader of c end soon, whatever the client does.
func (r *readiness) retire(c *socketConn) {
	l := r.loop(c.fd)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.read { // else watchSocket does it
		l.pressed = append(l.pressed, c)
	}
}

// run serves until ctx ended and then finish returned.
func (r *readiness) run(ctx context.Context, finish func()) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, failed := errgroup.WithContext(serving)
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
	// tickTime is how often a loop looks at what has a time limit.
	tickTime = 250 * time.Millisecond
	// maxReads is how often a socket is read before others have their turn.
	maxReads = 2
)

// loop is one epoll set and the goroutine that serves it.
type loop struct {
	file *os.File // of the set; the runtime waits on it like on a socket
	set  int

	// Owned by the goroutine in run.
	buffer  []byte
	limited map[*socketConn]time.Time // incomplete messages and retired sockets: until when
	again   []*socketConn             // may have more to read

	mu       sync.Mutex
	watching []watched     // by descriptor
	last     int32         // the newest generation
	pressed  []*socketConn // get a time limit with the next tick
}

// watched is a connection and a number that tells it from those that had its
// descriptor before.
type watched struct {
	conn       readable
	generation int32
}

// readable is what is told, by its loop, that its descriptor is ready.
type readable interface{ ready(l *loop) }

func newLoop() (*loop, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(set, true)
	}
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	return &loop{
		set: set, file: os.NewFile(uintptr(set), "epoll"),
		buffer:  make([]byte, maxMessage+maxHeader),
		limited: map[*socketConn]time.Time{},
	}, nil
}

// watch adds a descriptor to the set, edge-triggered.
func (l *loop) watch(fd int, conn readable, events uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.watching) <= fd {
		l.watching = append(l.watching, watched{})
	}
	l.last++
	l.watching[fd] = watched{conn, l.last}
	event := unix.EpollEvent{Events: events | unix.EPOLLET&0xffffffff, Fd: int32(fd), Pad: l.last}
	return unix.EpollCtl(l.set, unix.EPOLL_CTL_ADD, fd, &event)
}

func (l *loop) forget(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fd < len(l.watching) {
		l.watching[fd] = watched{}
	}
}

// of returns the connection that an event is for, or nil.
func (l *loop) of(event unix.EpollEvent) readable {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.watching[event.Fd]; w.generation == event.Pad {
		return w.conn
	}
	return nil
}

// run serves the set until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer l.file.Close()
	set, err := l.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for viewers: %w", err)
	}
	events := make([]unix.EpollEvent, 256)
	for next := time.Now(); ctx.Err() == nil; {
		if now := time.Now(); !now.Before(next) {
			l.tick(now)
			next = now.Add(tickTime)
			_ = l.file.SetReadDeadline(next)
		}
		n := 0
		var failed error
		err := set.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n > 0 || len(l.again) > 0 || failed != nil && failed != unix.EINTR
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || failed != nil && failed != unix.EINTR {
			return fmt.Errorf("wait for viewers: %w", errors.Join(err, failed))
		}
		again := l.again
		l.again = nil
		for _, event := range events[:max(n, 0)] {
			if conn := l.of(event); conn != nil {
				conn.ready(l)
			}
		}
		for _, c := range again {
			c.ready(l)
		}
	}
	return nil
}

// tick ends what has had its time.
func (l *loop) tick(now time.Time) {
	l.mu.Lock()
	pressed := l.pressed
	l.pressed = nil
	l.mu.Unlock()
	for _, c := range pressed {
		switch {
		case c.left:
		case c.retired.Load():
			l.limited[c] = now.Add(lingerTime)
		default:
			l.limit(c)
		}
	}
	for c, until := range l.limited {
		switch {
		case now.Before(until):
		case c.retired.Load():
			l.end(c, nil)
		default:
			delete(l.limited, c)
			c.expel(&violation{closePolicy, "the message takes too long"})
		}
	}
}

// end ends the reading of c, for err or because its client hung up.
func (l *loop) end(c *socketConn, err error) {
	delete(l.limited, c)
	l.forget(c.fd)
	c.leave(err)
}

// ready implements readable: a stream's client hung up.
func (c *streamConn) ready(*loop) { c.server.hub.Leave(&c.Viewer, departure(c.failure())) }

// failure returns what ended the connection; nil where its client did.
func (c *conn) failure() error {
	raw, err := c.net.SyscallConn()
	if err != nil {
		return nil
	}
	var code int
	// Control keeps the descriptor from becoming another connection's meanwhile.
	if raw.Control(func(fd uintptr) { code, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }) != nil || err != nil || code == 0 {
		return nil
	}
	return syscall.Errno(code)
}

// ready implements readable: it reads what there is, in turn with others.
func (c *socketConn) ready(l *loop) {
	if c.left {
		return
	}
	for range maxReads {
		n, err := syscall.Read(c.fd, l.buffer)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			l.limit(c)
			return
		case err != nil || n == 0:
			l.end(c, err)
			return
		default:
			c.receive(l.buffer[:n])
		}
	}
	l.limit(c)
	l.again = append(l.again, c)
}

// limit gives an incomplete message its time.
func (l *loop) limit(c *socketConn) {
	if c.deaf || c.retired.Load() {
		return
	}
	if _, limited := l.limited[c]; limited == !c.inbound.complete() {
		return
	}
	if c.inbound.complete() {
		delete(l.limited, c)
	} else {
		l.limited[c] = time.Now().Add(messageTime)
	}
}

// setUserTimeout has the kernel give a connection up when what was sent stays
// unacknowledged for so long (TCP_USER_TIMEOUT, RFC 5482).
func setUserTimeout(fd int, timeout time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
}
