package admin

import (
	"github.com/tallycast/tallycast/internal/tally"
)

// seedResult is one topic of the response to a seed call.
type seedResult struct {
	Topic   string        `json:"topic"`
	Seed    tally.Numbers `json:"seed"`
	Before  tally.Numbers `json:"before"`
	Changed bool          `json:"changed"`
	// Unlisted reports that the site has a sitemap that does not list the key.
	Unlisted bool       `json:"unlisted,omitempty"`
	Error    *itemError `json:"error,omitempty"`
}

type seedBody struct {
	Seeds []struct {
		Topic string        `json:"topic"`
		Seed  tally.Numbers `json:"seed"`
	} `json:"seeds"`
	Preview bool `json:"preview"`
}

// seed answers POST /admin/v1/seeds. An invalid topic has its own error and does not stop
// the others.
func (q *request) seed(body seedBody) (any, error) {
	if err := tally.CheckTopicCount(len(body.Seeds)); err != nil {
		return nil, err
	}
	results := make([]seedResult, len(body.Seeds))
	var edits []tally.Edit
	var indexes []int // in results, of each edit
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
		edits, indexes = append(edits, edit), append(indexes, i)
	}
	if err := q.editSeeds(edits, body.Preview); err != nil {
		return nil, err
	}
	for n, e := range edits {
		result := &results[indexes[n]]
		if e.Err != nil {
			result.Error = itemErrorOf(e.Err)
			continue
		}
		result.Before, result.Changed = e.Before.Seeds(), e.Changed
	}
	return struct {
		Seeds []seedResult `json:"seeds"`
	}{results}, nil
}

// editSeeds carries out the edits, or previews them. It returns an error only if all edits
// failed; otherwise each failed edit has its own error.
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
