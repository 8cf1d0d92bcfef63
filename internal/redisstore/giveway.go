package redisstore

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxPause bounds the pause of giveWay: perhaps this machine or the network was slow, not Redis.
const maxPause = 2 * time.Millisecond

// giveWay pauses a long call of an owner for half of the time that Redis took for the commands
// since began. So likes get a third of Redis's time, and wait in a short queue.
func (s *Store) giveWay(ctx context.Context, began time.Time) error {
	took := time.Since(began)
	if s.topology.IsFar() {
		took -= s.topology.RoundTrip()
	}
	if !sleep(ctx, min(took/2, maxPause)) {
		return tally.Unavailable(ctx.Err())
	}
	return nil
}
