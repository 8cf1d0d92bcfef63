package redisstore

import (
	"context"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// call runs one call as [Store.callAll] does, and returns it with its reply or error.
func (s *Store) call(ctx context.Context, c redistopology.Call) redistopology.Call {
	calls := []redistopology.Call{c}
	if err := s.callAll(ctx, calls); err != nil {
		calls[0].Err = err
	}
	return calls[0]
}

// callAll runs calls within [Options.Timeout], since the deadline of an owner's request is too long for
// one round trip. Each call has its own error. If callAll returns an error it ran no call.
func (s *Store) callAll(ctx context.Context, calls []redistopology.Call) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return tally.Unavailable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	s.topology.Call(ctx, calls)
	return nil
}
