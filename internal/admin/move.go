package admin

import "github.com/tallycast/tallycast/internal/tally"

// moved is the topic that others became, as it is pushed.
type moved struct {
	Topic   string `json:"topic"`
	Count   int64  `json:"count"`
	Version int64  `json:"version"`
}

func movedOf(c tally.Change) moved { return moved{c.Topic.String(), c.Count, c.Version} }

// rename answers POST /admin/v1/rename.
func (q *request) rename() error {
	var said struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	if err := q.decode(&said); err != nil {
		return err
	}
	topics, err := q.s.resolve([]string{said.From, said.To})
	if err != nil {
		return err
	}
	change, err := q.s.owner.Rename(q.carriedThrough(), q.actor(), topics[0], topics[1])
	if err != nil {
		return err
	}
	q.answer(movedOf(change))
	return nil
}

// merge answers POST /admin/v1/merge.
func (q *request) merge() error {
	var said struct {
		From []string `json:"from"`
		To   string   `json:"to"`
	}
	if err := q.decode(&said); err != nil {
		return err
	}
	if len(said.From) == 0 {
		return tally.Errorf(tally.CodeBadBody, `the body names what is merged: {"from":["site/metric/key"],"to":"site/metric/key"}`)
	}
	from, err := q.s.resolve(said.From)
	if err != nil {
		return err
	}
	to, err := q.s.resolve([]string{said.To})
	if err != nil {
		return err
	}
	change, err := q.s.owner.Merge(q.carriedThrough(), q.actor(), from, to[0])
	if err != nil {
		return err
	}
	q.answer(movedOf(change))
	return nil
}
