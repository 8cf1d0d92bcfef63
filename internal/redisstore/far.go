package redisstore

import "time"

const (
	// minGap is the least time between two batches to a far store, and maxGaps in how many
	// parts the batches divide a round trip: a like waits for a part at most, and a batch has
	// the likes of one.
	minGap  = 2 * time.Millisecond
	maxGaps = 32
	// fewCalls is for how many batches connections are opened at first: likes that come at the
	// same time are rare on a small site, and each connection takes commands.
	fewCalls = 4
)

// Window implements [tally.Distant]: it lets batches overlap if the time on the way to the node
// is long, beside which Redis's own is short.
func (s *Store) Window(lane string, inFlight int) (calls int, gap time.Duration) {
	for _, n := range s.topology.SlotMap().Nodes() {
		if n.Addr != lane {
			continue
		}
		if !n.IsFar() {
			break // one batch at a time is on the way, so that batches are large
		}
		trip := n.RoundTrip()
		gap = max(trip/maxGaps, minGap)
		calls = int(trip/gap) + 1
		switch inFlight {
		case 0: // a like alone needs one connection
			return calls, gap
		case 1: // a second like came meanwhile
			return min(calls, n.Connections(fewCalls)), gap
		}
		return min(calls, n.Connections(calls)), gap
	}
	return 1, 0
}
