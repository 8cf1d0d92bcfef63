package admin

import "time"

type pruneBody struct {
	scopeNames
	UntouchedSince time.Time `json:"untouched_since"`
	Preview        bool      `json:"preview"`
}

// prune answers POST /admin/v1/prune.
func (q *request) prune(body pruneBody) (any, error) {
	scope, err := q.scope(body.scopeNames)
	if err != nil {
		return nil, err
	}
	pruned, err := q.owner.Prune(q.r.Context(), q.actor(), scope, body.UntouchedSince, body.Preview)
	return map[string]any{"topics": statesOf(pruned)}, err
}
