package redisstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// Settings implements [tally.Ledger].
func (s *Store) Settings(ctx context.Context) (map[string]string, error) {
	entries := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.register())
	if err := s.ask(ctx, s.names.register(), entries); err != nil {
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
	c := newCall(registerScript, true, s.names.register())
	c.args = append(c.args, len(entries))
	for _, pairs := range []map[string]string{entries, expected} {
		for name, value := range pairs {
			c.args = append(c.args, name, value)
		}
	}
	reply, err := s.carryOut(ctx, c)
	if err != nil {
		return false, tally.Unavailable(fmt.Errorf("set entries of the register: %w", err))
	}
	return reply == "1", nil
}

// SwapMark implements [tally.Ledger].
func (s *Store) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	c := newCall(markScript, true, s.names.count(topic))
	c.args = append(c.args, from, to)
	reply, err := s.carryOut(ctx, c)
	if err != nil {
		return "", tally.Unavailable(fmt.Errorf("mark %s: %w", topic, err))
	}
	return strings.TrimPrefix(reply, "="), nil
}

// ask runs commands about one key at the node that holds it.
func (s *Store) ask(ctx context.Context, key string, commands ...redis.Cmder) error {
	if err := s.usable(); err != nil {
		return err
	}
	requests := []request{{key: key, commands: commands}}
	s.sendWithin(ctx, requests)
	return requests[0].err()
}

// sendWithin sends requests, of which each command has its own error, within
// [patience].
func (s *Store) sendWithin(ctx context.Context, requests []request) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.send(ctx, requests, nil)
}

// carryOut runs one call that is acknowledged as likes are, and returns its reply.
func (s *Store) carryOut(ctx context.Context, c call) (reply string, err error) {
	c.durable = true
	calls := []call{c}
	if err := s.carryOutAll(ctx, calls); err != nil {
		return "", err
	}
	return replyText(calls[0].reply), calls[0].err
}

// carryOutAll runs calls, of which each has its own error, within [patience]: what
// is done for an owner has no deadline of its own that would suit one round trip. Where
// it returns an error none was run.
func (s *Store) carryOutAll(ctx context.Context, calls []call) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return tally.Unavailable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.run(ctx, calls)
	return nil
}

// day is what journals and activity are divided by.
const day = 24 * time.Hour

// dayOf returns the day of a time in microseconds since the Unix epoch.
func dayOf(micros int64) int64 { return micros / day.Microseconds() }
