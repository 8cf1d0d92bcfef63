package redisstore

import "time"

const (
	// minGap is the least time between the starts of two batches to a far node. maxGaps bounds
	// the parts into which batches divide a round trip. A like waits for at most one part, and a
	// batch has the likes that arrive in one part.
	minGap  = 2 * time.Millisecond
	maxGaps = 32
	// fewCalls is the number of batches for which the store opens connections at first: on a
	// small site simultaneous likes are rare, and each connection costs commands.
	fewCalls = 4
)

// Window implements [tally.Distant]: batches to a far node overlap.
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
