package admin

import (
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// prune answers POST /admin/v1/prune.
func (q *request) prune() error {
	var said struct {
		Site           string    `json:"site"`
		Metric         string    `json:"metric"`
		Prefix         string    `json:"prefix"`
		UntouchedSince time.Time `json:"untouched_since"`
		Preview        bool      `json:"preview"`
	}
	if err := q.decode(&said); err != nil {
		return err
	}
	scope, err := q.s.scope(said.Site, said.Metric, said.Prefix)
	switch {
	case err != nil:
		return err
	case scope.Site == "":
		return tally.Errorf(tally.CodeBadBody, "say what is pruned: name a site at least")
	case said.UntouchedSince.IsZero():
		return tally.Errorf(tally.CodeBadBody, "say since when nobody touched it: untouched_since is a time such as 2026-11-22T10:00:00Z")
	}
	pruned, err := q.s.owner.Prune(q.carriedThrough(), q.actor(), scope, said.UntouchedSince, said.Preview)
	if err != nil {
		return err
	}
	q.answer(struct {
		Topics []state `json:"topics"`
	}{statesOf(pruned)})
	return nil
}
