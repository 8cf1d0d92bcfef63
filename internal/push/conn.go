package push

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// sendBuffer is the size of the kernel's send buffer of a connection, in bytes.
// Left to itself it takes megabytes of numbers that are old when they are read.
const sendBuffer = 16 << 10

// conn is a connection that was taken over. It is a [hub.Conn] and, towards the
// WebSocket library, a net.Conn whose writes and closing go through the hub.
type conn struct {
	hub.Viewer

	// Fixed once the connection was taken over.
	server *Server
	client netip.Addr
	net    *net.TCPConn
	fd     int // written to by the viewer's shard alone, until the hub calls Close

	present []tally.Topic // what it is counted on; owned by the reader, or fixed
	early   []byte        // what came with the handshake; owned by the reader
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
	c.server.leave(c.present)
}

// socketConn is the connection of a WebSocket. Its shard and its reader end
// independently; who is last closes the descriptor, so that neither ever uses one
// that belongs to somebody else by then.
type socketConn struct {
	conn
	ended atomic.Bool // one of the two has ended
}

// lingerTime is how long a client has to take the server's last word. Closing
// before what the client sent was read would reset the connection, and with it
// the close frame under way.
const lingerTime = time.Second

// Close implements [hub.Conn]: nothing is written any more.
func (c *socketConn) Close(hub.Reason) {
	c.server.forget(&c.conn)
	_ = c.net.CloseWrite()
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	c.end()
}

// linger reads what a client still sends until it hangs up, and ends the reader's
// part.
func (c *socketConn) linger() {
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.net)
	c.end()
}

// end is called by the shard and by the reader, when each is done with the connection.
func (c *socketConn) end() {
	if c.ended.Swap(true) {
		_ = c.net.Close()
	}
}

// libraryConn is a socketConn as the WebSocket library sees it.
type libraryConn struct{ *socketConn }

// libraryBuffer sizes the library's buffers so that each of its control frames
// (127 bytes at most) arrives as one Write.
const libraryBuffer = 128

// buffers returns the library's reader and writer.
func (l libraryConn) buffers() *bufio.ReadWriter {
	return bufio.NewReadWriter(bufio.NewReaderSize(l, 64), bufio.NewWriterSize(l, libraryBuffer))
}

// Read implements net.Conn.
func (l libraryConn) Read(p []byte) (int, error) {
	if len(l.early) > 0 {
		n := copy(p, l.early)
		if l.early = l.early[n:]; len(l.early) == 0 {
			l.early = nil
		}
		return n, nil
	}
	return l.net.Read(p)
}

// Write implements net.Conn for the library's control frames: a pong is handed to
// the hub, after a close nothing else is sent.
func (l libraryConn) Write(p []byte) (int, error) {
	frame := append([]byte(nil), p...)
	if frame[0] == finalClose {
		reason := hub.ReasonGone
		if len(frame) >= 4 {
			// 1002 to 1010 say that the library refused what it read.
			if code := int(frame[2])<<8 | int(frame[3]); code >= 1002 && code <= 1010 {
				reason = hub.ReasonPolicy
			}
		}
		l.server.hub.Finish(&l.Viewer, frame, reason)
	} else {
		l.server.hub.Send(&l.Viewer, frame)
	}
	return len(p), nil
}

// Close implements net.Conn: reads end at once, the rest follows.
func (l libraryConn) Close() error {
	l.server.hub.Leave(&l.Viewer, hub.ReasonGone)
	return l.net.SetReadDeadline(time.Unix(1, 0))
}

func (l libraryConn) LocalAddr() net.Addr                { return l.net.LocalAddr() }
func (l libraryConn) RemoteAddr() net.Addr               { return l.net.RemoteAddr() }
func (l libraryConn) SetDeadline(t time.Time) error      { return l.net.SetReadDeadline(t) }
func (l libraryConn) SetReadDeadline(t time.Time) error  { return l.net.SetReadDeadline(t) }
func (l libraryConn) SetWriteDeadline(_ time.Time) error { return nil } // writes never wait
