package redisstore

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Settings implements [tally.Ledger].
func (s *Store) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	if len(names) > 0 {
		return s.settingsOf(ctx, names)
	}
	entries := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.settings())
	if err := s.ask(ctx, s.names.settings(), entries); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the settings: %w", err))
	}
	return entries.Val(), nil
}

func (s *Store) settingsOf(ctx context.Context, names []string) (map[string]string, error) {
	args := []any{"hmget", s.names.settings()}
	for _, name := range names {
		args = append(args, name)
	}
	values := redis.NewSliceCmd(ctx, args...)
	if err := s.ask(ctx, s.names.settings(), values); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read settings: %w", err))
	}
	entries := map[string]string{}
	for i, value := range values.Val() {
		if text, ok := value.(string); ok {
			entries[names[i]] = text
		}
	}
	return entries, nil
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
		return false, tally.Unavailable(fmt.Errorf("change the settings: %w", err))
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

// SeedMark returns the greatest number that [Store.SetSeedMark] stored, 0 if none. It falls
// only if Redis loses data.
func (s *Store) SeedMark(ctx context.Context) (int64, error) {
	mark := redis.NewFloatCmd(ctx, "zscore", s.names.seedMark(), seedMarkMember)
	if err := s.ask(ctx, s.names.seedMark(), mark); err != nil {
		return 0, tally.Unavailable(fmt.Errorf("read the seed mark: %w", err))
	}
	return int64(mark.Val()), nil
}

// SetSeedMark stores mark unless the stored one is greater.
func (s *Store) SetSeedMark(ctx context.Context, mark int64) error {
	set := redis.NewIntCmd(ctx, "zadd", s.names.seedMark(), "gt", mark, seedMarkMember)
	if err := s.ask(ctx, s.names.seedMark(), set); err != nil {
		return tally.Unavailable(fmt.Errorf("store the seed mark: %w", err))
	}
	return nil
}

// seedMarkMember is the only member of a sorted set: ZADD GT raises a number atomically.
const seedMarkMember = "mark"

// AppendAudit implements [tally.Ledger].
func (s *Store) AppendAudit(ctx context.Context, entry tally.AuditEntry) error {
	at := int64(0)
	if !entry.At.IsZero() {
		at = entry.At.UnixMicro()
	}
	c := redistopology.NewCall(auditScript, s.names.audit())
	c.Append(randomHex(8), at, entry.Actor, entry.Action, entry.Target, entry.Detail)
	if _, err := s.callOnce(ctx, c); err != nil {
		return tally.Unavailable(fmt.Errorf("append to the audit log: %w", err))
	}
	return nil
}

// streamID matches the ids of entries of a stream.
var streamID = regexp.MustCompile(`^\d{1,20}-\d{1,20}$`)

// AuditLog implements [tally.Ledger].
func (s *Store) AuditLog(ctx context.Context, before string, limit int) ([]tally.AuditEntry, string, error) {
	from := "+"
	if before != "" {
		if !streamID.MatchString(before) {
			return nil, "", tally.Errorf(tally.CodeBadBody, "%q is not the cursor of a page of the audit log", before)
		}
		from = "(" + before
	}
	if limit <= 0 {
		return nil, "", nil
	}
	limit = min(limit, tally.MaxPortion)
	messages := redis.NewXMessageSliceCmd(ctx, "xrevrange", s.names.audit(), from, "-", "count", limit+1)
	if err := s.ask(ctx, s.names.audit(), messages); err != nil {
		return nil, "", tally.Unavailable(fmt.Errorf("read the audit log: %w", err))
	}
	found, next := messages.Val(), ""
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	entries := make([]tally.AuditEntry, len(found))
	for i, m := range found {
		text := func(name string) string { value, _ := m.Values[name].(string); return value }
		at, _ := strconv.ParseInt(text("at"), 10, 64) // written by us
		entries[i] = tally.AuditEntry{
			At: time.UnixMicro(at).UTC(), Actor: text("actor"), Action: text("action"),
			Target: text("target"), Detail: text("detail"),
		}
	}
	return entries, next, nil
}
