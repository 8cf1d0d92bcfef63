package admin

import (
	"github.com/tallycast/tallycast/internal/tally"
)

// seeding is one topic's seed, as asked for and as answered.
type seeding struct {
	Topic   string `json:"topic"`
	Seed    int64  `json:"seed"`
	Before  int64  `json:"before"`
	Changed bool   `json:"changed"`
	// Unlisted says that the site has a site map, and that the key is not in it.
	Unlisted bool     `json:"unlisted,omitempty"`
	Error    *refusal `json:"error,omitempty"`
}

// seed answers POST /admin/v1/seeds. A topic that is refused is so in its place, and
// the others are seeded.
func (q *request) seed() error {
	var said struct {
		Seeds []struct {
			Topic string `json:"topic"`
			Seed  int64  `json:"seed"`
		} `json:"seeds"`
		Preview bool `json:"preview"`
	}
	if err := q.decode(&said); err != nil {
		return err
	}
	if len(said.Seeds) > maxTopics {
		return tooManyTopics(len(said.Seeds))
	}
	items := make([]seeding, len(said.Seeds))
	var edits []tally.Edit
	var of []int // which item each edit is of
	for i, each := range said.Seeds {
		items[i] = seeding{Topic: each.Topic, Seed: each.Seed}
		topic, err := q.seedable(each.Topic, each.Seed)
		if err != nil {
			items[i].Error = refusalOf(err)
			continue
		}
		items[i].Topic = topic.String()
		isListed, isKnown := q.s.keys.Contains(topic)
		items[i].Unlisted = isKnown && !isListed
		edits, of = append(edits, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: each.Seed}), append(of, i)
	}
	if err := q.carryOut(edits, said.Preview); err != nil {
		return err
	}
	for n, e := range edits {
		item := &items[of[n]]
		if e.Err != nil {
			item.Error = refusalOf(e.Err)
			continue
		}
		item.Before, item.Changed = e.Before.Seed, e.Changed
	}
	q.answer(struct {
		Seeds []seeding `json:"seeds"`
	}{items})
	return nil
}

// seedable reads a topic that may have that seed.
// Errors: bad_topic, unknown_site, unknown_metric, read_only_metric, bad_amount.
func (q *request) seedable(text string, seed int64) (tally.Topic, error) {
	topic, err := q.s.catalog.Resolve(text)
	if err == nil {
		err = q.s.catalog.CheckEditable(topic)
	}
	switch {
	case err != nil:
		return tally.Topic{}, err
	case seed < 0 || seed > tally.MaxValue:
		return tally.Topic{}, tally.Errorf(tally.CodeBadAmount, "a seed is a whole number from 0 to %d", int64(tally.MaxValue))
	}
	return topic, nil
}

// carryOut makes the edits, all of seeds, or with preview finds out what they would do.
// Its error is that of all; each may have its own.
func (q *request) carryOut(edits []tally.Edit, preview bool) error {
	if preview {
		for i := range edits {
			e := &edits[i]
			if e.Before, e.Err = q.s.owner.Get(q.r.Context(), e.Topic); e.Err != nil {
				return e.Err
			}
			e.Changed = e.Before.Version == 0 || e.Before.Seed != e.Value
		}
		return nil
	}
	if len(edits) == 0 {
		return nil
	}
	err := q.s.owner.Edit(q.carriedThrough(), q.actor(), edits)
	for _, e := range edits {
		if e.Err == nil {
			return nil // what failed says so in its place
		}
	}
	return err
}
