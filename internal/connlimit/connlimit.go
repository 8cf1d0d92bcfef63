// Package connlimit keeps the clients of a public HTTP listener from using all file
// descriptors of the process. It limits the connections of each client address, closes idle
// ones to make room for new ones, and reserves some descriptors for the rest of the process,
// such as the operator's listener. Package server imports it.
//
// It does not count hijacked connections: package push limits those.
package connlimit

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// Options configure a [Limiter].
type Options struct {
	// PerAddress is how many connections one client address, see
	// [ratelimit.ClientAddress], may have; 0 means any number.
	PerAddress int
	// IsExempt reports whether a peer may have any number of connections.
	IsExempt func(netip.Addr) bool
	// Files is how many files the process may open; 0 means any number.
	Files int
	// HeaderTimeout is the server's ReadHeaderTimeout.
	HeaderTimeout time.Duration
	Log           *slog.Logger
}

// Limiter limits the connections of one listener. It is safe for concurrent use.
type Limiter struct {
	// Fixed after construction.
	options Options
	start   time.Time
	// A new connection gets the lowest free descriptor, so its number shows how many are in
	// use. From shedFrom on the limiter closes idle connections. From refuseFrom on it also
	// refuses new ones, since a closed descriptor becomes free only a moment later.
	shedFrom, refuseFrom int
	descriptor           func(net.Conn) int // replaced by tests

	conns sync.Map // net.Conn → *conn

	slow                                 atomic.Int64
	shedByAddress, shedByFiles           atomic.Int64
	hasWarnedOfAddress, hasWarnedOfFiles atomic.Bool

	mu      sync.Mutex
	clients map[netip.Addr]map[*conn]bool // not of exempt peers
}

const (
	// The limiter reserves 1/reserveShare of the descriptors for the rest of the process,
	// within the bounds: enough for the operator's requests and for reconnecting the store.
	reserveShare = 8
	minReserve   = 16
	maxReserve   = 256
	// If descriptors run short the limiter closes 1/shedShare of the connections at once, so
	// that it seldom searches them all.
	shedShare = 16
	minShed   = 8
	// stuckAfter is the duration after which a request counts as stuck: only an attacker
	// sends a body, or reads a response, so slowly. The service itself responds within 3 s.
	stuckAfter = 5 * time.Second
)

// New returns a limiter.
func New(o Options) *Limiter {
	l := &Limiter{options: o, start: time.Now(), descriptor: descriptor, clients: map[netip.Addr]map[*conn]bool{}}
	if o.Files > 0 {
		reserve := min(max(o.Files/reserveShare, minReserve), maxReserve)
		l.shedFrom, l.refuseFrom = o.Files-reserve, o.Files-reserve/2
	}
	return l
}

// conn is an open connection, unless it is hijacked.
type conn struct {
	// Fixed once accepted.
	net      net.Conn
	client   netip.Addr
	isExempt bool

	state atomic.Int64 // see pack
}

// status is the state of a connection.
type status int64

const (
	unused  status = iota // before its first request
	active                // in a request
	idle                  // between requests
	closing               // closed by the limiter
	statuses
)

// pack packs a status and the time when it began, on the limiter's clock.
func pack(s status, since time.Duration) int64 { return int64(since)*int64(statuses) + int64(s) }

func unpack(state int64) (s status, since time.Duration) {
	return status(state % int64(statuses)), time.Duration(state / int64(statuses))
}

func (l *Limiter) now() time.Duration { return time.Since(l.start) }

// Listener returns inner with the limits. Its server must have [Limiter.ConnState].
func (l *Limiter) Listener(inner net.Listener) net.Listener { return &listener{inner, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept implements [net.Listener]. It closes connections for which there is no room.
func (a *listener) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				a.limiter.shed()
			}
			return nil, err
		}
		if a.limiter.admit(c) {
			return c, nil
		}
		_ = c.Close() // nothing was sent
	}
}

// ConnState is the [http.Server.ConnState] of the listener's server.
func (l *Limiter) ConnState(c net.Conn, state http.ConnState) {
	known, ok := l.conns.Load(c)
	if !ok {
		return
	}
	entry := known.(*conn)
	switch state {
	case http.StateActive:
		// The server makes a connection active after it has read a header, or after a timeout
		// if it has read a part of one.
		if s, since := unpack(entry.state.Load()); s == unused && l.now()-since >= l.options.HeaderTimeout {
			l.slow.Add(1)
		}
		entry.state.Store(pack(active, l.now()))
	case http.StateIdle:
		entry.state.Store(pack(idle, l.now()))
	case http.StateHijacked, http.StateClosed:
		l.conns.Delete(c)
		l.uncount(entry)
	}
}

// admit makes room for a new connection if necessary. It reports whether there is room.
func (l *Limiter) admit(c net.Conn) bool {
	entry := &conn{net: c}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer := tcp.AddrPort().Addr().Unmap().WithZone("")
		entry.isExempt = l.options.IsExempt(peer)
		entry.client = ratelimit.ClientAddress(peer)
	}
	entry.state.Store(pack(unused, l.now()))
	if l.shedFrom > 0 {
		if n := l.descriptor(c); n >= l.shedFrom && !l.shed() || n >= l.refuseFrom {
			l.shedByFiles.Add(1)
			return false
		}
	}
	if !l.count(entry) {
		return false
	}
	l.conns.Store(c, entry)
	return true
}

// descriptor returns the file descriptor of c, or 0.
func descriptor(c net.Conn) (n int) {
	descriptor, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := descriptor.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) }) // fails for a closed connection only
	}
	return n
}

// count counts a connection for its client. If the client has as many as it may, count
// closes another one, see candidate. It returns false if it can close none. Calls are not
// concurrent: only Accept makes them.
func (l *Limiter) count(entry *conn) bool {
	if entry.isExempt || l.options.PerAddress == 0 {
		return true
	}
	var all []*conn // nil if the client may have more
	l.mu.Lock()
	if len(l.clients[entry.client]) >= l.options.PerAddress {
		all = slices.Collect(maps.Keys(l.clients[entry.client]))
	}
	l.mu.Unlock()
	if all != nil {
		l.shedByAddress.Add(1)
		l.warnOfAddress(entry)
		if l.closeBest(all, 1) == 0 {
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[entry.client] == nil {
		l.clients[entry.client] = map[*conn]bool{}
	}
	l.clients[entry.client][entry] = true
	return true
}

func (l *Limiter) uncount(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients[c.client], c)
	if len(l.clients[c.client]) == 0 {
		delete(l.clients, c.client)
	}
}

// candidate is a connection that the limiter may close: it is idle, has sent no request, or is
// stuck in one.
type candidate struct {
	*conn
	state int64
	rank  int // the lowest first
	since time.Duration
}

func (c *conn) candidate(now time.Duration) (candidate, bool) {
	found := candidate{conn: c, state: c.state.Load()}
	s, since := unpack(found.state)
	found.since = since
	switch {
	case s == idle: // clients expect it
		found.rank = 0
	case s == unused:
		found.rank = 1
	case s == active && now-since > stuckAfter:
		found.rank = 2
	default:
		return candidate{}, false
	}
	if c.isExempt { // serves many clients
		found.rank += 3
	}
	return found, true
}

// before orders candidates: by rank, then by the time in their state.
func (c candidate) before(other candidate) int {
	return cmp.Or(cmp.Compare(c.rank, other.rank), cmp.Compare(c.since, other.since))
}

// mark marks the connection as closing. It returns false if its state changed.
func (c candidate) mark() bool { return c.conn.state.CompareAndSwap(c.state, pack(closing, 0)) }

// closeBest closes the best candidates of all, at most n. It returns how many it closed.
func (l *Limiter) closeBest(all []*conn, n int) (closed int) {
	var candidates []candidate
	now := l.now()
	for _, c := range all {
		if next, ok := c.candidate(now); ok {
			candidates = append(candidates, next)
		}
	}
	slices.SortFunc(candidates, candidate.before)
	for _, c := range candidates {
		if closed < n && c.mark() {
			l.uncount(c.conn)
			_ = c.net.Close()
			closed++
		}
	}
	return closed
}

// shed closes a share of the connections. It returns false if it can close none.
func (l *Limiter) shed() bool {
	var all []*conn
	l.conns.Range(func(_, value any) bool {
		all = append(all, value.(*conn))
		return true
	})
	closed := l.closeBest(all, max(minShed, len(all)/shedShare))
	l.shedByFiles.Add(int64(closed))
	if l.hasWarnedOfFiles.CompareAndSwap(false, true) {
		l.options.Log.Warn("file descriptors run short: the service closes idle connections, and refuses new ones if that is not enough; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)",
			"files", l.options.Files, "connections", len(all), "closed", closed)
	}
	return closed > 0
}

func (l *Limiter) warnOfAddress(c *conn) {
	if l.hasWarnedOfAddress.CompareAndSwap(false, true) {
		l.options.Log.Warn("one address holds as many connections as it may: the service closes its idle ones and refuses new ones; if it is your proxy, name it with --trusted-proxy",
			"address", c.client.String(), "connections", l.options.PerAddress, "flag", "--trusted-proxy "+c.client.String())
	}
}

// Metrics implements [tally.Instrumented].
func (l *Limiter) Metrics() []tally.Sample {
	const help = "Connections that were refused, or closed while idle, to make room for others."
	return []tally.Sample{
		{Name: "handshakes_dropped_total", Help: "Connections that were closed before their first request.", Counter: true, Label: "reason", LabelValue: "slow", Value: float64(l.slow.Load())},
		{Name: "connections_shed_total", Help: help, Counter: true, Label: "reason", LabelValue: "address", Value: float64(l.shedByAddress.Load())},
		{Name: "connections_shed_total", Help: help, Counter: true, Label: "reason", LabelValue: "files", Value: float64(l.shedByFiles.Load())},
	}
}
