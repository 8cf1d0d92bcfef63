package admin

import "github.com/tallycast/tallycast/internal/tally"

// overview answers GET /admin/v1/overview.
func (q *request) overview() error {
	q.respond(q.s.owner.Overview(q.r.Context()))
	return nil
}

// listAudit answers GET /admin/v1/audit.
func (q *request) listAudit() error {
	values, err := q.query("before", "limit")
	if err != nil {
		return err
	}
	limit, err := parseLimit(values)
	if err != nil {
		return err
	}
	entries, next, err := q.s.owner.AuditLog(q.r.Context(), values.Get("before"), limit)
	if err != nil {
		return err
	}
	q.respond(struct {
		Entries []tally.AuditEntry `json:"entries"`
		Next    string             `json:"next"`
	}{append([]tally.AuditEntry{}, entries...), next})
	return nil
}
