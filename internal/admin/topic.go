package admin

import (
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// State is the state of a topic in a response.
type State struct {
	Topic      string        `json:"topic"`
	Count      int64         `json:"count"`
	Options    tally.Options `json:"options,omitempty"`
	Version    int64         `json:"version"`
	Seed       tally.Numbers `json:"seed"`
	Adjustment tally.Numbers `json:"adjustment"`
	Changed    time.Time     `json:"changed,omitzero"` // in seconds; zero if the topic does not exist
}

func stateOf(s tally.State) State {
	shown := State{Topic: s.Topic.String(), Count: s.Count, Options: s.Options, Version: s.Version, Seed: s.Seeds(), Adjustment: s.Adjustments()}
	if s.Version > 0 {
		shown.Changed = time.UnixMicro(s.Version).UTC().Truncate(time.Second)
	}
	return shown
}

func statesOf(states []tally.State) []State {
	shown := make([]State, len(states))
	for i, s := range states {
		shown[i] = stateOf(s)
	}
	return shown
}

// Edited is the effect of an edit in a response.
type Edited struct {
	Before  State `json:"before"`
	After   State `json:"after"`
	Changed bool  `json:"changed"`
}

func editedOf(e tally.Edit) Edited {
	e.Before.Topic, e.After.Topic = e.Topic, e.Topic
	return Edited{stateOf(e.Before), stateOf(e.After), e.Changed}
}

// ItemError is the error of one item of a response.
type ItemError struct {
	Code    tally.Code `json:"code"`
	Message string     `json:"message"`
}

func (e *ItemError) Error() string { return e.Message }

func itemErrorOf(err error) *ItemError {
	e := tally.AsError(err)
	return &ItemError{e.Code, e.Message}
}

var orders = map[string]tally.Order{"": tally.ByTopic, "topic": tally.ByTopic, "newest": tally.ByNewest, "count": tally.ByCount}

// listTopics answers GET /admin/v1/topics.
func (q *request) listTopics() (any, error) {
	values, scope, err := q.scopeQuery("order", "limit", "after")
	if err != nil {
		return nil, err
	}
	limit, err := parseLimit(values)
	if err != nil {
		return nil, err
	}
	order, ok := orders[values.Get("order")]
	if !ok {
		return nil, tally.Errorf(tally.CodeBadBody, "order must be topic, newest or count")
	}
	page, err := q.owner.Store().List(q.r.Context(), tally.Listing{Scope: scope, Order: order, Limit: limit, After: values.Get("after")})
	return struct {
		Topics []State `json:"topics"`
		Next   string  `json:"next"`
	}{statesOf(page.States), page.Next}, err
}

// topic returns the topic in the path.
// Errors: bad_topic, unknown_site, unknown_metric.
func (q *request) topic() (tally.Topic, error) {
	topic, err := tally.NewTopic(q.r.PathValue("site"), q.r.PathValue("metric"), q.r.PathValue("key"))
	if err != nil {
		return tally.Topic{}, err
	}
	return topic, q.owner.Catalog().Validate(topic.Site(), topic.Metric())
}

// showTopic answers GET /admin/v1/topics/{site}/{metric}/{key}.
func (q *request) showTopic() (any, error) {
	topic, err := q.topic()
	if err != nil {
		return nil, err
	}
	found, err := q.owner.Get(q.r.Context(), topic)
	return stateOf(found), err
}

type changeBody struct {
	Count      *tally.Numbers `json:"count"`
	Seed       *tally.Numbers `json:"seed"`
	Adjustment *tally.Numbers `json:"adjustment"`
	Base       *tally.Numbers `json:"base"`
	IfVersion  int64          `json:"if_version"`
}

// edit returns the edit of a topic. Errors: bad_body.
func (b changeBody) edit(topic tally.Topic) (tally.Edit, error) {
	edit := tally.Edit{Topic: topic, IfVersion: b.IfVersion}
	for kind, value := range map[tally.EditKind]*tally.Numbers{
		tally.EditCount: b.Count, tally.EditSeed: b.Seed, tally.EditAdjustment: b.Adjustment, tally.EditBase: b.Base,
	} {
		switch {
		case value == nil:
		case edit.Kind != 0:
			return edit, tally.Errorf(tally.CodeBadBody, "set only one of count, seed, adjustment and base")
		default:
			edit.Kind = kind
			edit.SetNumbers(*value)
		}
	}
	if edit.Kind == 0 {
		return edit, tally.Errorf(tally.CodeBadBody, `the body must set one of count, seed, adjustment and base: {"count":N}, or {"count":[N,…]} with a number for each option`)
	}
	return edit, nil
}

// changeTopic answers PATCH /admin/v1/topics/{site}/{metric}/{key}.
func (q *request) changeTopic(body changeBody) (any, error) {
	topic, err := q.topic()
	if err != nil {
		return nil, err
	}
	edit, err := body.edit(topic)
	if err != nil {
		return nil, err
	}
	return q.edit(edit)
}

type changesBody struct {
	Topics []struct {
		Topic string `json:"topic"`
		changeBody
	} `json:"topics"`
}

// changeTopics answers PATCH /admin/v1/topics. An invalid change has its own error and does not
// stop the others.
func (q *request) changeTopics(body changesBody) (any, error) {
	if err := tally.CheckTopicCount(len(body.Topics)); err != nil {
		return nil, err
	}
	names, edits := make([]string, len(body.Topics)), make([]tally.Edit, len(body.Topics))
	for i, each := range body.Topics {
		names[i] = each.Topic
		topic, err := q.owner.Catalog().Resolve(each.Topic)
		if err == nil {
			edits[i], err = each.edit(topic)
		}
		edits[i].Err = err
	}
	if err := q.editEach(edits, false); err != nil {
		return nil, err
	}
	return editedTopics(names, edits), nil
}

// editEach carries out the edits that have no error yet and are valid, or previews them. It returns an
// error only if it carried out none; otherwise each failed edit has its own error.
func (q *request) editEach(edits []tally.Edit, preview bool) error {
	var indexes []int
	var valid []tally.Edit
	for i := range edits {
		e := &edits[i]
		if e.Err == nil {
			e.Err = e.Validate(q.owner.Catalog().Rule(e.Topic))
		}
		if e.Err == nil {
			indexes, valid = append(indexes, i), append(valid, *e)
		}
	}
	var err error
	if preview {
		for i := range valid {
			before, err := q.owner.Get(q.r.Context(), valid[i].Topic)
			if err != nil {
				return err
			}
			valid[i].Preview(before)
		}
	} else if len(valid) > 0 {
		err = q.owner.Edit(q.detached(), q.actor(), valid)
	}
	for j, i := range indexes {
		edits[i] = valid[j]
		if edits[i].Err == nil {
			err = nil
		}
	}
	return err
}

// editedTopics returns the effects of the edits of topics with these names.
func editedTopics(names []string, edits []tally.Edit) any {
	type item struct {
		Topic string `json:"topic"`
		*Edited
		Error *ItemError `json:"error,omitempty"`
	}
	items := make([]item, len(edits))
	for i, e := range edits {
		items[i].Topic = names[i]
		if e.Err != nil {
			items[i].Error = itemErrorOf(e.Err)
			continue
		}
		edited := editedOf(e)
		items[i].Topic, items[i].Edited = e.Topic.String(), &edited
	}
	return map[string]any{"topics": items}
}

// deleteTopic answers DELETE /admin/v1/topics/{site}/{metric}/{key}.
func (q *request) deleteTopic() (any, error) {
	topic, err := q.topic()
	if err != nil {
		return nil, err
	}
	return q.edit(tally.Edit{Topic: topic, Kind: tally.EditDelete})
}

// edit carries out one edit and returns what it changed.
func (q *request) edit(edit tally.Edit) (any, error) {
	edits := []tally.Edit{edit}
	err := q.owner.Edit(q.detached(), q.actor(), edits)
	return editedOf(edits[0]), err
}

type resetBody struct {
	Topics []string `json:"topics"`
}

// reset answers POST /admin/v1/reset.
func (q *request) reset(body resetBody) (any, error) {
	if len(body.Topics) == 0 {
		return nil, tally.Errorf(tally.CodeBadBody, `the body must name topics: {"topics":["site/metric/key"]}`)
	}
	topics, err := q.resolve(body.Topics)
	if err != nil {
		return nil, err
	}
	edits := make([]tally.Edit, len(topics))
	for i, topic := range topics {
		edits[i] = tally.Edit{Topic: topic, Kind: tally.EditReset}
	}
	err = q.owner.Edit(q.detached(), q.actor(), edits)
	if slices.ContainsFunc(edits, func(e tally.Edit) bool { return e.Err == nil && e.Changed }) {
		err = nil // each topic has its own error
	}
	return editedTopics(body.Topics, edits), err
}
