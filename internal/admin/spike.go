package admin

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// parseSource parses a source in eight hexadecimal digits. Errors: bad_body.
func parseSource(text string) (tally.Source, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return 0, tally.Errorf(tally.CodeBadBody, "%.40q is not a source such as 9f86d081", text)
	}
	return tally.Source(n), nil
}

// sourceItem is a number of contributions from one source.
type sourceItem struct {
	Source        string `json:"source"`
	Contributions int    `json:"contributions"`
}

func sourceItems(sources []owner.SourceContributions) []sourceItem {
	items := make([]sourceItem, len(sources))
	for i, s := range sources {
		items[i] = sourceItem{fmt.Sprintf("%08x", uint32(s.Source)), s.Contributions}
	}
	return items
}

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
	type item struct {
		Topic         string       `json:"topic"`
		From          time.Time    `json:"from"`
		To            time.Time    `json:"to"`
		Contributions int          `json:"contributions"`
		Usual         int          `json:"usual"`
		Sources       []sourceItem `json:"sources"`
	}
	items := make([]item, len(spikes))
	for i, s := range spikes {
		items[i] = item{s.Topic.String(), s.From.UTC(), s.To.UTC(), s.Contributions, s.Usual, sourceItems(s.Sources)}
	}
	q.respond(struct {
		Spikes []item `json:"spikes"`
	}{items})
	return nil
}

// undo answers POST /admin/v1/undo, which reverts contributions.
func (q *request) undo() error {
	var body struct {
		Topics    []string  `json:"topics"`
		Site      string    `json:"site"`
		Metric    string    `json:"metric"`
		Prefix    string    `json:"prefix"`
		From      time.Time `json:"from"`
		To        time.Time `json:"to"`
		Sources   []string  `json:"sources"`
		Addresses []string  `json:"addresses"`
		Preview   bool      `json:"preview"`
	}
	if err := q.decode(&body); err != nil {
		return err
	}
	selection := owner.Selection{From: body.From, To: body.To}
	var err error
	if selection.Scope, err = q.s.scope(body.Site, body.Metric, body.Prefix); err != nil {
		return err
	}
	if selection.Topics, err = q.s.resolve(body.Topics); err != nil {
		return err
	}
	for _, text := range body.Sources {
		source, err := parseSource(text)
		if err != nil {
			return err
		}
		selection.Sources = append(selection.Sources, source)
	}
	for _, text := range body.Addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return tally.Errorf(tally.CodeBadBody, "%.60q is not an address such as 203.0.113.7", text)
		}
		selection.Addresses = append(selection.Addresses, address)
	}
	reverted, err := q.s.owner.Revert(q.detached(), q.actor(), selection, body.Preview)
	if err != nil {
		return err
	}
	type topicItem struct {
		Topic         string `json:"topic"`
		Contributions int    `json:"contributions"`
	}
	topics := make([]topicItem, len(reverted.Topics))
	for i, t := range reverted.Topics {
		topics[i] = topicItem{t.Topic.String(), t.Contributions}
	}
	q.respond(struct {
		Contributions int          `json:"contributions"`
		Topics        []topicItem  `json:"topics"`
		Sources       []sourceItem `json:"sources"`
		Undone        bool         `json:"undone"`
	}{reverted.Entries, topics, sourceItems(reverted.Sources), !body.Preview})
	return nil
}
