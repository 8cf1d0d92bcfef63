package sqlitestore

import (
	"context"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Register returns all entries.
func (r *Reader) Register(ctx context.Context) (entries map[string]string, err error) {
	entries = map[string]string{}
	err = r.reading(ctx, "the register", func() error {
		rows, err := r.owners.QueryContext(ctx, `SELECT name, value FROM register`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				return err
			}
			entries[name] = value
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// SetRegister sets or removes one entry.
func (s *Store) SetRegister(ctx context.Context, name, value string) error {
	return s.update(ctx, func(w *writer) ([]tally.Change, error) {
		if value == "" {
			return nil, w.exec(`DELETE FROM register WHERE name = ?`, name)
		}
		return nil, w.exec(`INSERT INTO register (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
	})
}

// Audit appends an entry; its time is kept to the microsecond.
func (s *Store) Audit(ctx context.Context, entry tally.AuditEntry) error {
	return s.update(ctx, func(w *writer) ([]tally.Change, error) {
		return nil, w.exec(`INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?)`,
			entry.At.UnixMicro(), entry.Actor, entry.Action, entry.Target, entry.Detail)
	})
}

// AuditLog returns entries in the reverse order of their coming.
func (r *Reader) AuditLog(ctx context.Context, before string, limit int) (entries []tally.AuditEntry, next string, err error) {
	first := int64(1<<63 - 1)
	if before != "" {
		if first, err = strconv.ParseInt(before, 10, 64); err != nil {
			return nil, "", tally.Errorf(tally.CodeBadBody, "%q is not what the audit log gave as next", before)
		}
	}
	if limit <= 0 || limit > tally.MaxPortion {
		limit = tally.MaxPortion
	}
	var ids []int64
	err = r.reading(ctx, "the audit log", func() error {
		rows, err := r.owners.QueryContext(ctx,
			`SELECT id, at, actor, action, target, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?`, first, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, at int64
			var entry tally.AuditEntry
			if err := rows.Scan(&id, &at, &entry.Actor, &entry.Action, &entry.Target, &entry.Detail); err != nil {
				return err
			}
			entry.At = time.UnixMicro(at)
			ids, entries = append(ids, id), append(entries, entry)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, "", err
	}
	if len(entries) > limit {
		entries, next = entries[:limit], strconv.FormatInt(ids[limit-1], 10)
	}
	return entries, next, nil
}
