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
	results := make([]SeedResult, len(body.Seeds))
	var edits []tally.Edit
	var ofEdits []*SeedResult // of each edit
	for i, each := range body.Seeds {
		result := &results[i]
		result.Topic, result.Seed = each.Topic, each.Seed
		edit := tally.Edit{Kind: tally.EditSeed}
		edit.SetNumbers(each.Seed)
		var err error
		if edit.Topic, err = q.owner.Catalog().Resolve(each.Topic); err == nil {
			err = edit.Validate(q.owner.Catalog().Rule(edit.Topic))
		}
		if err != nil {
			result.Error = itemErrorOf(err)
			continue
		}
		result.Topic = edit.Topic.String()
		isListed, isKnown := q.s.keys.Contains(edit.Topic)
		result.Unlisted = isKnown && !isListed
		edits, ofEdits = append(edits, edit), append(ofEdits, result)
	}
	if err := q.editSeeds(edits, body.Preview); err != nil {
		return nil, err
	}
	for i, e := range edits {
		if e.Err != nil {
			ofEdits[i].Error = itemErrorOf(e.Err)
			continue
		}
		ofEdits[i].Before, ofEdits[i].Changed = e.Before.Seeds(), e.Changed
	}
	return map[string]any{"seeds": results}, nil
}

// editSeeds carries out the edits, or previews them. It returns an error only if all of them failed;
// otherwise each failed edit has its own error.
func (q *request) editSeeds(edits []tally.Edit, preview bool) error {
	if preview {
		for i := range edits {
			before, err := q.owner.Get(q.r.Context(), edits[i].Topic)
			if err != nil {
				return err
			}
			edits[i].Preview(before)
		}
		return nil
	}
	if len(edits) == 0 {
		return nil
	}
	err := q.owner.Edit(q.detached(), q.actor(), edits)
	for _, e := range edits {
		if e.Err == nil {
			return nil
		}
	}
	return err
}
