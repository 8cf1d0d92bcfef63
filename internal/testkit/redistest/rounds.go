package redistest

// rounds count the round trips between the clients of a proxy and the server: two logical
// clocks. The number of a request is one more than the round trips that ended before it. The
// number of a reply is that of the newest request. So the count does not depend on how fast the
// machine is, as long as the delay of the proxy is longer than the clients take to send their
// next request.
type rounds struct{ clients, server int }

// connect returns the least round of requests on a new connection: connecting takes one.
func (r *rounds) connect() int { return r.clients + 2 }

// depart returns the round of data that departs.
func (r *rounds) depart(direction Direction, first int) int {
	if direction == ToServer {
		return max(r.clients+1, first)
	}
	return r.server
}

// arrive records that data arrived.
func (r *rounds) arrive(direction Direction, round int) {
	if direction == ToServer {
		r.server = max(r.server, round)
	} else {
		r.clients = max(r.clients, round)
	}
}

// Rounds returns how many round trips have ended.
func (p *Proxy) Rounds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rounds.clients
}
