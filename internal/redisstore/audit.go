package redisstore

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

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

// streamID is what Redis calls the entries of a stream.
var streamID = regexp.MustCompile(`^\d{1,20}-\d{1,20}$`)

// AuditLog implements [tally.Ledger].
func (s *Store) AuditLog(ctx context.Context, before string, limit int) ([]tally.AuditEntry, string, error) {
	from := "+"
	if before != "" {
		if !streamID.MatchString(before) {
			return nil, "", tally.Errorf(tally.CodeBadBody, "%q is not where a page of the audit log ended", before)
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
