package connlimit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitTimeout bounds every wait. Only a failing test waits that long.
const waitTimeout = 20 * time.Second

// rig is a server behind a limiter.
type rig struct {
	t       *testing.T
	limiter *Limiter
	address string
	log     *logBuffer
	// A request to /wait sends on asked, and its response waits for proceed.
	asked   chan struct{}
	proceed chan struct{}
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// newRig starts a server. prepare may change the limiter before.
func newRig(t *testing.T, change func(*Options), prepare ...func(*Limiter)) *rig {
	t.Helper()
	r := &rig{t: t, log: &logBuffer{}, asked: make(chan struct{}, 1000), proceed: make(chan struct{})}
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
	c.r.eventually("the connection is idle", func() bool {
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

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(waitTimeout); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("in vain: %s", what)
		}
	}
}

// isEmpty waits until the limiter has no connection.
func (r *rig) isEmpty() {
	r.t.Helper()
	r.eventually("nothing is counted", func() bool {
		n := 0
		r.limiter.conns.Range(func(any, any) bool { n++; return true })
		r.limiter.mu.Lock()
		defer r.limiter.mu.Unlock()
		return n == 0 && len(r.limiter.clients) == 0
	})
}

func TestLimiter_IdleConnectionsMakeRoom(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerAddress = 3 })
	first, second := r.from("127.0.0.1").request(), r.from("127.0.0.1").request()
	first.request() // the second one is idle for longer
	unused := r.from("127.0.0.1")
	r.from("127.0.0.1").request()
	if !second.isClosed() {
		t.Error("the connection that was idle longest is open")
	}
	r.from("127.0.0.1").request()
	if !first.isClosed() {
		t.Error("the next one is open")
	}
	unused.request()
	other := r.from("127.0.0.2").request() // has its own limit
	for range 10 {
		r.from("127.0.0.1").request()
	}
	other.request()
	if n := r.log.count("level=WARN"); n != 1 || r.log.count("address=127.0.0.1") != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestLimiter_UnusedConnectionsMakeRoom(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerAddress = 3 })
	var unused []*client
	for range 3 {
		unused = append(unused, r.from("127.0.0.1"))
	}
	slow := r.from("127.0.0.1")
	fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost:")
	r.from("127.0.0.1").request()
	if !unused[0].isClosed() || !unused[1].isClosed() {
		t.Error("the oldest connections without a request are open")
	}
	fmt.Fprint(slow, " h\r\n\r\n")
	if !slow.isAnswered() {
		t.Error("a younger one is not answered")
	}
}

func TestLimiter_ActiveRequestsStay(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerAddress = 3 })
	var busy []*client
	for range 3 {
		busy = append(busy, r.from("127.0.0.1").send("/wait"))
		<-r.asked
	}
	if refused := r.from("127.0.0.1").send("/"); !refused.isClosed() {
		t.Error("a connection beyond the limit is open")
	}
	r.from("127.0.0.2").request()
	close(r.proceed)
	for _, c := range busy {
		if !c.isAnswered() {
			t.Error("a request was ended")
		}
	}
}

// The limiter closes a request that its client delays, if there is no other room.
func TestLimiter_StuckRequestsMakeRoom(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerAddress = 2 })
	stuck, busy := r.from("127.0.0.1").send("/wait"), r.from("127.0.0.1").send("/wait")
	<-r.asked
	<-r.asked
	r.limiter.conns.Range(func(key, value any) bool {
		if key.(net.Conn).RemoteAddr().String() == stuck.LocalAddr().String() {
			value.(*conn).state.Store(pack(active, r.limiter.now()-2*stuckAfter))
		}
		return true
	})
	r.from("127.0.0.1").request()
	if !stuck.isClosed() {
		t.Error("the request that is stuck is being answered")
	}
	close(r.proceed)
	if !busy.isAnswered() {
		t.Error("the other request was ended")
	}
}

func TestLimiter_ExemptAndHijacked(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.PerAddress = 2
		o.IsExempt = func(a netip.Addr) bool { return a.String() == "127.0.0.9" }
	})
	var proxy []*client
	for range 10 {
		proxy = append(proxy, r.from("127.0.0.9").request())
	}
	for range 10 {
		if !r.from("127.0.0.1").send("/hijack").isAnswered() {
			t.Error("a handler's connection counts")
		}
	}
	one, two := r.from("127.0.0.1").request(), r.from("127.0.0.1").request()
	r.from("127.0.0.1").request()
	if !one.isClosed() {
		t.Error("the oldest of three connections stays open")
	}
	two.request()
	for _, c := range proxy {
		c.request()
	}
}

// open returns how many connections are open, as descriptor numbers would show.
func (l *Limiter) open(net.Conn) (n int) {
	l.conns.Range(func(_, value any) bool {
		if s, _ := unpack(value.(*conn).state.Load()); s != closing {
			n++
		}
		return true
	})
	return n
}

// Clients leave descriptors to the rest of the process.
func TestLimiter_FilesRunShort(t *testing.T) {
	const files = 100
	r := newRig(t, func(o *Options) {
		o.Files = files
		o.IsExempt = func(a netip.Addr) bool { return a.String() == "127.0.0.9" }
	}, func(l *Limiter) { l.descriptor = l.open })
	proxy := r.from("127.0.0.9").request()
	unused := r.from("127.0.0.1")
	old := r.from("127.0.0.1").request()
	busy := r.from("127.0.0.1").send("/wait")
	<-r.asked
	for i := range 2 * files {
		r.from(fmt.Sprintf("127.0.1.%d", i+1)).request() // each from another address
		if n := r.limiter.open(nil); n > files-minReserve {
			t.Fatalf("%d of %d descriptors are taken", n, files)
		}
	}
	if !old.isClosed() {
		t.Error("an idle connection is open although files are short")
	}
	unused.request() // idle ones were enough
	proxy.request()
	if n := r.log.count("file descriptors run short"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	// Without idle connections the limiter refuses new ones.
	refused := 0
	for range 2 * files {
		c := r.from("127.0.0.3").send("/wait")
		select {
		case <-r.asked:
		case <-c.closed():
			refused++
		}
	}
	if n := r.limiter.open(nil); n > files-minReserve/2 || refused < files {
		t.Errorf("%d of %d descriptors are taken, %d connections refused", n, files, refused)
	}
	close(r.proceed)
	if !busy.isAnswered() {
		t.Error("a request was ended")
	}
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

// exhausted is a listener of a process without free descriptors.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) {
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

// The rest of the process may use the last descriptors.
func TestLimiter_NoFileLeft(t *testing.T) {
	r := newRig(t, func(*Options) {})
	old := r.from("127.0.0.1").request()
	if _, err := r.limiter.Listener(exhausted{}).Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("error %v; net/http has to wait", err)
	}
	if !old.isClosed() {
		t.Error("an idle connection is open although no file is left")
	}
	if n := r.log.count("file descriptors run short"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestLimiter_SlowHandshakesAreCounted(t *testing.T) {
	r := newRig(t, func(o *Options) { o.HeaderTimeout = 0 })
	r.from("127.0.0.1").request().request()
	for _, m := range r.limiter.Metrics() {
		if m.Name == "handshakes_dropped_total" && m.Value != 1 {
			t.Errorf("%v, want one connection", m.Value)
		}
	}
}

// Many short connections leave no counts behind.
func TestLimiter_CountsReturnToZero(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerAddress = 8 })
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 60 {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(worker%2+1))}}
				c, err := dialer.Dial("tcp", r.address)
				if err != nil {
					t.Error(err)
					return
				}
				if i%3 > 0 {
					fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				}
				if i%3 > 1 {
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					_, _ = c.Read(make([]byte, 64))
				}
				c.Close()
			}
		})
	}
	group.Wait()
	r.isEmpty()
}

// peerConn is a connection of a peer that sends nothing.
type peerConn struct {
	net.Conn
	peer netip.AddrPort
}

func (c peerConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.peer) }

// The addresses of one IPv6 network of 64 bits are one client.
func TestLimiter_ClientAddresses(t *testing.T) {
	limiter := New(Options{PerAddress: 10, IsExempt: func(netip.Addr) bool { return false }, Log: slog.New(slog.DiscardHandler)})
	for _, peer := range []string{"[2001:db8::1]:1", "[2001:db8::2:3]:1", "[2001:db8:0:1::1]:1", "[::ffff:203.0.113.7]:1", "203.0.113.7:2", "203.0.113.8:1"} {
		if !limiter.admit(peerConn{peer: netip.MustParseAddrPort(peer)}) {
			t.Errorf("%s is refused", peer)
		}
	}
	for client, want := range map[string]int{"2001:db8::": 2, "2001:db8:0:1::": 1, "203.0.113.7": 2, "203.0.113.8": 1} {
		if n := len(limiter.clients[netip.MustParseAddr(client)]); n != want {
			t.Errorf("%s has %d connections, want %d", client, n, want)
		}
	}
}
