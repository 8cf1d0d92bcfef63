package admin

import "github.com/tallycast/tallycast/internal/tally"

// SeedResult is the effect of one seed in the response to a call of seeds.
type SeedResult struct {
	Topic   string        `json:"topic"`
	Seed    tally.Numbers `json:"seed"`
	Before  tally.Numbers `json:"before"`
	Changed bool          `json:"changed"`
	// Unlisted is true if the site has a sitemap without the key.
	Unlisted bool       `json:"unlisted,omitempty"`
	Error    *ItemError `json:"error,omitempty"`
}

// SeedBody is the body of a call of seeds.
type SeedBody struct {
	Seeds   []SeedEdit `json:"seeds"`
	Preview bool       `json:"preview"` // changes nothing
}

// SeedEdit sets the seed of one topic.
type SeedEdit struct {
	Topic string        `json:"topic"`
	Seed  tally.Numbers `json:"seed"`
}

// seed answers POST /admin/v1/seeds. An invalid topic has its own error and does not stop
// the others.
func (q *request) seed(body SeedBody) (any, error) {
	if err := tally.CheckTopicCount(len(body.Seeds)); err != nil {
		return nil, err
	}
	edits := make([]tally.Edit, len(body.Seeds))
	for i, each := range body.Seeds {
		edits[i].Kind = tally.EditSeed
		edits[i].SetNumbers(each.Seed)
		edits[i].Topic, edits[i].Err = q.owner.Catalog().Resolve(each.Topic)
	}
	if err := q.editEach(edits, body.Preview); err != nil {
		return nil, err
	}
	results := make([]SeedResult, len(edits))
	for i, e := range edits {
		result := &results[i]
		result.Topic, result.Seed = body.Seeds[i].Topic, body.Seeds[i].Seed
		if e.Err != nil {
			result.Error = itemErrorOf(e.Err)
			continue
		}
		isListed, isKnown := q.s.keys.Contains(e.Topic)
		result.Unlisted = isKnown && !isListed
		result.Topic, result.Before, result.Changed = e.Topic.String(), e.Before.Seeds(), e.Changed
	}
	return map[string]any{"seeds": results}, nil
}
