package redistopology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// With wait=N in the URL, a write is acknowledged only when N replicas have it in memory:
// WAIT follows the scripts on their connection, and covers all earlier writes of the primary.
// If a write is not confirmed, its client repeats it. The repetition changes nothing, but it is
// acknowledged only when the replicas have the first write.
//
// If N is the number of all replicas, a failover loses no acknowledged write. Otherwise it
// loses the writes that the promoted replica has not received: usually those of some
// milliseconds, and all that the primary took while it was cut off and not yet demoted. If
// fewer than N replicas answer, writes are refused (503).

// replyTime is the part of a batch's time that WAIT leaves for the reply.
const replyTime = 100 * time.Millisecond

// NotReplicatedError is the error of a write that too few replicas confirmed in time.
type NotReplicatedError struct{ Confirmed, Wanted int64 }

func (e *NotReplicatedError) Error() string {
	return fmt.Sprintf("%d of the %d replicas that the store's URL waits for confirmed in time: writes are not acknowledged until they do", e.Confirmed, e.Wanted)
}

// AppendWait adds a WAIT to pipe if the URL has wait=N. After the pipeline was executed,
// confirmed returns an error if the writes before must not be acknowledged.
func (n *Node) AppendWait(ctx context.Context, pipe redis.Pipeliner) (confirmed func() error) {
	wanted := int64(n.topology.Replicas())
	if wanted == 0 {
		return func() error { return nil }
	}
	end, _ := ctx.Deadline()
	timeout := max(time.Until(end)-replyTime, time.Millisecond) // 0 would wait for ever
	wait := redis.NewIntCmd(ctx, "wait", wanted, timeout.Milliseconds())
	_ = pipe.Process(ctx, wait) // queued
	return func() error {
		have, err := wait.Result()
		if err != nil {
			return fmt.Errorf("wait for replicas: %w", err)
		}
		if have < wanted {
			return &NotReplicatedError{have, wanted}
		}
		return nil
	}
}

// RefusesWrites reports whether err means that the node takes no writes at present.
func RefusesWrites(err error) bool {
	return errors.As(err, new(*NotReplicatedError)) || slices.ContainsFunc([]string{"READONLY", "OOM", "MISCONF", "NOREPLICAS"},
		func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}
