// Package peer starts the measured servers: tallycast, lower bounds, and other software.
// Each runs in its own processes, on free loopback ports, and is ended by process id. The
// folders below contain the programs written for the bench.
package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
)

// Peer is a server that can be measured.
type Peer struct {
	Name string
	// Settings describes its settings in words.
	Settings string
	// Transports are the transports for viewers; none if it accepts likes only.
	Transports []load.Transport
	// Likes reports that the peer counts likes instead of only forwarding them.
	Likes bool

	isTallycast bool
	start       func(ctx context.Context, s *Server, o Options) error
	endpoint    func(load.Transport) load.Endpoint
	like        load.Request
	sockets     bool // like is a frame of a WebSocket
}

// LikesBySocket reports whether likes are sent over WebSockets.
func (p *Peer) LikesBySocket() bool { return p.sockets }

// Serves reports whether viewers can watch the peer on the transport.
func (p *Peer) Serves(transport load.Transport) bool { return slices.Contains(p.Transports, transport) }

// IsTallycast reports whether the peer is a build of tallycast, which has a call that reads a
// count.
func (p *Peer) IsTallycast() bool { return p.isTallycast }

// Options are how a peer is started.
type Options struct {
	// Redis is shared with other servers. With nil a peer that needs one starts its own.
	Redis *Redis
	// Binary is the path of tallycast; empty builds it from this checkout.
	Binary string
	// SQLite makes tallycast use a file as its store.
	SQLite bool
	// Arguments are added to tallycast's command line.
	Arguments []string
}

// Server is a running peer.
type Server struct {
	Peer    *Peer
	Address string // host:port
	// Processes are those of the server, without Redis.
	Processes measure.Processes
	Redis     *Redis
	// ReadyAfter is the time from start to ready.
	ReadyAfter time.Duration

	dir    string // temporary
	closes []func() error
}

// Start starts p and returns when it is ready. [Server.Stop] ends it.
func (p *Peer) Start(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{Peer: p, Redis: o.Redis}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start %s: %w", p.Name, err), s.Stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "tallycast-bench-"); err != nil {
		return s, err
	}
	s.closes = append(s.closes, func() error { return os.RemoveAll(s.dir) })
	if s.Address, err = freeAddress(); err != nil {
		return s, err
	}
	return s, p.start(ctx, s, o)
}

// Stop ends the server and what it started.
func (s *Server) Stop() error {
	var errs []error
	for _, end := range slices.Backward(s.closes) {
		errs = append(errs, end())
	}
	s.closes = nil
	return errors.Join(errs...)
}

// Endpoint describes how a viewer connects to the server.
func (s *Server) Endpoint(transport load.Transport) load.Endpoint {
	e := s.Peer.endpoint(transport)
	e.Address, e.Transport = s.Address, transport
	return e
}

// Likers connects to the server.
func (s *Server) Likers(how load.Concurrency) (*load.Likers, error) {
	if s.Peer.sockets {
		how.Endpoint = s.Endpoint(load.WebSocket)
	}
	return load.NewLikers(s.Address, s.Peer.like, how)
}

// CPU returns the CPU time of the server and its Redis since they started.
func (s *Server) CPU() (c CPU, err error) {
	if c.Server, err = s.Processes.CPU(); err != nil {
		return c, err
	}
	if s.Redis != nil {
		c.Redis, err = s.Redis.Processes.CPU()
	}
	return c, err
}

// needRedis starts a Redis for the server unless it has one.
func (s *Server) needRedis(ctx context.Context) error {
	if s.Redis != nil {
		return nil
	}
	redis, err := StartRedis(ctx)
	if err != nil {
		return err
	}
	s.Redis = redis
	s.closes = append(s.closes, redis.Stop)
	return nil
}

// run starts a process of the server and waits until the server's address accepts
// connections.
func (s *Server) run(ctx context.Context, name string, arguments ...string) error {
	p, err := startProcess(filepath.Join(s.dir, "log"), name, arguments...)
	if err != nil {
		return err
	}
	s.closes = append(s.closes, p.stop)
	s.Processes = append(s.Processes, p.pid())
	return p.untilListening(ctx, s.Address)
}

// All returns all peers, the floors first, then tallycast.
func All() []*Peer {
	return []*Peer{Floor(), Empty(), Tallycast(), Naive(), CentrifugeDefault(), CentrifugeBest(), Nchan(), Webdis(), SocketIO(), PlainSQLite()}
}
