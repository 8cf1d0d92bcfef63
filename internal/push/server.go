// Package push owns the viewers' connections: Server-Sent Events and WebSocket.
//
// It hijacks both from net/http, which frees that package's goroutines and buffers. An
// idle connection has neither a goroutine nor a buffer: a few loops wait for all
// connections at once, see readiness.
//
// All writes go through the hub: the shard of a connection is its only writer. This package
// makes the handshake of WebSockets, and reads and writes their frames, since libraries
// need a goroutine for each viewer.
//
// The HTTP handlers call [Server] with a [Session].
package push

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// Options are fixed when a [Server] is made.
type Options struct {
	// MaxViewers is how many connections the server holds; 0 means any number.
	MaxViewers int
	// MaxViewersPerAddress is how many of them one client address may have; 0 means any
	// number.
	MaxViewersPerAddress int
	// MaxTopicsPerAddress is how many topics the connections of one client address may
	// watch and be present on together; 0 means any number.
	MaxTopicsPerAddress int
	// WriteTimeout is how long sent bytes may stay unacknowledged; 30 s if 0.
	WriteTimeout time.Duration
	// MessageTimeout is how long a client's message may take from its first byte to its
	// last; 10 s if 0.
	MessageTimeout time.Duration
	// RetryInterval is the time between two attempts to watch topics that were refused because
	// there was no place; 10 s if 0.
	RetryInterval time.Duration
}

// Session describes a client that wants to watch topics.
type Session struct {
	// Client is the address by which viewers are limited; the zero Addr has no limit.
	Client netip.Addr
	// Rights are those of the client. A WebSocket keeps them for its messages.
	Rights Rights
	// Topics and Present are the names of topics in the request: to watch, and to be present on.
	Topics  []string
	Present []string
	// Refused are topics in the request that the caller refuses. The client gets their errors.
	Refused []Refusal
}

// Rights decide what a client may do. They may be called concurrently.
type Rights interface {
	// Admit returns an error if the client may not watch topic.
	Admit(topic tally.Topic) error
	// MayRecord reports whether the client may begin the history of a topic by being present.
	// Each call counts towards a limit.
	MayRecord(topic tally.Topic) bool
	// ParseAssertion parses an assertion that the client of a WebSocket sent. It does not
	// keep message. It returns an error only if the message has no valid id. [Assertion.Start]
	// reports all others.
	ParseAssertion(message []byte) (Assertion, error)
}

// Refusal is the name of a topic in a request, and the error for it.
type Refusal struct {
	Name string
	Err  error
}

// Presence counts the pages that connections hold present.
type Presence interface {
	// Enter counts one more page on topic. It returns false if that is a topic too many. It
	// calls mayRecord if no other page may begin the history of the topic.
	Enter(topic tally.Topic, mayRecord func() bool) bool
	// Leave counts one page less.
	Leave(topic tally.Topic)
}

// Server hijacks connections and holds them. All methods may be called concurrently.
type Server struct {
	hub       *hub.Hub
	presence  Presence
	catalog   *tally.Catalog
	options   Options
	readiness *readiness
	work      sync.WaitGroup // calls in progress, and WebSockets
	start     time.Time
	waiting   waitingTopics

	mu         sync.Mutex
	conns      map[*conn]hub.Format
	reserved   int // places of connections that are not hijacked yet
	clients    map[netip.Addr]*client
	isDraining bool
}

// New returns a server whose viewers h serves.
func New(h *hub.Hub, presence Presence, catalog *tally.Catalog, options Options) (*Server, error) {
	options.WriteTimeout = cmp.Or(options.WriteTimeout, 30*time.Second)
	options.MessageTimeout = cmp.Or(options.MessageTimeout, 10*time.Second)
	options.RetryInterval = cmp.Or(options.RetryInterval, 10*time.Second)
	ready, err := newReadiness()
	if err != nil {
		return nil, err
	}
	return &Server{
		hub: h, presence: presence, catalog: catalog, options: options, readiness: ready, start: time.Now(),
		conns:   map[*conn]hub.Format{},
		clients: map[netip.Addr]*client{},
		waiting: waitingTopics{byConn: map[*conn][]tally.Topic{}},
	}, nil
}

// Run reads from the connections until ctx ends and all WebSockets have ended. They end
// when the hub ends.
func (s *Server) Run(ctx context.Context) error {
	var retrying sync.WaitGroup
	retrying.Go(func() { s.retryWaiting(ctx) }) // ends with ctx
	defer retrying.Wait()
	return s.readiness.run(ctx, func() {
		s.mu.Lock()
		s.isDraining = true
		s.mu.Unlock()
		s.work.Wait()
	})
}

// now returns the time since the server was made.
func (s *Server) now() time.Duration { return time.Since(s.start) }

// answerTimeout bounds how long Drain waits for unanswered assertions: the 3 s in which the
// service answers each, and a second to send the answer.
const answerTimeout = 4 * time.Second

// Drain accepts no more connections and closes the present ones in random order, evenly
// over length, or at once when ctx ends. It closes a connection with unanswered assertions
// after their answers. Drain takes length even without connections, since a balancer sends
// requests to this instance until it notices.
func (s *Server) Drain(ctx context.Context, length time.Duration) {
	type viewer struct {
		conn   *conn
		format hub.Format
	}
	s.mu.Lock()
	s.isDraining = true
	viewers := make([]viewer, 0, len(s.conns))
	for c, format := range s.conns {
		viewers = append(viewers, viewer{c, format})
	}
	s.mu.Unlock()
	rand.Shuffle(len(viewers), func(i, j int) { viewers[i], viewers[j] = viewers[j], viewers[i] })
	const step = 20 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	began := time.Now()
	for closed := 0; ; {
		passed := time.Since(began)
		isOver := passed >= length || ctx.Err() != nil
		due := len(viewers)
		if !isOver {
			due = int(float64(len(viewers)) * float64(passed) / float64(length))
		}
		for ; closed < due; closed++ {
			s.drain(viewers[closed].conn, viewers[closed].format)
		}
		if isOver && (!s.hasConns() || passed >= length+answerTimeout || ctx.Err() != nil) {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (s *Server) hasConns() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0
}

// drainFrame returns the last bytes of a connection that is closed for draining.
func drainFrame(format hub.Format) []byte {
	if format == webSocket {
		return appendClose(nil, closeDraining, "draining")
	}
	return appendRetry(nil, randomBetween(2*time.Second, 10*time.Second))
}

// randomBetween returns a random duration, so that clients do not return together.
func randomBetween(low, high time.Duration) time.Duration {
	return low + rand.N(high-low)
}

// abort closes the connection of a request without a response, since only another instance
// can serve the client. A proxy retries there at once, and a browser reconnects as after
// every lost connection. After a response with an error it would wait, or give up.
func abort(w http.ResponseWriter) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return errDraining
	}
	raw, _, err := hijacker.Hijack()
	if err != nil {
		return errDraining
	}
	_ = raw.Close() // nothing was written
	return nil
}

// Metrics implements [tally.Instrumented].
func (s *Server) Metrics() []tally.Sample {
	var conns [2]int
	s.mu.Lock()
	for _, format := range s.conns {
		conns[format]++
	}
	addresses := len(s.clients)
	s.mu.Unlock()
	const help = "Connections held, by transport."
	return []tally.Sample{
		{Name: "connections", Help: help, Label: "transport", LabelValue: "sse", Value: float64(conns[eventStream])},
		{Name: "connections", Help: help, Label: "transport", LabelValue: "websocket", Value: float64(conns[webSocket])},
		{Name: "client_addresses", Help: "Addresses that connections come from.", Value: float64(addresses)},
	}
}
