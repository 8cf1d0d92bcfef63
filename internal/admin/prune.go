package admin

import "time"

// prune answers POST /admin/v1/prune.
func (q *request) prune() error {
	var body struct {
		Site           string    `json:"site"`
		Metric         string    `json:"metric"`
		Prefix         string    `json:"prefix"`
		UntouchedSince time.Time `json:"untouched_since"`
		Preview        bool      `json:"preview"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	scope, err := q.s.scope(body.Site, body.Metric, body.Prefix)
	if err != nil {
		return err
	}
	pruned, err := q.s.owner.Prune(q.detached(), q.actor(), scope, body.UntouchedSince, body.Preview)
	if err != nil {
		return err
	}
	q.respond(struct {
		Topics []state `json:"topics"`
	}{statesOf(pruned)})
	return nil
}
