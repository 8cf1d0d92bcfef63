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

// minPause is the shortest pause that is worth a timer.
const minPause = 50 * time.Microsecond

// revertPauses are the pauses of a revert between its pipelines. Redis serves each client in turn,
// so a like waits for a part of one pipeline. If likes come at a high rate, the pauses leave them
// half of the time.
type revertPauses struct {
	store *Store
	least time.Duration // that a unit of work took
}

// giveWay pauses for as long as others delayed a pipeline that took some time: that is how much
// longer it took than the fastest one of as many units.
func (p *revertPauses) giveWay(ctx context.Context, took time.Duration, units int) error {
	took = p.store.withoutTrip(took)
	if each := took / time.Duration(units); p.least == 0 || each < p.least {
		p.least = each
	}
	delay := took - p.least*time.Duration(units)
	if delay > minPause && !sleep(ctx, min(delay, maxPause)) || ctx.Err() != nil {
		return tally.Unavailable(ctx.Err())
	}
	return nil
}
