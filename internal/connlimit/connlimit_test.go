package connlimit

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

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
	if n := r.logged("level=WARN"); n != 1 || r.logged("address=127.0.0.1") != 1 {
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
