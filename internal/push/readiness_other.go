//go:build !linux

package push

import (
	"context"
	"io"
	"time"
)

// readiness notices what viewers do: where the system has no epoll, with a
// goroutine each that reads.
type readiness struct{}

func newReadiness() (*readiness, error) { return &readiness{}, nil }

// watchStream has the hub told when the client of c leaves.
func (r *readiness) watchStream(c *streamConn) {
	c.server.work.Go(func() { // ends when the shard closes the connection
		_, err := io.Copy(io.Discard, c.net)
		c.server.hub.Leave(&c.Viewer, departure(err))
	})
}

// watchSocket starts the reader of c.
func (r *readiness) watchSocket(c *socketConn) {
	go func() { // ends when the client hangs up, or with retire
		buffer := make([]byte, 4<<10)
		for {
			var until time.Time
			if !c.inbound.complete() {
				until = time.Now().Add(messageTime)
			}
			if !c.retired.Load() {
				_ = c.net.SetReadDeadline(until)
			}
			if c.retired.Load() { // since: its deadline must stand
				_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
			}
			n, err := c.net.Read(buffer)
			c.receive(buffer[:n])
			if err != nil {
				c.leave(err)
				return
			}
		}
	}()
}

func (r *readiness) forget(int) {}

// retire has the reader of c end soon, whatever the client does.
func (r *readiness) retire(c *socketConn) {
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
}

func (r *readiness) run(ctx context.Context, finish func()) error {
	<-ctx.Done()
	finish()
	return nil
}

// setUserTimeout does nothing: unacknowledged beats end a connection when the
// kernel's own patience does.
func setUserTimeout(int, time.Duration) error { return nil }
