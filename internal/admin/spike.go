package admin

import (
	"net/netip"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// defaultSince and maxSince are the default and the maximum of the period in which spikes are
// searched.
const (
	defaultSince = time.Hour
	maxSince     = 31 * 24 * time.Hour
)

// listSpikes answers GET /admin/v1/spikes.
func (q *request) listSpikes() (any, error) {
	values, scope, err := q.scopeQuery("since")
	if err != nil {
		return nil, err
	}
	since := defaultSince
	if text := values.Get("since"); text != "" {
		if since, err = tally.ParseDuration(text); err != nil || since < time.Minute || since > maxSince {
			return nil, tally.Errorf(tally.CodeBadBody, "since must be a duration such as 1h or 7d, from 1m to %s", tally.FormatDuration(maxSince))
		}
	}
	spikes, err := q.owner.Spikes(q.r.Context(), scope, since)
	return map[string]any{"spikes": spikes}, err
}

type undoBody struct {
	scopeNames
	Topics    []string       `json:"topics"`
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Sources   []tally.Source `json:"sources"`
	Addresses []netip.Addr   `json:"addresses"`
	Repeated  bool           `json:"repeated"`
	Preview   bool           `json:"preview"`
}

// undo answers POST /admin/v1/undo, which reverts contributions.
func (q *request) undo(body undoBody) (any, error) {
	scope, err := q.scope(body.scopeNames)
	if err != nil {
		return nil, err
	}
	topics, err := q.resolve(body.Topics)
	if err != nil {
		return nil, err
	}
	reverted, err := q.owner.Revert(q.r.Context(), q.actor(), owner.Selection{
		Scope: scope, Topics: topics, From: body.From, To: body.To, Sources: body.Sources, Addresses: body.Addresses, Repeated: body.Repeated,
	}, body.Preview)
	return struct {
		owner.Reverted
		Undone bool `json:"undone"`
	}{reverted, !body.Preview}, err
}

// listReverts answers GET /admin/v1/reverts: those that selected a topic.
func (q *request) listReverts() (any, error) {
	values, err := q.query("topic", "since")
	if err != nil {
		return nil, err
	}
	topics, err := q.resolve([]string{values.Get("topic")})
	if err != nil {
		return nil, err
	}
	since, err := time.Parse(time.RFC3339, values.Get("since"))
	if err != nil {
		return nil, tally.Errorf(tally.CodeBadBody, "since must be a time such as 2026-11-22T10:00:00Z")
	}
	reverts, err := q.owner.Reverts(q.r.Context(), topics[0], since)
	return map[string]any{"reverts": reverts}, err
}
