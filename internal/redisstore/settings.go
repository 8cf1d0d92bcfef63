package redisstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Settings implements [tally.Ledger].
func (s *Store) Settings(ctx context.Context) (map[string]string, error) {
	entries := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.settings())
	if err := s.ask(ctx, s.names.settings(), entries); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the register: %w", err))
	}
	return entries.Val(), nil
}

// SetSetting implements [tally.Ledger].
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	_, err := s.SwapSettings(ctx, nil, map[string]string{name: value})
	return err
}

// SwapSettings implements [tally.Ledger].
func (s *Store) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	c := redistopology.NewCall(settingsScript, s.names.settings())
	c.Append(len(entries))
	for _, pairs := range []map[string]string{entries, expected} {
		for name, value := range pairs {
			c.Append(name, value)
		}
	}
	reply, err := s.callOnce(ctx, c)
	if err != nil {
		return false, tally.Unavailable(fmt.Errorf("set entries of the register: %w", err))
	}
	return reply == "1", nil
}

// SwapMark implements [tally.Ledger].
func (s *Store) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	c := redistopology.NewCall(markScript, s.names.count(topic))
	c.Append(from, to)
	reply, err := s.callOnce(ctx, c)
	if err != nil {
		return "", tally.Unavailable(fmt.Errorf("mark %s: %w", topic, err))
	}
	return strings.TrimPrefix(reply, "="), nil
}

// ask runs commands about one key at the node that holds it.
func (s *Store) ask(ctx context.Context, key string, commands ...redis.Cmder) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.do(ctx, key, commands...)
}

// do is ask for a store that is not usable yet; it returns by ctx's deadline.
func (s *Store) do(ctx context.Context, key string, commands ...redis.Cmder) error {
	requests := []redistopology.Request{{Key: key, Commands: commands}}
	s.topology.Send(ctx, requests)
	return requests[0].Err()
}

// sendBounded sends requests, of which each command has its own error, within
// [timeout].
func (s *Store) sendBounded(ctx context.Context, requests []redistopology.Request) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.topology.Send(ctx, requests)
}

// callOnce runs one call that is acknowledged as likes are, and returns its reply.
func (s *Store) callOnce(ctx context.Context, c redistopology.Call) (reply string, err error) {
	c.Durable = true
	calls := []redistopology.Call{c}
	if err := s.callAll(ctx, calls); err != nil {
		return "", err
	}
	return calls[0].Text(), calls[0].Err
}

// callAll runs calls, of which each has its own error, within [timeout]: what
// is done for an owner has no deadline of its own that would suit one round trip. Where
// it returns an error none was run.
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
