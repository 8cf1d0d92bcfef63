package connlimit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitTimeout bounds every wait. Only a failing test waits that long.
const waitTimeout = 20 * time.Second

// rig is a server behind a limiter.
type rig struct {
	t       *testing.T
	limiter *Limiter
	address string
	log     *processtest.LogBuffer
	// A request to /wait sends on asked, and its response waits for proceed.
	asked   chan struct{}
	proceed chan struct{}
}

// newRig starts a server. prepare may change the limiter before.
func newRig(t *testing.T, change func(*Options), prepare ...func(*Limiter)) *rig {
	t.Helper()
	r := &rig{t: t, log: &processtest.LogBuffer{}, asked: make(chan struct{}, 1000), proceed: make(chan struct{})}
	options := Options{
		IsExempt:      func(netip.Addr) bool { return false },
		HeaderTimeout: time.Minute,
		Log:           slog.New(slog.NewTextHandler(r.log, nil)),
	}
	change(&options)
	r.limiter = New(options)
	r.limiter.start = time.Now().Add(-time.Hour) // for states that began long ago
	for _, each := range prepare {
		each(r.limiter)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = inner.Addr().String()
	server := &http.Server{ConnState: r.limiter.ConnState, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/wait":
			r.asked <- struct{}{}
			<-r.proceed
		case "/hijack":
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			t.Cleanup(func() { c.Close() })
		}
	})}
	served := make(chan struct{})
	go func() { // ends with the server; the cleanup waits
		defer close(served)
		_ = server.Serve(r.limiter.Listener(inner))
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
		<-served
	})
	return r
}

type client struct {
	net.Conn
	r      *rig
	reader *bufio.Reader
}

// from connects from a loopback address of this machine.
func (r *rig) from(address string) *client {
	r.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: waitTimeout}
	c, err := dialer.DialContext(r.t.Context(), "tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	return &client{c, r, bufio.NewReader(c)}
}

func (c *client) send(path string) *client {
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path) // the connection may be closed
	return c
}

// isAnswered reports whether the server responds to the request.
func (c *client) isAnswered() bool {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}

// request sends a request and waits for the response. The connection is idle then.
func (c *client) request() *client {
	c.r.t.Helper()
	if !c.send("/").isAnswered() {
		c.r.t.Fatal("no answer")
	}
	processtest.Eventually(c.r.t, "the connection is idle", func() bool {
		found := false
		c.r.limiter.conns.Range(func(key, value any) bool {
			if key.(net.Conn).RemoteAddr().String() == c.LocalAddr().String() {
				s, _ := unpack(value.(*conn).state.Load())
				found = s == idle
			}
			return !found
		})
		return found
	})
	return c
}

// isClosed waits until the server closes the connection. It reports whether it does.
func (c *client) isClosed() bool {
	_, err := c.reader.ReadByte()
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// logged returns how often the log contains text.
func (r *rig) logged(text string) int { return strings.Count(r.log.String(), text) }

// isEmpty waits until the limiter has no connection.
func (r *rig) isEmpty() {
	r.t.Helper()
	processtest.Eventually(r.t, "nothing is counted", func() bool {
		n := 0
		r.limiter.conns.Range(func(any, any) bool { n++; return true })
		r.limiter.mu.Lock()
		defer r.limiter.mu.Unlock()
		return n == 0 && len(r.limiter.clients) == 0
	})
}

// closed returns a channel that closes when the server closes the connection.
func (c *client) closed() <-chan struct{} {
	done := make(chan struct{})
	go func() { // ends with the connection, at the end of the test
		_, _ = c.reader.Peek(1)
		close(done)
	}()
	return done
}
