package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// requestListener accepts connections for net/http as [requestConn], on which requests take less CPU
// time.
type requestListener struct {
	net.Listener
	assertion []byte // beginning of the requests that contribute or read: POST and a path
}

// newRequestListener wraps inner. The service is below the path base.
func newRequestListener(inner net.Listener, base string) *requestListener {
	return &requestListener{inner, []byte("POST " + base + "/v1/")}
}

// Accept implements [net.Listener].
func (l *requestListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &requestConn{tcpConn: c.(tcpConn), assertion: l.assertion}, nil
}

// tcpConn is the part of [net.TCPConn] that net/http and package connlimit use.
type tcpConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error // net/http calls it before it closes a connection with unread input
}

// requestConn is a connection on which net/http extends read deadlines cheaply, and does not
// watch for a disconnected client during a short POST.
//
// net/http sets several read deadlines for each request, most of them later than the one before.
// requestConn stores them, and sets one in the runtime's poller only if it is earlier than the one
// there. When the poller's deadline expires too early, requestConn sets the stored one and reads
// again. It does not do so with write deadlines: a repeated write could send a few bytes, so that a
// client that reads nothing would keep its connection for another timeout.
//
// For each request net/http also starts a goroutine that reads one byte, to end the request's
// context if the client disconnects, and stops it after the handler. Assertions do not need it:
// they end within seconds, and the like of a disconnected client counts. So if the input begins
// with assertion, a read into a buffer of one byte returns nothing. Other reads of net/http have
// larger buffers.
type requestConn struct {
	tcpConn
	assertion []byte

	// isAssertion reports whether the last input began with assertion. The goroutine that serves the
	// connection sets it, before it starts the goroutine that reads a byte.
	isAssertion bool

	read deadline
}

// deadline is a deadline that is extended without a call of the connection. The zero Time
// means none.
type deadline struct {
	mu          sync.Mutex
	wanted, set time.Time // guarded by mu; set is that of the connection
}

// put stores the wanted deadline, and calls set if the deadline of the connection is later.
func (d *deadline) put(t time.Time, set func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if d.set.IsZero() && t.IsZero() || !d.set.IsZero() && (t.IsZero() || !t.Before(d.set)) {
		return nil
	}
	d.set = t
	return set(t)
}

// renew reports whether err means that the deadline of the connection has passed although the wanted
// one has not. If so, it sets the wanted one.
func (d *deadline) renew(err error, set func(time.Time) error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !d.wanted.After(time.Now()) {
		return false
	}
	d.set = d.wanted
	return set(d.wanted) == nil
}

// SetDeadline implements [net.Conn]. It sets the deadlines of the connection at once, since the
// connection may be taken over.
func (c *requestConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.reset(t, c.tcpConn.SetReadDeadline), c.tcpConn.SetWriteDeadline(t))
}

// reset stores the deadline and sets that of the connection.
func (d *deadline) reset(t time.Time, set func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted, d.set = t, t
	return set(t)
}

// SetReadDeadline implements [net.Conn].
func (c *requestConn) SetReadDeadline(t time.Time) error {
	return c.read.put(t, c.tcpConn.SetReadDeadline)
}

// Read implements [net.Conn]. A read of one byte in an assertion returns nothing.
func (c *requestConn) Read(p []byte) (n int, err error) {
	if len(p) == 1 && c.isAssertion {
		c.isAssertion = false
		return 0, nil
	}
	for {
		n, err = c.tcpConn.Read(p)
		if n > 0 || !c.read.renew(err, c.tcpConn.SetReadDeadline) {
			break
		}
	}
	if len(p) > 1 {
		c.isAssertion = bytes.HasPrefix(p[:n], c.assertion)
	}
	return n, err
}

// NetConn returns the wrapped connection, for callers that take it over.
func (c *requestConn) NetConn() net.Conn { return c.tcpConn }
