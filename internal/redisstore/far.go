package redisstore

import (
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
)

const (
	// minGap is the least time between the departures of two batches to a far store. maxGaps
	// bounds the parts into which batches divide a round trip. A like waits for at most one
	// part, and a batch has the likes that arrive in one part.
	minGap  = 2 * time.Millisecond
	maxGaps = 32
	// fewCalls is the number of batches for which the store opens connections at first. Likes
	// that come at the same time are rare on a small site, and each connection takes commands.
	fewCalls = 4
)

// Window implements [tally.Distant]: it lets batches overlap if the node is far. Then a batch
// takes most of its time on the network, not in Redis.
func (s *Store) Window(lane string, inFlight int) (calls int, gap time.Duration) {
	for _, n := range s.topology.SlotMap().Nodes() {
		if n.Addr != lane {
			continue
		}
		if !n.IsFar() {
			break // one batch at a time is in flight, so that batches are large
		}
		trip := n.RoundTrip()
		gap = max(trip/maxGaps, minGap)
		calls = int(trip/gap) + 1
		switch inFlight {
		case 0: // a like alone needs one connection
			return calls, gap
		case 1: // a second like came while the first is in flight
			return min(calls, n.Connections(fewCalls)), gap
		}
		return min(calls, n.Connections(calls)), gap
	}
	return 1, 0
}

// isFar reports whether a node is far away.
func (s *Store) isFar() bool {
	return slices.ContainsFunc(s.topology.SlotMap().Nodes(), (*redistopology.Node).IsFar)
}
