package admin

import "github.com/tallycast/tallycast/internal/tally"

// overview answers GET /admin/v1/overview.
func (q *request) overview() (any, error) { return q.owner.Overview(q.r.Context()), nil }

// listAudit answers GET /admin/v1/audit.
func (q *request) listAudit() (any, error) {
	values, err := q.query("before", "limit")
	if err != nil {
		return nil, err
	}
	limit, err := parseLimit(values)
	if err != nil {
		return nil, err
	}
	entries, next, err := q.owner.AuditLog(q.r.Context(), values.Get("before"), limit)
	return map[string]any{"entries": append([]tally.AuditEntry{}, entries...), "next": next}, err
}
