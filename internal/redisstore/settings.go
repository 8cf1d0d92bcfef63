package redisstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Settings implements [tally.Ledger].
func (s *Store) Settings(ctx context.Context, names ...string) (entries map[string]string, err error) {
	if len(names) == 0 {
		entries, err = s.client.HGetAll(ctx, s.names.settings()).Result()
		delete(entries, revisionEntry)
	} else {
		var values []any
		values, err = s.client.HMGet(ctx, s.names.settings(), names...).Result()
		entries = map[string]string{}
		for i, value := range values {
			if text, ok := value.(string); ok {
				entries[names[i]] = text
			}
		}
	}
	if err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the settings: %w", err))
	}
	return entries, nil
}

// SwapSettings implements [tally.Ledger].
func (s *Store) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	c := s.call(ctx, swapCall(s.names.settings(), revisionEntry, expected, entries))
	if c.Err != nil {
		return false, tally.Unavailable(fmt.Errorf("change the settings: %w", c.Err))
	}
	return c.Text() == swapped, nil
}

// swapped is the reply of a [swapCall] after which the entries have their values.
const swapped = "1"

// swapCall returns a call that sets entries of the hash at key if others have the expected values.
// An empty value means no entry. The call also gives the entry named revision a new
// value, unless the name is empty.
func swapCall(key, revision string, expected, entries map[string]string) redistopology.Call {
	c := redistopology.NewCall(swapScript, key)
	c.Durable = true
	c.Append(revision, len(entries))
	for _, pairs := range []map[string]string{entries, expected} {
		for name, value := range pairs {
			c.Append(name, value)
		}
	}
	return c
}

// SwapMark implements [tally.Ledger].
func (s *Store) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	key := s.names.count(topic)
	c := s.call(ctx, swapCall(key, "", map[string]string{"e": from}, map[string]string{"e": to}))
	err := c.Err
	if err == nil && c.Text() != swapped {
		to, err = s.client.HGet(ctx, key, "e").Result()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", tally.Unavailable(fmt.Errorf("mark %s: %w", topic, err))
	}
	return to, nil
}

// AppendAudit implements [tally.Ledger].
func (s *Store) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	c := redistopology.NewCall(auditScript, s.names.audit())
	c.Durable = true
	c.Append(randomHex(8))
	for _, e := range entries {
		at := int64(0)
		if !e.At.IsZero() {
			at = e.At.UnixMicro()
		}
		c.Append(at, e.Actor, e.Action, e.Target, e.Detail, e.Sites)
	}
	if c = s.call(ctx, c); c.Err != nil {
		return tally.Unavailable(fmt.Errorf("append to the audit log: %w", c.Err))
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
	found, err := s.client.XRevRangeN(ctx, s.names.audit(), from, "-", int64(limit)+1).Result()
	if err != nil {
		return nil, "", tally.Unavailable(fmt.Errorf("read the audit log: %w", err))
	}
	next := ""
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
			Target: text("target"), Detail: text("detail"), Sites: text("sites"), Position: m.ID,
		}
	}
	return entries, next, nil
}
