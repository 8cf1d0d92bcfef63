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

// Audit writes actions that were carried out to the audit log, with the current time. If the store
// does not accept an entry, Audit logs it, and it stays pending until [Service.Run] or a later
// Audit writes it. Errors: [tally.CodeStoreUnavailable] if entries are pending.
func (s *Service) Audit(ctx context.Context, entries ...tally.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	err := s.writePendingAudit(ctx) // first, to keep the order
	for batch := range slices.Chunk(entries, tally.MaxAuditBatch) {
		for i := range batch {
			batch[i].At = s.now()
		}
		if err == nil {
			err = s.store.AppendAudit(ctx, batch...)
		}
		if err != nil {
			s.queueAudit(batch, err)
		}
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

func (s *Service) queueAudit(entries []tally.AuditEntry, cause error) {
	p := s.pendingAudit
	p.mu.Lock()
	pending := min(len(entries), maxPendingAudit-len(p.entries))
	p.entries = append(p.entries, entries[:pending]...)
	p.mu.Unlock()
	notify(s.settingsChanged) // followSettings writes pending entries
	for i, e := range entries {
		s.log.Warn("cannot write to the audit log", "error", cause, "pending", i < pending,
			"at", e.At, "actor", e.Actor, "action", e.Action, "target", e.Target, "detail", e.Detail)
	}
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
		batch := slices.Clone(p.entries[:min(len(p.entries), tally.MaxAuditBatch)])
		p.mu.Unlock()
		if err := s.root.store.AppendAudit(ctx, batch...); err != nil { // entries may be of any site
			return err
		}
		p.mu.Lock()
		p.entries = slices.Delete(p.entries, 0, len(batch))
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
