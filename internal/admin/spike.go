package admin

import (
	"net/netip"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// defaultSince and maxSince are how far back spikes are searched.
const (
	defaultSince = time.Hour
	maxSince     = 31 * 24 * time.Hour
)

// listSpikes answers GET /admin/v1/spikes.
func (q *request) listSpikes() error {
	values, err := q.query("site", "metric", "prefix", "since")
	if err != nil {
		return err
	}
	scope, err := q.s.scope(values.Get("site"), values.Get("metric"), values.Get("prefix"))
	if err != nil {
		return err
	}
	since := defaultSince
	if text := values.Get("since"); text != "" {
		if since, err = tally.ParseDuration(text); err != nil || since < time.Minute || since > maxSince {
			return tally.Errorf(tally.CodeBadBody, "since must be a duration such as 1h or 7d, from 1m to %s", tally.FormatDuration(maxSince))
		}
	}
	spikes, err := q.s.owner.Spikes(q.r.Context(), scope, since)
	if err != nil {
		return err
	}
	q.respond(struct {
		Spikes []owner.Spike `json:"spikes"`
	}{spikes})
	return nil
}

// undo answers POST /admin/v1/undo, which reverts contributions.
func (q *request) undo() error {
	var body struct {
		Topics    []string       `json:"topics"`
		Site      string         `json:"site"`
		Metric    string         `json:"metric"`
		Prefix    string         `json:"prefix"`
		From      time.Time      `json:"from"`
		To        time.Time      `json:"to"`
		Sources   []tally.Source `json:"sources"`
		Addresses []netip.Addr   `json:"addresses"`
		Preview   bool           `json:"preview"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	selection := owner.Selection{From: body.From, To: body.To, Sources: body.Sources, Addresses: body.Addresses}
	var err error
	if selection.Scope, err = q.s.scope(body.Site, body.Metric, body.Prefix); err != nil {
		return err
	}
	if selection.Topics, err = q.s.resolve(body.Topics); err != nil {
		return err
	}
	reverted, err := q.s.owner.Revert(q.detached(), q.actor(), selection, body.Preview)
	if err != nil {
		return err
	}
	q.respond(struct {
		owner.Reverted
		Undone bool `json:"undone"`
	}{reverted, !body.Preview})
	return nil
}
