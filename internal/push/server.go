package push

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// fullRetry is how long a client is asked to stay away from a full instance.
const fullRetry = 30 * time.Second

// Options are fixed when a [Server] is made.
type Options struct {
	// MaxViewers is how many connections are held; 0 means any number.
	MaxViewers int
	// MaxViewersPerAddress is how many of them one client address may hold; 0
	// means any number.
	MaxViewersPerAddress int
	// MaxTopicsPerAddress is how many topics the connections of one client address may
	// watch, and be present on, together; 0 means any number.
	MaxTopicsPerAddress int
	// MaxTopics is how many topics one call or connection may name. 0 stands for 1,000.
	MaxTopics int
	// WriteTimeout is how long sent bytes may stay unacknowledged. 0 stands for 30 s.
	WriteTimeout time.Duration
}

// Session is what the edge knows of a client that wants to watch.
type Session struct {
	// Client is the address by which viewers are limited; the zero Addr is not.
	Client netip.Addr
	// Admit says why a topic is refused to the client, or nil. It is asked for each
	// topic, by a WebSocket also later, and may be called concurrently.
	Admit func(tally.Topic) error
	// Topics and Present are what the request itself asks for.
	Topics  []string
	Present []string
	// Refused are topics that the request asks for and that the edge refuses: the
	// client gets the error in their place.
	Refused []Refusal
}

// Refusal is a topic, as a client named it, and why it is refused.
type Refusal struct {
	Name string
	Err  error
}

// Presence counts the pages that connections hold present.
type Presence interface {
	// Enter counts one more page on topic. It returns false if that is a topic too many.
	Enter(topic tally.Topic) bool
	// Leave counts one page less.
	Leave(topic tally.Topic)
}

// Server takes connections over and holds them. All methods may be called
// concurrently.
type Server struct {
	hub       *hub.Hub
	presence  Presence
	catalog   *tally.Catalog
	options   Options
	readiness *readiness
	work      sync.WaitGroup // calls under way, and WebSockets
	start     time.Time

	mu       sync.Mutex
	conns    map[*conn]hub.Format
	reserved int // places of connections that are being taken over
	clients  map[netip.Addr]*clientAddress
	draining bool // no connection is taken any more
}

// clientAddress is an address that connections come from.
type clientAddress struct {
	address netip.Addr // fixed; the zero Addr is not limited
	quota   *hub.Quota // fixed; of the topics that its connections watch
	conns   int        // held or reserved; guarded by the mutex of Server
}

// New returns a server whose viewers h serves.
func New(h *hub.Hub, presence Presence, catalog *tally.Catalog, options Options) (*Server, error) {
	if options.MaxTopics <= 0 {
		options.MaxTopics = 1000
	}
	if options.WriteTimeout <= 0 {
		options.WriteTimeout = 30 * time.Second
	}
	ready, err := newReadiness()
	if err != nil {
		return nil, err
	}
	return &Server{
		hub: h, presence: presence, catalog: catalog, options: options, readiness: ready, start: time.Now(),
		conns:   map[*conn]hub.Format{},
		clients: map[netip.Addr]*clientAddress{},
	}, nil
}

// Run notices what viewers do until ctx ends and the last WebSocket after it, for
// which the hub must have ended too.
func (s *Server) Run(ctx context.Context) error {
	return s.readiness.run(ctx, func() {
		s.mu.Lock()
		s.draining = true
		s.mu.Unlock()
		s.work.Wait()
	})
}

// now returns the time since the server was made.
func (s *Server) now() time.Duration { return time.Since(s.start) }

// errFull is why a client finds no place.
func errFull(message string) error {
	return &tally.Error{Code: tally.CodeTooManyViewers, Message: message, RetryAfter: fullRetry}
}

// errDraining is why a client finds no place on an instance that is about to end.
var errDraining = &tally.Error{
	Code:       tally.CodeTooManyViewers,
	Message:    "this instance is about to end; another will take the connection",
	RetryAfter: time.Second,
}

// hangUp ends a client's connection without an answer, since another instance is
// what it needs: a proxy in front asks one at once, and chooses this one no more; a
// browser comes back as after every connection that is lost. An answer, whatever it
// said, would keep it away.
func hangUp(w http.ResponseWriter) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return errDraining
	}
	raw, _, err := hijacker.Hijack()
	if err != nil {
		return errDraining
	}
	_ = raw.Close() // there is nothing more to be done for it
	return nil
}

// reserve keeps a place for a connection of the client at address and counts the call as
// work: cancel takes both back; after join the place is held until forget, and who took
// the connection over ends the work.
func (s *Server) reserve(address netip.Addr) (*clientAddress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := 0
	if c := s.clients[address]; c != nil {
		held = c.conns
	}
	switch {
	case s.draining:
		return nil, errDraining
	case s.options.MaxViewers > 0 && len(s.conns)+s.reserved >= s.options.MaxViewers:
		return nil, errFull("this instance holds as many viewers as it may (--max-viewers)")
	case s.options.MaxViewersPerAddress > 0 && address.IsValid() && held >= s.options.MaxViewersPerAddress:
		return nil, errFull("this address holds as many connections as it may (--max-viewers-per-address)")
	}
	return s.reserveLocked(address), nil
}

func (s *Server) reserveLocked(address netip.Addr) *clientAddress {
	c := s.clients[address]
	if c == nil {
		c = &clientAddress{address: address}
		if address.IsValid() && s.options.MaxTopicsPerAddress > 0 {
			c.quota = hub.NewQuota(s.options.MaxTopicsPerAddress)
		}
		s.clients[address] = c
	}
	s.reserved++
	c.conns++
	s.work.Add(1)
	return c
}

// squeeze keeps a place where there is none, for a connection that is only told so.
func (s *Server) squeeze(address netip.Addr) *clientAddress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserveLocked(address)
}

// cancel gives back a place that was reserved and not taken.
func (s *Server) cancel(c *clientAddress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
	s.leftLocked(c)
	s.work.Done()
}

// join has the hub serve c, which turns its reserved place into a held one. Who
// comes while the others are told to go is told too.
func (s *Server) join(c *conn, format hub.Format, head []byte) {
	s.mu.Lock()
	s.reserved--
	s.conns[c] = format
	draining := s.draining
	s.mu.Unlock()
	s.hub.Join(&c.Viewer, head)
	if draining {
		s.hub.Finish(&c.Viewer, farewell(format), hub.ReasonDraining)
	}
}

// forget gives back the place of a held connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.leftLocked(c.client)
}

func (s *Server) leftLocked(c *clientAddress) {
	if c.conns--; c.conns == 0 {
		delete(s.clients, c.address)
	}
}

// wanted is what came of the topics that a client named.
type wanted struct {
	topics   []tally.Topic
	refusals [][]byte // frames, as JSON
}

// resolve sorts the topics that a client names into those it may watch and those
// it is refused.
func (s *Server) resolve(names []string, admit func(tally.Topic) error) (w wanted) {
	for _, name := range names {
		topic, err := s.catalog.Resolve(name)
		if err == nil {
			err = admit(topic)
		}
		if err != nil {
			w.refuse(name, err)
			continue
		}
		w.topics = append(w.topics, topic)
	}
	return w
}

func (w *wanted) refuse(name string, err error) {
	w.refusals = append(w.refusals, hub.AppendRefusal(nil, name, err))
}

// errWatched is why a topic is refused when the hub watches as many as it may.
var errWatched = &tally.Error{
	Code:       tally.CodeTooManyViewers,
	Message:    "this instance watches as many topics as it may (--max-watched-topics)",
	RetryAfter: fullRetry,
}

// errQuota is why a topic is refused to an address that watches as many as it may.
var errQuota = &tally.Error{
	Code:       tally.CodeTooManyViewers,
	Message:    "this address watches as many topics as it may, which is a share of --max-watched-topics",
	RetryAfter: fullRetry,
}

// subscribe has c watch topics, and returns the refusals.
func (s *Server) subscribe(c *conn, topics []tally.Topic) (refusals [][]byte) {
	full, overQuota := s.hub.Subscribe(&c.Viewer, topics)
	for _, topic := range full {
		refusals = append(refusals, hub.AppendRefusal(nil, topic.String(), errWatched))
	}
	for _, topic := range overQuota {
		refusals = append(refusals, hub.AppendRefusal(nil, topic.String(), errQuota))
	}
	return refusals
}

// enter counts c on the topics named, but not twice on one, and returns the
// refusals.
func (s *Server) enter(c *conn, names []string, admit func(tally.Topic) error) (refusals [][]byte) {
	w := s.resolve(names, func(topic tally.Topic) error {
		if s.catalog.Rule(topic).Kind != tally.Presence {
			return tally.Errorf(tally.CodeBadTopic, "%s does not count presence; readers does", topic.Metric())
		}
		return admit(topic)
	})
	present := make(map[tally.Topic]bool, len(c.present)+len(w.topics))
	for _, topic := range c.present {
		present[topic] = true
	}
	for _, topic := range w.topics {
		switch {
		case present[topic]:
		case len(c.present) >= s.options.MaxTopics:
			w.refuse(topic.String(), tally.Errorf(tally.CodeTooManyTopics, "a connection is present on at most %d topics", s.options.MaxTopics))
		case !c.Quota.Acquire():
			w.refuse(topic.String(), errQuota)
		case !s.presence.Enter(topic):
			c.Quota.Release()
			w.refuse(topic.String(), errWatched)
		default:
			present[topic] = true
			c.present = append(c.present, topic)
		}
	}
	return w.refusals
}

// exit counts c no more on topics; those that it is not counted on are passed over.
func (s *Server) exit(c *conn, topics []tally.Topic) {
	gone := make(map[tally.Topic]bool, len(topics))
	for _, topic := range topics {
		gone[topic] = true
	}
	c.present = slices.DeleteFunc(c.present, func(topic tally.Topic) bool {
		if gone[topic] {
			s.leave(c, topic)
		}
		return gone[topic]
	})
}

// leaveAll counts c no more on any topic.
func (s *Server) leaveAll(c *conn) {
	for _, topic := range c.present {
		s.leave(c, topic)
	}
	c.present = nil
}

func (s *Server) leave(c *conn, topic tally.Topic) {
	s.presence.Leave(topic)
	c.Quota.Release()
}

// checkCount refuses a call that names more topics than it may.
func (s *Server) checkCount(session Session) error {
	if len(session.Topics)+len(session.Refused) > s.options.MaxTopics || len(session.Present)+len(session.Refused) > s.options.MaxTopics {
		return tally.Errorf(tally.CodeTooManyTopics, "a call names at most %d topics", s.options.MaxTopics)
	}
	return nil
}

// Drain takes no new connections and closes those that are held, in random order
// spread evenly over the time given, or at once when ctx ends. It takes that time
// also where there are none: until a balancer notices it sends requests here.
func (s *Server) Drain(ctx context.Context, length time.Duration) {
	s.mu.Lock()
	s.draining = true
	conns := make([]*conn, 0, len(s.conns))
	formats := make([]hub.Format, 0, len(s.conns))
	for c, format := range s.conns {
		conns, formats = append(conns, c), append(formats, format)
	}
	s.mu.Unlock()
	rand.Shuffle(len(conns), func(i, j int) {
		conns[i], conns[j] = conns[j], conns[i]
		formats[i], formats[j] = formats[j], formats[i]
	})
	const step = 20 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	began := time.Now()
	for told := 0; ; {
		passed := time.Since(began)
		over := passed >= length || ctx.Err() != nil
		due := len(conns)
		if !over {
			due = int(float64(len(conns)) * float64(passed) / float64(length))
		}
		for ; told < due; told++ {
			s.hub.Finish(&conns[told].Viewer, farewell(formats[told]), hub.ReasonDraining)
		}
		if over {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// farewell returns the last bytes of a connection that is closed for draining.
func farewell(format hub.Format) []byte {
	if format == webSocket {
		return appendClose(nil, closeDraining, "draining")
	}
	return appendRetry(nil, between(2*time.Second, 10*time.Second))
}

// between returns a random duration, so that clients do not come back together.
func between(low, high time.Duration) time.Duration {
	return low + rand.N(high-low)
}

// Metrics implements [tally.Instrumented].
func (s *Server) Metrics() []tally.Sample {
	var held [2]int
	s.mu.Lock()
	for _, format := range s.conns {
		held[format]++
	}
	addresses := len(s.clients)
	s.mu.Unlock()
	const help = "Connections held, by transport."
	return []tally.Sample{
		{Name: "connections", Help: help, Label: "transport", LabelValue: "sse", Value: float64(held[eventStream])},
		{Name: "connections", Help: help, Label: "transport", LabelValue: "websocket", Value: float64(held[webSocket])},
		{Name: "client_addresses", Help: "Addresses that connections come from.", Value: float64(addresses)},
	}
}

// isFull tells whether err says that there is no place for another viewer.
func isFull(err error) bool {
	var e *tally.Error
	return errors.As(err, &e) && e.Code == tally.CodeTooManyViewers
}
