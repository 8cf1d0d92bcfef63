package push

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tallycast/tallycast/internal/hub"
)

// readiness tells of event streams whose clients left, for all of them with one
// goroutine: an epoll set of its own beside the runtime's.
type readiness struct {
	hub  *hub.Hub
	file *os.File // of the epoll set; the runtime waits on it like on a socket
	set  int

	mu       sync.Mutex
	watching []watched // by descriptor
	last     int32     // the newest generation
}

// watched is a connection and a number that tells it from those that had its
// descriptor before.
type watched struct {
	conn       *conn
	generation int32
}

func newReadiness(h *hub.Hub) (*readiness, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(set, true)
	}
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	return &readiness{hub: h, set: set, file: os.NewFile(uintptr(set), "epoll")}, nil
}

// watch has the hub told when the client of c leaves.
func (r *readiness) watch(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.watching) <= c.fd {
		r.watching = append(r.watching, watched{})
	}
	r.last++
	r.watching[c.fd] = watched{c, r.last}
	// Edge-triggered and without EPOLLIN: what a client sends on an event stream
	// is never read, only that it hung up or that the connection failed.
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(c.fd), Pad: r.last}
	if err := unix.EpollCtl(r.set, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		r.hub.Leave(&c.Viewer, hub.ReasonGone)
	}
}

// forget is called before the descriptor is closed, which takes it out of the set.
func (r *readiness) forget(fd int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fd < len(r.watching) {
		r.watching[fd] = watched{}
	}
}

// run tells the hub of clients that left until ctx ends.
func (r *readiness) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer r.file.Close()
	set, err := r.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for viewers that leave: %w", err)
	}
	events := make([]unix.EpollEvent, 256)
	for {
		var n int
		var failed error
		err := set.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n != 0 && failed != unix.EINTR
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return nil
		case err != nil || failed != nil:
			return fmt.Errorf("wait for viewers that leave: %w", errors.Join(err, failed))
		}
		r.mu.Lock()
		for _, event := range events[:n] {
			if w := r.watching[event.Fd]; w.conn != nil && w.generation == event.Pad {
				r.hub.Leave(&w.conn.Viewer, hub.ReasonGone)
			}
		}
		r.mu.Unlock()
	}
}

// setUserTimeout has the kernel give a connection up when what was sent stays
// unacknowledged for so long (TCP_USER_TIMEOUT, RFC 5482).
func setUserTimeout(fd int, timeout time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
}
