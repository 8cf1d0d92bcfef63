package owner

import (
	"context"
	"slices"
	"sync"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxPendingAudit bounds the pending entries and their memory. Further entries are in the log of
// the process only.
const maxPendingAudit = 1000

// pendingAudit holds audit entries that the store did not accept yet.
type pendingAudit struct {
	writing sync.Mutex // held while entries are written, so that each is written once

	mu      sync.Mutex
	entries []tally.AuditEntry // oldest first; guarded by mu
}

// Audit writes an action that was carried out to the audit log, with the current time. If the store
// does not accept the entry, Audit logs it, and it stays pending until [Service.Run] or a later
// Audit writes it. Errors: [tally.CodeStoreUnavailable] if it is pending.
func (s *Service) Audit(ctx context.Context, entry tally.AuditEntry) error {
	entry.At = s.now()
	err := s.writePendingAudit(ctx) // first, to keep the order
	if err == nil {
		err = s.store.AppendAudit(ctx, entry)
	}
	if err != nil {
		s.queueAudit(entry, err)
	}
	return err
}

// auditBegin writes an action to the audit log before it is carried out. If auditBegin fails, the
// caller does not carry it out.
func (s *Service) auditBegin(ctx context.Context, entry tally.AuditEntry) error {
	entry.At = s.now()
	return s.store.AppendAudit(ctx, entry)
}

// auditEnd writes the end of an action to the audit log, if err is nil or the action ended early
// because its client disconnected. It returns err, or the error of the audit log.
func (s *Service) auditEnd(ctx context.Context, entry tally.AuditEntry, err error) error {
	switch {
	case err == nil:
		return s.Audit(context.WithoutCancel(ctx), entry)
	case ctx.Err() != nil:
		entry.Detail += " until the client disconnected; repeat it to finish"
		_ = s.Audit(context.WithoutCancel(ctx), entry) // an entry that is not accepted stays pending
	}
	return err
}

func (s *Service) queueAudit(e tally.AuditEntry, cause error) {
	p := s.pendingAudit
	p.mu.Lock()
	isPending := len(p.entries) < maxPendingAudit
	if isPending {
		p.entries = append(p.entries, e)
	}
	p.mu.Unlock()
	notify(s.settingsChanged) // followSettings writes pending entries
	s.log.Warn("cannot write to the audit log", "error", cause, "pending", isPending,
		"at", e.At, "actor", e.Actor, "action", e.Action, "target", e.Target, "detail", e.Detail)
}

// writePendingAudit writes the pending entries in their order until one fails.
func (s *Service) writePendingAudit(ctx context.Context) error {
	p := s.pendingAudit
	p.writing.Lock()
	defer p.writing.Unlock()
	for {
		p.mu.Lock()
		if len(p.entries) == 0 {
			p.mu.Unlock()
			return nil
		}
		entry := p.entries[0]
		p.mu.Unlock()
		if err := s.root.store.AppendAudit(ctx, entry); err != nil { // entries may be of any site
			return err
		}
		p.mu.Lock()
		p.entries = slices.Delete(p.entries, 0, 1)
		p.mu.Unlock()
	}
}

// AuditLog returns at most limit entries of the audit log, the newest first, that are older
// than the cursor before. next is the cursor for the entries that precede them. A Service
// within some sites returns the entries that concern no other site; it may return fewer than
// limit although older ones exist. Errors: [tally.CodeStoreUnavailable].
func (s *Service) AuditLog(ctx context.Context, before string, limit int) (entries []tally.AuditEntry, next string, err error) {
	entries, next, err = s.store.AuditLog(ctx, before, limit)
	for i := range entries {
		entries[i].At = entries[i].At.UTC()
	}
	return entries, next, err
}
