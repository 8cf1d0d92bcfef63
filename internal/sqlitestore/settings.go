package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Settings implements [tally.SettingsReader]; the table also holds the marks of topics.
func (r *Reader) Settings(ctx context.Context, names ...string) (entries map[string]string, err error) {
	entries = map[string]string{}
	query, args := `SELECT name, value FROM register WHERE name NOT GLOB '`+markPrefix+`*'`, []any(nil)
	if len(names) > 0 {
		asked, _ := json.Marshal(names) // strings cannot fail
		query, args = `SELECT name, register.value FROM json_each(?) AS asked CROSS JOIN register ON name = asked.value`, []any{string(asked)}
	}
	err = r.reading(ctx, "the settings", func() error {
		return eachRow(ctx, r.db, query, args, func(rows *sql.Rows) error {
			var name, value string
			err := rows.Scan(&name, &value)
			entries[name] = value
			return err
		})
	})
	return entries, err
}

func (w *writer) setSetting(name, value string) error {
	if value == "" {
		return w.exec(`DELETE FROM register WHERE name = ?`, name)
	}
	return w.exec(`INSERT INTO register (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
}

// SwapSettings implements [tally.SettingsStore].
func (s *Store) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	expected, entries = maps.Clone(expected), maps.Clone(entries)
	result := make(chan bool, 1)
	err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
		swapped, err := w.swapSettings(expected, entries)
		result <- swapped
		return nil, err
	})
	return err == nil && <-result, err
}

func (w *writer) swapSettings(expected, entries map[string]string) (swapped bool, err error) {
	done, err := w.haveValues(entries)
	if err != nil || done {
		return done, err
	}
	if matches, err := w.haveValues(expected); err != nil || !matches {
		return false, err
	}
	for name, value := range entries {
		if err := w.setSetting(name, value); err != nil {
			return false, err
		}
	}
	return true, nil
}

// haveValues reports whether all settings have these values.
func (w *writer) haveValues(entries map[string]string) (bool, error) {
	for name, value := range entries {
		if stored, err := w.setting(name); err != nil || stored != value {
			return false, err
		}
	}
	return true, nil
}

// setting returns the value of a setting, empty if it is not set.
func (w *writer) setting(name string) (value string, err error) {
	_, err = w.get(`SELECT value FROM register WHERE name = ?`, []any{name}, &value)
	return value, err
}

// markPrefix begins the names of marks in the table of settings.
const markPrefix = "mark "

// SwapMark implements [tally.MarkStore].
func (s *Store) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	result := make(chan string, 1)
	err := s.update(ctx, func(w *writer) ([]tally.Change, error) {
		name := markPrefix + topic.String()
		current, err := w.setting(name)
		if err == nil && current == from && from != to {
			current, err = to, w.setSetting(name, to)
		}
		result <- current
		return nil, err
	})
	if err != nil {
		return "", err
	}
	return <-result, nil
}

// AppendAudit stores the times of the entries to the microsecond.
func (s *Store) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	entries = slices.Clone(entries)
	return s.update(ctx, func(w *writer) ([]tally.Change, error) {
		for _, e := range entries {
			if err := w.exec(`INSERT INTO audit (at, actor, action, target, detail, sites) VALUES (?, ?, ?, ?, ?, ?)`,
				e.At.UnixMicro(), e.Actor, e.Action, e.Target, e.Detail, e.Sites); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// AuditLog implements [tally.Ledger]; a cursor is the id of an entry.
func (r *Reader) AuditLog(ctx context.Context, before string, limit int) (entries []tally.AuditEntry, next string, err error) {
	first := int64(1<<63 - 1)
	if before != "" {
		if first, err = strconv.ParseInt(before, 10, 64); err != nil {
			return nil, "", tally.Errorf(tally.CodeBadBody, "%q is not a cursor of the audit log", before)
		}
	}
	if limit <= 0 || limit > tally.MaxPortion {
		limit = tally.MaxPortion
	}
	err = r.reading(ctx, "the audit log", func() error {
		return eachRow(ctx, r.db, `SELECT id, at, actor, action, target, detail, sites FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?`,
			[]any{first, limit + 1}, func(rows *sql.Rows) error {
				var id, at int64
				var entry tally.AuditEntry
				err := rows.Scan(&id, &at, &entry.Actor, &entry.Action, &entry.Target, &entry.Detail, &entry.Sites)
				entry.At, entry.Position = time.UnixMicro(at), strconv.FormatInt(id, 10)
				entries = append(entries, entry)
				return err
			})
	})
	if err != nil {
		return nil, "", err
	}
	if len(entries) > limit {
		entries, next = entries[:limit], entries[limit-1].Position
	}
	return entries, next, nil
}
