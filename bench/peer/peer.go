// Package peer starts what is measured: tallycast, the floors below which nothing
// can be, and what a user would pick instead. Each runs in processes of its own,
// on free loopback ports, and is ended by its process id. The programs that have
// to be written stand in the folders below, a folder each.
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

// Peer is something that can be measured.
type Peer struct {
	Name string
	// Settings are those it is started with, for people.
	Settings string
	// Transports are those on which viewers can watch it; none where it takes
	// likes only.
	Transports []load.Transport
	// Likes says that it counts likes (and not only tells them).
	Likes bool

	read  bool // it has tallycast's call for a count
	start func(ctx context.Context, s *Server, o Options) error
	door  func(load.Transport) load.Door
	like  load.Request
}

// Serves says whether viewers can watch the peer on the transport.
func (p *Peer) Serves(transport load.Transport) bool { return slices.Contains(p.Transports, transport) }

// CanBeRead says whether the peer answers tallycast's call for a count.
func (p *Peer) CanBeRead() bool { return p.read }

// Options are how a peer is started.
type Options struct {
	// Redis is shared with other servers; nil where the peer starts its own if it
	// needs one.
	Redis *Redis
	// Binary is the tallycast to start; empty for the one that is built from here.
	Binary string
	// SQLite has tallycast keep its counts in a file.
	SQLite bool
	// Arguments are added to tallycast's command line.
	Arguments []string
}

// Server is a peer that runs.
type Server struct {
	Peer    *Peer
	Address string // host:port
	// Processes are the server's own; Redis's are apart, and empty without one.
	Processes measure.Processes
	Redis     *Redis
	// ReadyAfter is how long it took from its start until it was ready.
	ReadyAfter time.Duration

	dir    string // of its own, removed in the end
	closes []func() error
}

// Start starts p and returns once it is ready. [Server.Stop] ends it.
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

// Door is how a viewer enters the server.
func (s *Server) Door(transport load.Transport) load.Door {
	door := s.Peer.door(transport)
	door.Address, door.Transport = s.Address, transport
	return door
}

// Likers connects to the server.
func (s *Server) Likers(how load.Concurrency) (*load.Likers, error) {
	return load.NewLikers(s.Address, s.Peer.like, how)
}

// CPU is the time that the server took up to now, and its Redis.
func (s *Server) CPU() (c CPU, err error) {
	if c.Server, err = s.Processes.CPU(); err != nil {
		return c, err
	}
	if s.Redis != nil {
		c.Redis, err = s.Redis.Processes.CPU()
	}
	return c, err
}

// needRedis starts a Redis for the server unless it was given one.
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

// run starts a program as the server, or one of its processes, and waits until
// something listens at the server's address.
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
