package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// With wait=N in the URL a write is acknowledged only when N replicas have it in
// memory: WAIT follows the scripts on their connection, for what is left of the
// time. WAIT covers whatever the primary had done when the command before it ran,
// by whom ever, so that an assertion that is repeated because the first was not
// confirmed is not acknowledged either until it is.
//
// Where N is the number of all replicas that may be promoted, a failover loses
// nothing that was acknowledged. Without it, or with fewer, a failover loses what
// the promoted replica had not received: usually some milliseconds of writes, and
// all that a primary took while it was cut off and not yet demoted. N replicas
// away and writes answer 503: a primary with one replica and wait=1 takes none
// without it.

const (
	// replyTime is kept of the time of a batch for the answer's way back.
	replyTime = 100 * time.Millisecond
	// probeReplicas is how long the probe lets replicas confirm.
	probeReplicas = time.Second
)

// notReplicatedError says that replicas did not confirm in time.
type notReplicatedError struct{ have, want int64 }

func (e *notReplicatedError) Error() string {
	return fmt.Sprintf("%d of the %d replicas that the store's URL waits for confirmed in time: writes are not acknowledged until they do", e.have, e.want)
}

// wait adds to pipe what waits for the replicas.
func (n *node) wait(ctx context.Context, pipe redis.Pipeliner) *redis.IntCmd {
	end, _ := ctx.Deadline()
	within := max(time.Until(end)-replyTime, time.Millisecond) // 0 would be for ever
	command := redis.NewIntCmd(ctx, "wait", n.store.target.wait, within.Milliseconds())
	_ = pipe.Process(ctx, command) // queued
	return command
}

// replicated returns why what stood before the WAIT is not to be acknowledged.
func (s *Store) replicated(waited *redis.IntCmd) error {
	have, err := waited.Result()
	if err != nil {
		return fmt.Errorf("wait for replicas: %w", err)
	}
	if want := int64(s.target.wait); have < want {
		return &notReplicatedError{have, want}
	}
	return nil
}

// refusesWrites tells whether err says that the node takes no writes at all now.
func refusesWrites(err error) bool {
	var late *notReplicatedError
	if errors.As(err, &late) {
		return true
	}
	for _, prefix := range []string{"READONLY", "OOM", "MISCONF", "NOREPLICAS"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// lacksRight tells whether err says that the user may not do something; within a
// script Redis does not say what.
func lacksRight(err error) bool {
	var answered redis.Error
	return redis.HasErrorPrefix(err, "NOPERM") || errors.As(err, &answered) &&
		(strings.Contains(answered.Error(), "can't run this command") || strings.Contains(answered.Error(), "ACL failure"))
}

// tryWrite writes as likes do, to a slot of the node, and waits for the replicas as
// they do: what keeps the node from taking writes is known before a like is
// refused, and is known to be over.
func (n *node) tryWrite(ctx context.Context) error {
	key := n.scratch().probe
	if key == "" {
		return nil // it holds no slots
	}
	pipe := n.client.Pipeline()
	wrote := pipe.Set(ctx, key, "", time.Minute) // gone with the instance
	var replicated *redis.IntCmd
	if n.store.target.wait > 0 {
		waited, cancel := context.WithTimeout(ctx, probeReplicas+replyTime)
		defer cancel()
		replicated = n.wait(waited, pipe)
	}
	_ = exec(ctx, pipe) // each command has its own error
	if err := wrote.Err(); err != nil {
		n.store.doubt(err)
		if isElsewhere(err) {
			return nil // the slot moved just now
		}
		return fmt.Errorf("try to write: %w", err)
	}
	if replicated != nil {
		return n.store.replicated(replicated)
	}
	return nil
}
