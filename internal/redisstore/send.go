package redisstore

import (
	"context"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// callOnce runs one durable call and returns its reply.
func (s *Store) callOnce(ctx context.Context, c redistopology.Call) (reply string, err error) {
	c.Durable = true
	calls := []redistopology.Call{c}
	if err := s.callAll(ctx, calls); err != nil {
		return "", err
	}
	return calls[0].Text(), calls[0].Err
}

// callAll runs calls within [timeout], since the deadline of an owner's request is too long for
// one round trip. Each call has its own error. If callAll returns an error it ran no call.
func (s *Store) callAll(ctx context.Context, calls []redistopology.Call) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return tally.Unavailable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.topology.Call(ctx, calls)
	return nil
}
