package peer

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay is a link between two places: it delays data by the same time in each direction and counts the
// bytes.
type Relay struct {
	Address string
	// Bytes passed in both directions.
	Bytes atomic.Int64

	listener net.Listener
	target   string
	delay    time.Duration
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu; nil after Stop
	ended bool       // guarded by mu
}

// startRelay starts a relay to target with a round trip. [Relay.Stop] ends it.
func startRelay(target string, roundTrip time.Duration) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{Address: listener.Addr().String(), listener: listener, target: target, delay: roundTrip / 2}
	r.running.Go(r.accept) // ends with the listener
	return r, nil
}

// Stop closes all connections.
func (r *Relay) Stop() error {
	err := r.listener.Close()
	r.mu.Lock()
	r.ended = true
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		if r.ended {
			_, _ = client.Close(), server.Close()
		}
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		r.running.Go(func() { r.pass(server, client) }) // both end with either connection
		r.running.Go(func() { r.pass(client, server) })
	}
}

// maxInFlight is how many pieces of data one direction has in flight at most.
const maxInFlight = 1 << 14

// pass passes data on in order, each piece after the delay. Pieces do not wait for each other.
func (r *Relay) pass(to, from net.Conn) {
	type piece struct {
		data []byte
		due  time.Time
	}
	inFlight := make(chan piece, maxInFlight)
	var arriving sync.WaitGroup
	arriving.Go(func() { // ends when inFlight is closed
		for p := range inFlight {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // ends the reads
			}
		}
		_ = to.Close()
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.Bytes.Add(int64(n))
			inFlight <- piece{append([]byte(nil), buffer[:n]...), time.Now().Add(r.delay)}
		}
		if err != nil {
			break
		}
	}
	close(inFlight)
	arriving.Wait()
}

// Region is a replica of a primary, reached over a link, and the instances beside it.
type Region struct {
	Link    *Relay // of the replica to the primary
	Line    *Relay // of the instances to the primary
	Replica *Redis
}

// Stop ends the region. Its instances have ended.
func (g *Region) Stop() error {
	var errs []error
	if g.Replica != nil {
		errs = append(errs, g.Replica.Stop())
	}
	for _, relay := range []*Relay{g.Link, g.Line} {
		if relay != nil {
			errs = append(errs, relay.Stop())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop a region: %w", err)
	}
	return nil
}
