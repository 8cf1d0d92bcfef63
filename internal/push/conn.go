package push

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// sendBuffer is the size of the kernel's send buffer of a connection, in bytes.
// Left to itself it takes megabytes of numbers that are old when they are read.
const sendBuffer = 16 << 10

// conn is a connection that was taken over.
type conn struct {
	hub.Viewer

	// Fixed once the connection was taken over.
	server *Server
	client *clientAddress
	net    *net.TCPConn
	fd     int // written to by the viewer's shard alone, until the hub calls Close

	present []tally.Topic // what it is counted on; owned by the reader, or fixed
	early   []byte        // what came with the handshake, until it is read
}

// take takes the connection over from net/http.
func (c *conn) take(w http.ResponseWriter) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return tally.AsError(errors.New("the connection cannot be taken over; this service speaks HTTP/1.1"))
	}
	raw, buffered, err := hijacker.Hijack()
	if err != nil {
		return fmt.Errorf("take the connection over: %w", err)
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		c.early = make([]byte, n)
		_, _ = io.ReadFull(buffered.Reader, c.early) // buffered: cannot fail
	}
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		_ = raw.Close()
		return fmt.Errorf("take the connection over: %T is no TCP connection", raw)
	}
	if err := c.tune(tcp); err != nil {
		_ = raw.Close()
		return fmt.Errorf("take the connection over: %w", err)
	}
	c.net = tcp
	return nil
}

// newConn returns a connection of a client, which is to be taken over.
func (s *Server) newConn(c *clientAddress) conn {
	return conn{Viewer: hub.Viewer{Quota: c.quota}, server: s, client: c}
}

// tune sets the socket's options and notes its descriptor.
func (c *conn) tune(tcp *net.TCPConn) error {
	descriptor, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = descriptor.Control(func(fd uintptr) {
		c.fd = int(fd)
		failed = errors.Join(
			syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer),
			// Beats take the place of keep-alive probes.
			syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0),
			setUserTimeout(c.fd, c.server.options.WriteTimeout),
		)
	})
	return errors.Join(err, failed)
}

// TryWrite implements [hub.Conn].
func (c *conn) TryWrite(p []byte) (n int, err error) {
	for {
		n, err = syscall.Write(c.fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// streamConn is the connection of an event stream.
type streamConn struct{ conn }

// Close implements [hub.Conn].
func (c *streamConn) Close(hub.Reason) {
	c.server.readiness.forget(c.fd)
	c.server.forget(&c.conn)
	_ = c.net.Close()
	c.server.leaveAll(&c.conn)
}

// socketConn is the connection of a WebSocket. Two use its descriptor
// independently, the shard that writes and the reader; who is last closes it, so
// that neither ever uses one that belongs to somebody else by then.
type socketConn struct {
	conn
	over    atomic.Bool // one of the two has ended
	retired atomic.Bool // the shard has
	read    bool        // has a reader; guarded by its loop's mutex

	// Owned by the reader.

	admit    func(tally.Topic) error
	inbound  inbound
	budget   time.Duration // when messageLimit's bucket is full again
	mistakes uint8
	deaf     bool // what the client says does not matter any more
	left     bool // the reader has ended
}

const (
	// lingerTime is how long a client has to take the server's last word and to
	// hang up. Closing before what the client sent was read would reset the
	// connection, and with it the close frame under way.
	lingerTime = time.Second
	// messageTime is how long a message may take from its first byte to its last.
	messageTime = 10 * time.Second
)

// Close implements [hub.Conn]: nothing is written any more.
func (c *socketConn) Close(hub.Reason) {
	c.server.forget(&c.conn)
	_ = c.net.CloseWrite()
	c.retired.Store(true)
	c.server.readiness.retire(c)
	c.end()
}

// departure returns why a viewer is gone whose connection ended with err. The kernel
// may be the first to find that what was sent stays unacknowledged.
func departure(err error) hub.Reason {
	if errors.Is(err, syscall.ETIMEDOUT) {
		return hub.ReasonWriteTimeout
	}
	return hub.ReasonGone
}

// leave ends the reader's part: the client hung up, or was given its time to, or the
// connection ended with err.
func (c *socketConn) leave(err error) {
	if c.left {
		return
	}
	c.left = true
	c.server.hub.Leave(&c.Viewer, departure(err))
	c.server.leaveAll(&c.conn)
	c.end()
}

// end is called by the shard and by the reader, when each is done with the connection.
func (c *socketConn) end() {
	if c.over.Swap(true) {
		_ = c.net.Close()
		c.server.work.Done()
	}
}
