package owner

import (
	"context"
	"slices"
	"sync"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxOwed bounds the entries that wait for a store that did not take them, and with
// them memory. What is beyond it stands in the process's log alone.
const maxOwed = 1000

// pendingAudit are entries of the audit log on things that were done, and that the store did
// not take when they were.
type pendingAudit struct {
	paying sync.Mutex // held while they are written: each is once

	mu      sync.Mutex
	entries []tally.AuditEntry // in the order in which they were due
}

// Audit writes to the audit log what was done. What the store does not take it takes
// later, while [Desk.Run] runs or when the next is written, and the process's log has
// it meanwhile. Errors: [tally.CodeStoreUnavailable], where it is owed.
func (d *Service) Audit(ctx context.Context, actor, action, target, detail string) error {
	entry := d.entry(actor, action, target, detail)
	err := d.writePendingAudit(ctx) // in the order in which things were done
	if err == nil {
		err = d.store.AppendAudit(ctx, entry)
	}
	if err != nil {
		d.queueAudit(entry, err)
	}
	return err
}

// announce writes to the audit log what is about to be done, which is not done where
// the log does not take it.
func (d *Service) announce(ctx context.Context, actor, action, target, detail string) error {
	return d.store.AppendAudit(ctx, d.entry(actor, action, target, detail))
}

func (d *Service) entry(actor, action, target, detail string) tally.AuditEntry {
	return tally.AuditEntry{At: d.now(), Actor: actor, Action: action, Target: target, Detail: detail}
}

func (d *Service) queueAudit(e tally.AuditEntry, why error) {
	d.pendingAudit.mu.Lock()
	kept := len(d.pendingAudit.entries) < maxOwed
	if kept {
		d.pendingAudit.entries = append(d.pendingAudit.entries, e)
	}
	d.pendingAudit.mu.Unlock()
	d.log.Warn("the audit log does not take an entry", "error", why, "kept for later", kept,
		"at", e.At, "actor", e.Actor, "action", e.Action, "target", e.Target, "detail", e.Detail)
}

// writePendingAudit writes what is owed, the first first, and ends with the first that is not
// taken.
func (d *Service) writePendingAudit(ctx context.Context) error {
	d.pendingAudit.paying.Lock()
	defer d.pendingAudit.paying.Unlock()
	for {
		d.pendingAudit.mu.Lock()
		if len(d.pendingAudit.entries) == 0 {
			d.pendingAudit.mu.Unlock()
			return nil
		}
		entry := d.pendingAudit.entries[0]
		d.pendingAudit.mu.Unlock()
		if err := d.store.AppendAudit(ctx, entry); err != nil {
			return err
		}
		d.pendingAudit.mu.Lock()
		d.pendingAudit.entries = slices.Delete(d.pendingAudit.entries, 0, 1)
		d.pendingAudit.mu.Unlock()
	}
}

// AuditLog returns entries of the audit log, the newest first, and what to pass as
// before for those that precede them. Errors: [tally.CodeStoreUnavailable].
func (d *Service) AuditLog(ctx context.Context, before string, limit int) (entries []tally.AuditEntry, next string, err error) {
	return d.store.AuditLog(ctx, before, limit)
}
