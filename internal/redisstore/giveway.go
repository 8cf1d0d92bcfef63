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
	if !sleep(ctx, min(s.withoutTrip(time.Since(began))/2, maxPause)) {
		return tally.Unavailable(ctx.Err())
	}
	return nil
}

// withoutTrip returns which part of the time that a pipeline took was not the way to a far Redis.
func (s *Store) withoutTrip(took time.Duration) time.Duration {
	if s.topology.IsFar() {
		took -= s.topology.RoundTrip()
	}
	return max(took, 0)
}
