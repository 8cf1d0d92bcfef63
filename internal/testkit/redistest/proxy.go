package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a proxy between clients and a server that can drop and delay data while the
// connections stay open, like a failing network.
type Proxy struct {
	// Addr is where clients connect.
	Addr string

	target   string
	listener net.Listener
	ended    sync.WaitGroup
	held     sync.RWMutex // held for writing while replies are held

	mu     sync.Mutex
	links  map[*link]bool         // guarded by mu
	lost   map[Flow]bool          // guarded by mu: the flows that are dropped now
	delay  time.Duration          // guarded by mu: of every flow
	extra  map[Flow]time.Duration // guarded by mu: of one flow, in addition
	rounds rounds                 // guarded by mu
	cuts   map[Traffic]int        // guarded by mu: how many replies to cut in the middle
}

// Direction is a direction of data.
type Direction string

// Traffic is the use of a connection: Commands until the client subscribes, then PubSub.
type Traffic string

const (
	FromServer Direction = "from Redis"
	ToServer   Direction = "to Redis"

	Commands Traffic = "commands"
	PubSub   Traffic = "Pub/Sub"
)

// Flow is the data of one direction on all connections of one use.
type Flow struct {
	Direction
	Traffic
}

// link is one connection through the proxy. A direction that dropped data stays broken.
type link struct {
	client, server net.Conn

	firstRound int // of data that the client sends

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
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, links: map[*link]bool{}, lost: map[Flow]bool{}, extra: map[Flow]time.Duration{}, cuts: map[Traffic]int{}}
	p.ended.Go(p.accept) // ends when the listener is closed
	t.Cleanup(p.close)
	return p
}

// Silence drops all messages on the current subscriptions. Later connections work.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.mu.Lock()
		l.broken[FromServer] = l.broken[FromServer] || l.traffic == PubSub
		l.mu.Unlock()
	}
}

// BlackHole drops, while on, everything that the server sends. Affected connections stay
// broken.
func (p *Proxy) BlackHole(on bool) {
	p.Lose(on, Flow{FromServer, Commands}, Flow{FromServer, PubSub})
}

// Swallow drops, while on, everything that clients send. Affected connections stay broken.
func (p *Proxy) Swallow(on bool) { p.Lose(on, Flow{ToServer, Commands}, Flow{ToServer, PubSub}) }

// Lose starts or stops to drop flows. Affected connections stay broken until Cut.
func (p *Proxy) Lose(on bool, flows ...Flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, flow := range flows {
		p.lost[flow] = on
	}
}

// passesLocked reports whether data of a direction passes. If not, it marks the direction as
// broken.
func (p *Proxy) passesLocked(l *link, direction Direction) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.lost[Flow{direction, l.traffic}] {
		l.broken[direction] = true
	}
	return !l.broken[direction]
}

// Delay delays data in both directions: a round trip takes twice as long. 0 ends it.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// DelayOnly delays one flow in addition.
func (p *Proxy) DelayOnly(flow Flow, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra[flow] = by
}

// Hold holds all that the server sends until work returns.
func (p *Proxy) Hold(work func()) {
	p.held.Lock()
	defer p.held.Unlock()
	work()
}

// awaitRelease waits while replies are held.
func (p *Proxy) awaitRelease() {
	p.held.RLock()
	defer p.held.RUnlock()
}

// Cut closes all open connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// CutReplies closes connections in the middle of the next n replies of each traffic.
func (p *Proxy) CutReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts[Commands], p.cuts[PubSub] = n, n
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
		l.firstRound = p.rounds.connect()
		p.mu.Unlock()
		// Both end when either connection does.
		p.ended.Go(func() { p.forward(l, ToServer, server, client, p.passRequest) })
		p.ended.Go(func() { p.forward(l, FromServer, client, server, p.passReply) })
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// passRequest returns the part of a client's data that passes: all or nothing.
func (p *Proxy) passRequest(l *link, data []byte) (passes []byte, end bool) {
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

// passReply returns the part of a server's data that passes, and whether the connection
// closes after it.
func (p *Proxy) passReply(l *link, data []byte) (passes []byte, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.passesLocked(l, FromServer) {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.cuts[l.traffic] > 0 && len(data) > 0 {
		p.cuts[l.traffic]--
		return data[:len(data)/2], true
	}
	return data, false
}

// maxInFlight is how many pieces of data one direction of a connection has in flight.
const maxInFlight = 4096

// piece is data in flight.
type piece struct {
	data  []byte
	due   time.Time
	round int
}

// forward passes data on in order, each piece after the delay. Pieces do not wait for each
// other.
func (p *Proxy) forward(l *link, direction Direction, to, from net.Conn, pass func(*link, []byte) (passes []byte, end bool)) {
	inFlight := make(chan piece, maxInFlight)
	var arriving sync.WaitGroup
	arriving.Go(func() { // ends when inFlight is closed
		for next := range inFlight {
			time.Sleep(time.Until(next.due))
			if direction == FromServer {
				p.awaitRelease()
			}
			p.arrive(direction, next.round)
			if _, err := to.Write(next.data); err != nil {
				l.close() // ends the reads
			}
		}
	})
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		passes, end := pass(l, buffer[:n])
		if len(passes) > 0 {
			delay, round := p.depart(l, direction)
			inFlight <- piece{bytes.Clone(passes), time.Now().Add(delay), round}
		}
		if err != nil || end {
			break
		}
	}
	close(inFlight)
	arriving.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// depart returns the delay and the round of data that departs.
func (p *Proxy) depart(l *link, direction Direction) (delay time.Duration, round int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.delay + p.extra[Flow{direction, l.traffic}], p.rounds.depart(direction, l.firstRound)
}

func (p *Proxy) arrive(direction Direction, round int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds.arrive(direction, round)
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.ended.Wait()
}
