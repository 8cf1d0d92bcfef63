//go:build !linux

package push

import (
	"context"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
)

// readiness reads from connections on systems without epoll, with one goroutine each.
type readiness struct{}

func newReadiness() (*readiness, error) { return &readiness{}, nil }

// socket is a TCP socket. It stays a connection of package net, since the readers need its
// deadlines.
type socket struct {
	descriptor int
	net        *net.TCPConn
}

// newSocket returns the socket of tcp, which it owns from then on.
func newSocket(tcp *net.TCPConn) (s socket, err error) {
	descriptor, err := tcp.SyscallConn()
	if err != nil {
		return socket{}, err
	}
	err = descriptor.Control(func(fd uintptr) { s = socket{int(fd), tcp} })
	return s, err
}

// write makes one attempt to write.
func (s socket) write(p []byte) (int, error) { return syscall.Write(s.descriptor, p) }

// closeWrite ends the output.
func (s socket) closeWrite() { _ = s.net.CloseWrite() }

// closeSocket closes the socket.
func (s socket) closeSocket() { _ = s.net.Close() }

// watchStream calls the hub's Leave when the client of c closes.
func (r *readiness) watchStream(c *streamConn) {
	c.server.work.Go(func() { // ends when the shard closes the connection
		_, err := io.Copy(io.Discard, c.net)
		c.server.hub.Leave(&c.Viewer, hub.ReasonOf(err))
	})
}

// watchSocket starts reading from c.
func (r *readiness) watchSocket(c *socketConn) {
	go func() { // ends when the client closes, or after retire
		buffer := make([]byte, 4<<10)
		for {
			var limit time.Time
			if c.incomplete != nil {
				limit = time.Now().Add(c.server.options.MessageTimeout)
			}
			if !c.isRetired.Load() {
				_ = c.net.SetReadDeadline(limit)
			}
			if c.isRetired.Load() { // perhaps since the check above: keep retire's deadline
				_ = c.net.SetReadDeadline(time.Now().Add(closeTimeout))
			}
			n, err := c.net.Read(buffer)
			c.receive(buffer[:n])
			if err != nil {
				c.endReader(err)
				return
			}
		}
	}()
}

func (r *readiness) forget(*streamConn) {}

// retire ends the reader of c after the close timeout.
func (r *readiness) retire(c *socketConn) {
	_ = c.net.SetReadDeadline(time.Now().Add(closeTimeout))
}

// run waits until ctx ends. Then it calls finish.
func (r *readiness) run(ctx context.Context, finish func()) error {
	<-ctx.Done()
	finish()
	return nil
}

// setUserTimeout does nothing: a connection ends when the kernel gives up resending.
func setUserTimeout(int, time.Duration) error { return nil }
