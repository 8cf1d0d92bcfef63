package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
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
	lost  map[Loss]bool  // guarded by mu: what is lost now
	delay time.Duration  // guarded by mu: how long each piece is held back
	cuts  int            // guarded by mu: so many replies will break off in the middle
}

// Direction is where what passes comes from.
type Direction string

// Traffic is what a connection is used for; before it subscribes it carries commands.
type Traffic string

const (
	FromServer Direction = "what Redis sends"
	ToServer   Direction = "what Redis is sent"

	Commands Traffic = "commands"
	PubSub   Traffic = "Pub/Sub"
)

// Loss is one kind of what passes that gets lost, while connections stay open.
type Loss struct {
	Direction
	Traffic
}

// link is one connection through the proxy. A direction that lost something can
// never be sound again.
type link struct {
	client, server net.Conn

	mu      sync.Mutex
	traffic Traffic            // guarded by mu
	broken  map[Direction]bool // guarded by mu
}

// StartProxy starts a proxy to target that ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, links: map[*link]bool{}, lost: map[Loss]bool{}}
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
		l.broken[FromServer] = l.broken[FromServer] || l.traffic == PubSub
		l.mu.Unlock()
	}
}

// BlackHole loses, while on, what the server sends on all connections, also on new
// ones. Those that were lost stay so.
func (p *Proxy) BlackHole(on bool) {
	p.Lose(on, Loss{FromServer, Commands}, Loss{FromServer, PubSub})
}

// Swallow loses, while on, what clients send on all connections, also on new ones.
// Those that were lost stay so.
func (p *Proxy) Swallow(on bool) { p.Lose(on, Loss{ToServer, Commands}, Loss{ToServer, PubSub}) }

// Lose loses such things from now on, or no more. Connections that lost some stay
// broken until they are cut.
func (p *Proxy) Lose(on bool, losses ...Loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, loss := range losses {
		p.lost[loss] = on
	}
}

// passesLocked tells whether what goes in that direction passes now, and notes
// where it does not.
func (p *Proxy) passesLocked(l *link, direction Direction) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.lost[Loss{direction, l.traffic}] {
		l.broken[direction] = true
	}
	return !l.broken[direction]
}

// Delay holds back what passes in either direction for that long; 0 ends it.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// Cut ends all connections that are open.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// CutReplies ends connections in the middle of the next n replies.
func (p *Proxy) CutReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = n
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
		l := &link{client: client, server: server, traffic: Commands, broken: map[Direction]bool{}}
		p.mu.Lock()
		p.links[l] = true
		p.mu.Unlock()
		// Both end when either connection does.
		p.ended.Go(func() { p.forward(l, server, client, p.ask) })
		p.ended.Go(func() { p.forward(l, client, server, p.answer) })
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// ask returns what passes of what the client sends; all of it or nothing.
func (p *Proxy) ask(l *link, data []byte) (passes []byte, end bool) {
	if bytes.Contains(bytes.ToLower(data), []byte("\r\nsubscribe\r\n")) {
		l.mu.Lock()
		l.traffic = PubSub
		l.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.passesLocked(l, ToServer) {
		return nil, false
	}
	return data, false
}

// answer returns what passes of what the server sends, and whether the connection
// ends after it.
func (p *Proxy) answer(l *link, data []byte) (passes []byte, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.passesLocked(l, FromServer):
		return nil, false
	case p.cuts > 0 && len(data) > 0:
		p.cuts--
		return data[:len(data)/2], true
	}
	return data, false
}

func (p *Proxy) forward(l *link, to, from net.Conn, pass func(*link, []byte) (passes []byte, end bool)) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		passes, end := pass(l, buffer[:n])
		if len(passes) > 0 {
			p.holdBack()
			if _, err := to.Write(passes); err != nil {
				break
			}
		}
		if err != nil || end {
			break
		}
	}
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// holdBack is the delay of what passes.
func (p *Proxy) holdBack() {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
}

func (p *Proxy) end() {
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.ended.Wait()
}
