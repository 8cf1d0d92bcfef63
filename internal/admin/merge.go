package admin

import (
	"encoding/json"

	"github.com/tallycast/tallycast/internal/tally"
)

type renameBody struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// rename answers POST /admin/v1/rename.
func (q *request) rename(body renameBody) (any, error) {
	topics, err := q.resolve([]string{body.From, body.To})
	if err != nil {
		return nil, err
	}
	change, err := q.owner.Rename(q.detached(), q.actor(), topics[0], topics[1])
	return json.RawMessage(tally.AppendFrame(nil, change)), err
}

type mergeBody struct {
	From []string `json:"from"`
	To   string   `json:"to"`
}

// merge answers POST /admin/v1/merge.
func (q *request) merge(body mergeBody) (any, error) {
	from, err := q.resolve(body.From)
	if err != nil {
		return nil, err
	}
	to, err := q.resolve([]string{body.To})
	if err != nil {
		return nil, err
	}
	change, err := q.owner.Merge(q.detached(), q.actor(), from, to[0])
	return json.RawMessage(tally.AppendFrame(nil, change)), err
}
