package admin

import "github.com/tallycast/tallycast/internal/tally"

// respondMoved responds with the topic that others became.
func (q *request) respondMoved(c tally.Change) {
	q.respond(struct {
		Topic   string `json:"topic"`
		Count   int64  `json:"count"`
		Version int64  `json:"version"`
	}{c.Topic.String(), c.Count, c.Version})
}

// rename answers POST /admin/v1/rename.
func (q *request) rename() error {
	var body struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	topics, err := q.s.resolve([]string{body.From, body.To})
	if err != nil {
		return err
	}
	change, err := q.s.owner.Rename(q.detached(), q.actor(), topics[0], topics[1])
	if err != nil {
		return err
	}
	q.respondMoved(change)
	return nil
}

// merge answers POST /admin/v1/merge.
func (q *request) merge() error {
	var body struct {
		From []string `json:"from"`
		To   string   `json:"to"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	from, err := q.s.resolve(body.From)
	if err != nil {
		return err
	}
	to, err := q.s.resolve([]string{body.To})
	if err != nil {
		return err
	}
	change, err := q.s.owner.Merge(q.detached(), q.actor(), from, to[0])
	if err != nil {
		return err
	}
	q.respondMoved(change)
	return nil
}
