package push

import (
	"net/netip"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// fullRetry is how long a client should stay away from a full instance.
const fullRetry = 30 * time.Second

// errFull returns an error for a client or topic that exceeds a limit of this instance.
func errFull(message string) error {
	return &tally.Error{Code: tally.CodeTooManyViewers, Message: message, RetryAfter: fullRetry}
}

var errDraining = &tally.Error{
	Code:       tally.CodeTooManyViewers,
	Message:    "this instance is about to end; connect again, to another one",
	RetryAfter: time.Second,
}

// client is an address that connections come from.
type client struct {
	address netip.Addr // fixed; the zero Addr has no limit
	quota   *hub.Quota // fixed; of the topics that its connections watch
	conns   int        // held or reserved; guarded by the mutex of Server
	waiting int        // topics; guarded by the mutex of waitingTopics
}

// reserve reserves a place for a connection of the client at address, and adds one to
// s.work. The caller either calls cancel, which undoes both, or join. After join the
// connection has the place until forget, and the caller has to call s.work.Done. If there is
// no free place, reserve still reserves one, for a connection that only receives the error
// full. While draining it reserves nothing, and c is nil.
func (s *Server) reserve(address netip.Addr) (c *client, full error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining {
		return nil, errDraining
	}
	if c = s.clients[address]; c == nil {
		c = &client{address: address}
		if address.IsValid() && s.options.MaxTopicsPerAddress > 0 {
			c.quota = hub.NewQuota(s.options.MaxTopicsPerAddress)
		}
		s.clients[address] = c
	}
	switch {
	case s.options.MaxViewers > 0 && len(s.conns)+s.reserved >= s.options.MaxViewers:
		full = errFull("this instance holds as many viewers as it may (--max-viewers)")
	case s.options.MaxViewersPerAddress > 0 && address.IsValid() && c.conns >= s.options.MaxViewersPerAddress:
		full = errFull("this address holds as many connections as it may (--max-viewers-per-address)")
	}
	s.reserved++
	c.conns++
	s.work.Add(1)
	return c, full
}

// cancel gives a reserved place back.
func (s *Server) cancel(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
	s.releaseLocked(c)
	s.work.Done()
}

// join gives the reserved place to c, which the hub serves from then on. While draining it
// also closes c.
func (s *Server) join(c *conn, format hub.Format, head []byte) {
	s.mu.Lock()
	s.reserved--
	s.conns[c] = format
	isDraining := s.isDraining
	s.mu.Unlock()
	s.hub.Join(&c.Viewer, head)
	if isDraining {
		s.drain(c, format)
	}
}

// forget gives the place of a connection back.
func (s *Server) forget(c *conn) {
	s.waiting.end(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.releaseLocked(c.client)
}

func (s *Server) releaseLocked(c *client) {
	if c.conns--; c.conns == 0 {
		delete(s.clients, c.address)
	}
}
