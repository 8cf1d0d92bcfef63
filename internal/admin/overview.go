package admin

import "time"

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
	type item struct {
		At     time.Time `json:"at"`
		Actor  string    `json:"actor"`
		Action string    `json:"action"`
		Target string    `json:"target"`
		Detail string    `json:"detail"`
	}
	items := make([]item, len(entries))
	for i, e := range entries {
		items[i] = item{e.At.UTC(), e.Actor, e.Action, e.Target, e.Detail}
	}
	q.respond(struct {
		Entries []item `json:"entries"`
		Next    string `json:"next"`
	}{items, next})
	return nil
}
