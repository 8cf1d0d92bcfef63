// Package connlimit keeps the clients of a public HTTP listener from taking all of its
// process's file descriptors. It counts the connections of each client address, closes
// idle ones to make room for those that ask for something, and leaves some descriptors
// to the rest of the process, the operator's listener among it. Only the command that
// opens the listener imports it.
//
// Connections that a handler took over (hijacked) are none of its business: whoever
// holds them limits them.
package connlimit

import (
	"cmp"
	"errors"
	"log/slog"
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
	// IsExempt reports whether PerAddress does not apply to a peer.
	IsExempt func(netip.Addr) bool
	// Files is how many files the process may open; 0 means any number.
	Files int
	// HeaderTimeout is after what time the server gives up a request's header.
	HeaderTimeout time.Duration
	Log           *slog.Logger
}

// Limiter limits the connections of one listener. It is safe for concurrent use.
type Limiter struct {
	// Fixed after construction.
	options Options
	start   time.Time
	// A new connection has the lowest free descriptor, so that its number tells how
	// many are in use. From shedFrom on idle connections are closed, from refuseFrom
	// on new ones are: what is closed is free only a moment later.
	shedFrom, refuseFrom int
	descriptor           func(net.Conn) int // tests count otherwise

	conns sync.Map // net.Conn → *conn

	slow                                 atomic.Int64
	shedByAddress, shedByFiles           atomic.Int64
	hasWarnedOfAddress, hasWarnedOfFiles atomic.Bool

	mu      sync.Mutex
	clients map[netip.Addr][]*conn // not of exempt peers
}

const (
	// reserveShare, minReserve and maxReserve say how many descriptors are kept for
	// the rest of the process: a share of all, but enough for the operator's requests
	// and a store that reconnects, and no more than these need.
	reserveShare = 8
	minReserve   = 16
	maxReserve   = 256
	// shedShare is the share of the connections that is closed at once when
	// descriptors run short, so that not every new connection looks at all others.
	shedShare = 16
	minShed   = 8
	// stuckAfter is after what time a request that is still being answered counts as
	// stuck: its client sends its body, or takes its answer, more slowly than any that
	// is not attacking. The service itself answers within 3 s.
	stuckAfter = 5 * time.Second
)

// New returns a limiter.
func New(o Options) *Limiter {
	l := &Limiter{options: o, start: time.Now(), descriptor: descriptor, clients: map[netip.Addr][]*conn{}}
	if o.Files > 0 {
		reserve := min(max(o.Files/reserveShare, minReserve), maxReserve)
		l.shedFrom, l.refuseFrom = o.Files-reserve, o.Files-reserve/2
	}
	return l
}

// conn is an open connection that no handler took over.
type conn struct {
	// Fixed once accepted.
	net      net.Conn
	client   netip.Addr
	isExempt bool

	state atomic.Int64 // see pack

	at int // in its client's list, or notListed; guarded by the mutex of Limiter
}

const notListed = -1

// status is what a connection is doing.
type status int64

const (
	fresh   status = iota // has sent no request yet
	active                // a request is being answered
	idle                  // waits for the next request
	closing               // was closed here
	statuses
)

// pack returns a state: a status, and since when, in nanoseconds of the limiter's time.
func pack(s status, since time.Duration) int64 { return int64(since)*int64(statuses) + int64(s) }

func unpack(state int64) (s status, since time.Duration) {
	return status(state % int64(statuses)), time.Duration(state / int64(statuses))
}

func (l *Limiter) now() time.Duration { return time.Since(l.start) }

// Listener returns inner within the limits. Its server must call [Limiter.Note].
func (l *Limiter) Listener(inner net.Listener) net.Listener { return &listener{inner, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept implements [net.Listener]. Connections for which there is no room are closed.
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

// Note is the [http.Server.ConnState] of the listener's server.
func (l *Limiter) Note(c net.Conn, state http.ConnState) {
	known, ok := l.conns.Load(c)
	if !ok {
		return
	}
	entry := known.(*conn)
	switch state {
	case http.StateActive:
		// The server calls a connection active when it has read a header, or has given
		// up reading one of which there were some bytes.
		if s, since := unpack(entry.state.Load()); s == fresh && l.now()-since >= l.options.HeaderTimeout {
			l.slow.Add(1)
		}
		entry.state.Store(pack(active, l.now()))
	case http.StateIdle:
		entry.state.Store(pack(idle, l.now()))
	case http.StateHijacked, http.StateClosed:
		l.conns.Delete(c)
		l.mu.Lock()
		l.unlistLocked(entry)
		l.mu.Unlock()
	}
}

// admit reports whether there is room for a new connection, after making some.
func (l *Limiter) admit(c net.Conn) bool {
	entry := &conn{net: c, at: notListed}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer := tcp.AddrPort().Addr().Unmap().WithZone("")
		entry.isExempt = l.options.IsExempt(peer)
		entry.client = ratelimit.ClientAddress(peer)
	}
	entry.state.Store(pack(fresh, l.now()))
	if l.shedFrom > 0 {
		if n := l.descriptor(c); n >= l.shedFrom && !l.shed() || n >= l.refuseFrom {
			l.shedByFiles.Add(1)
			return false
		}
	}
	if !l.list(entry) {
		return false
	}
	l.conns.Store(c, entry)
	return true
}

// descriptor returns the number of c's file descriptor, 0 if it has none.
func descriptor(c net.Conn) (n int) {
	holder, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := holder.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) }) // fails for a closed one only
	}
	return n
}

// list counts a connection for its client. A client with as many as it may have loses
// one in exchange, see candidate. It is false if none can be closed.
func (l *Limiter) list(entry *conn) bool {
	if entry.isExempt || l.options.PerAddress == 0 {
		return true
	}
	l.mu.Lock()
	var victim *conn
	all := l.clients[entry.client]
	if len(all) >= l.options.PerAddress {
		if victim = l.closeOneLocked(all); victim == nil {
			l.mu.Unlock()
			l.shedByAddress.Add(1)
			l.warnOfAddress(entry)
			return false
		}
	}
	entry.at = len(l.clients[entry.client])
	l.clients[entry.client] = append(l.clients[entry.client], entry)
	l.mu.Unlock()
	if victim != nil {
		_ = victim.net.Close()
		l.shedByAddress.Add(1)
		l.warnOfAddress(entry)
	}
	return true
}

// closeOneLocked marks the best of a client's connections to close, and returns it; nil
// if none is.
func (l *Limiter) closeOneLocked(all []*conn) *conn {
	for range len(all) { // a connection may become active meanwhile
		var best candidate
		for _, c := range all {
			if next, ok := c.candidate(l.now()); ok && (best.conn == nil || next.before(best) < 0) {
				best = next
			}
		}
		if best.conn == nil {
			return nil
		}
		if best.mark() {
			l.unlistLocked(best.conn)
			return best.conn
		}
	}
	return nil
}

func (l *Limiter) unlistLocked(c *conn) {
	if c.at == notListed {
		return
	}
	all := l.clients[c.client]
	last := len(all) - 1
	all[c.at] = all[last]
	all[c.at].at = c.at
	all[last] = nil
	c.at = notListed
	if last == 0 {
		delete(l.clients, c.client)
		return
	}
	l.clients[c.client] = all[:last]
}

// candidate is a connection that may be closed, as it was looked at: one that is idle,
// has sent no request, or is stuck with one.
type candidate struct {
	*conn
	state int64
	rank  int // the lowest is closed first
	since time.Duration
}

func (c *conn) candidate(now time.Duration) (candidate, bool) {
	found := candidate{conn: c, state: c.state.Load()}
	s, since := unpack(found.state)
	found.since = since
	switch {
	case s == idle: // its client expects it
		found.rank = 0
	case s == fresh:
		found.rank = 1
	case s == active && now-since > stuckAfter:
		found.rank = 2
	default:
		return candidate{}, false
	}
	if c.isExempt { // it carries many clients
		found.rank += 3
	}
	return found, true
}

// before orders candidates by who is closed first: of one rank what waits longest.
func (c candidate) before(other candidate) int {
	return cmp.Or(cmp.Compare(c.rank, other.rank), cmp.Compare(c.since, other.since))
}

// mark makes the connection one that is closed here, unless it changed.
func (c candidate) mark() bool { return c.conn.state.CompareAndSwap(c.state, pack(closing, 0)) }

// shed closes a share of the connections, see candidate. It reports whether there were
// any to close.
func (l *Limiter) shed() bool {
	var all []candidate
	total, now := 0, l.now()
	l.conns.Range(func(_, value any) bool {
		total++
		if c, ok := value.(*conn).candidate(now); ok {
			all = append(all, c)
		}
		return true
	})
	slices.SortFunc(all, candidate.before)
	closed := 0
	for _, c := range all {
		if closed >= max(minShed, total/shedShare) {
			break
		}
		if c.mark() {
			l.mu.Lock()
			l.unlistLocked(c.conn)
			l.mu.Unlock()
			_ = c.net.Close()
			closed++
		}
	}
	l.shedByFiles.Add(int64(closed))
	if l.hasWarnedOfFiles.CompareAndSwap(false, true) {
		l.options.Log.Warn("open files run short: idle connections are closed, and others if that is not enough; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)",
			"files", l.options.Files, "connections", total, "closed", closed)
	}
	return closed > 0
}

func (l *Limiter) warnOfAddress(c *conn) {
	if l.hasWarnedOfAddress.CompareAndSwap(false, true) {
		l.options.Log.Warn("one address holds as many connections as it may: its idle ones are closed, and further ones refused; if it is your proxy, name it with --trusted-proxy",
			"address", c.client.String(), "connections", l.options.PerAddress, "flag", "--trusted-proxy "+c.client.String())
	}
}

// Metrics implements [tally.Instrumented].
func (l *Limiter) Metrics() []tally.Sample {
	const help = "Connections that were closed while idle, or refused, to make room for others."
	return []tally.Sample{
		{Name: "handshakes_dropped_total", Help: "Connections that were closed before their first request had come.", Counter: true, Label: "reason", LabelValue: "slow", Value: float64(l.slow.Load())},
		{Name: "connections_shed_total", Help: help, Counter: true, Label: "reason", LabelValue: "address", Value: float64(l.shedByAddress.Load())},
		{Name: "connections_shed_total", Help: help, Counter: true, Label: "reason", LabelValue: "files", Value: float64(l.shedByFiles.Load())},
	}
}
