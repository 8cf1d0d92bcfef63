package push

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// sendBuffer is the size of a connection's send buffer in the kernel, in bytes. By
// default it holds megabytes of numbers, which are old when the client reads them.
const sendBuffer = 16 << 10

// conn is a hijacked connection.
type conn struct {
	hub.Viewer

	// Fixed once hijacked.
	server *Server
	client *client
	socket // the viewer's shard alone writes to it, until the hub calls Close

	hasEnded bool // guarded by the mutex of waitingTopics

	present []tally.Topic // owned by the reader; fixed on an event stream
}

// newConn returns a connection of a client, to be hijacked.
func (s *Server) newConn(c *client) conn {
	return conn{Viewer: hub.Viewer{Quota: c.quota}, server: s, client: c}
}

// hijack takes the connection from net/http. It returns the input after the request that
// net/http has read already.
func (c *conn) hijack(w http.ResponseWriter) (early []byte, err error) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, errors.New("hijack the connection: this service speaks HTTP/1.1")
	}
	raw, buffered, err := hijacker.Hijack()
	if err != nil {
		return nil, fmt.Errorf("hijack the connection: %w", err)
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = io.ReadFull(buffered.Reader, early) // buffered: cannot fail
	}
	if wrapper, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = wrapper.NetConn()
	}
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		_ = raw.Close()
		return nil, fmt.Errorf("hijack the connection: %T is no TCP connection", raw)
	}
	if c.socket, err = newSocket(tcp); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("hijack the connection: %w", err)
	}
	if err := c.setOptions(); err != nil {
		c.closeSocket()
		return nil, fmt.Errorf("hijack the connection: %w", err)
	}
	return early, nil
}

// appendHead appends the status line and the header of a response.
func appendHead(dst []byte, status int, header http.Header) []byte {
	head := bytes.NewBuffer(dst)
	fmt.Fprintf(head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = header.Write(head) // a buffer does not fail
	head.WriteString("\r\n")
	return head.Bytes()
}

// setOptions sets the options of the socket.
func (c *conn) setOptions() error {
	fd := int(c.descriptor)
	return errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer),
		// Beats replace keep-alive probes.
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0),
		setUserTimeout(fd, c.server.options.WriteTimeout),
	)
}

// TryWrite implements [hub.Conn].
func (c *conn) TryWrite(p []byte) (n int, err error) {
	for {
		n, err = c.write(p)
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
