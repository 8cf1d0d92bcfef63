package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a server and can lose what passes, while the
// connections stay open, as a network that fails does.
type Proxy struct {
	// Addr is where clients connect.
	Addr string

	target   string
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool // guarded by mu
	deaf  bool           // guarded by mu: new connections lose what comes back, too
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn

	mu         sync.Mutex
	subscribes bool // guarded by mu: SUBSCRIBE passed
	deaf       bool // guarded by mu: what the server sends is lost
}

// StartProxy starts a proxy to target that ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, links: map[*link]bool{}}
	p.ended.Go(p.accept) // ends when the listener is closed
	t.Cleanup(p.end)
	return p
}

// Silence loses from now on what the server sends on connections that subscribed.
// Connections made later are sound.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.mu.Lock()
		l.deaf = l.deaf || l.subscribes
		l.mu.Unlock()
	}
}

// BlackHole loses, while on, what the server sends on all connections, also on new
// ones. Those that were lost stay so.
func (p *Proxy) BlackHole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = on
	for l := range p.links {
		l.mu.Lock()
		l.deaf = l.deaf || on
		l.mu.Unlock()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{client: client, server: server}
		p.mu.Lock()
		l.deaf = p.deaf
		p.links[l] = true
		p.mu.Unlock()
		// Both end when either connection does.
		p.ended.Go(func() { p.forward(l, server, client, l.ask) })
		p.ended.Go(func() { p.forward(l, client, server, l.answer) })
	}
}

// ask looks at what the client sends; all of it passes.
func (l *link) ask(data []byte) bool {
	if bytes.Contains(bytes.ToLower(data), []byte("\r\nsubscribe\r\n")) {
		l.mu.Lock()
		l.subscribes = true
		l.mu.Unlock()
	}
	return true
}

// answer tells whether what the server sends passes.
func (l *link) answer([]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.deaf
}

func (p *Proxy) forward(l *link, to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && pass(buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *Proxy) end() {
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		_ = l.client.Close()
		_ = l.server.Close()
	}
	p.mu.Unlock()
	p.ended.Wait()
}
