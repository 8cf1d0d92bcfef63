package redisstore

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxPause bounds the pause of giveWay, in case that not Redis but this machine or the network was
// slow.
const maxPause = 2 * time.Millisecond

// giveWay pauses a long call of an owner for half the time that the commands since began took
// Redis, so that likes find a short queue and a third of Redis's time.
func (s *Store) giveWay(ctx context.Context, began time.Time) error {
	took := time.Since(began)
	for _, n := range s.topology.SlotMap().Nodes() {
		if n.IsFar() {
			took = min(took, time.Since(began)-n.RoundTrip())
		}
	}
	if !sleep(ctx, min(took/2, maxPause)) {
		return tally.Unavailable(ctx.Err())
	}
	return nil
}
