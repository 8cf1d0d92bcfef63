package admin

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// sourceText writes a source as eight hexadecimal digits.
func sourceText(s tally.Source) string { return fmt.Sprintf("%08x", uint32(s)) }

// parseSource reads what sourceText writes. Errors: bad_body.
func parseSource(text string) (tally.Source, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return 0, tally.Errorf(tally.CodeBadBody, "%.40q is no source such as 9f86d081", text)
	}
	return tally.Source(n), nil
}

// sourceShare is how many contributions came from one source, topicShare to one topic.
type (
	sourceShare struct {
		Source        string `json:"source"`
		Contributions int    `json:"contributions"`
	}
	topicShare struct {
		Topic         string `json:"topic"`
		Contributions int    `json:"contributions"`
	}
)

func sourceShares(sources []owner.SourceContributions) []sourceShare {
	shares := make([]sourceShare, len(sources))
	for i, s := range sources {
		shares[i] = sourceShare{sourceText(s.Source), s.Contributions}
	}
	return shares
}

const (
	// defaultSince and maxSince are how far back spikes are looked for.
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
			return tally.Errorf(tally.CodeBadBody, "since is a time such as 1h or 7d, from 1m to %s", tally.FormatDuration(maxSince))
		}
	}
	spikes, err := q.s.owner.Spikes(q.r.Context(), scope, since)
	if err != nil {
		return err
	}
	type item struct {
		Topic         string        `json:"topic"`
		From          time.Time     `json:"from"`
		To            time.Time     `json:"to"`
		Contributions int           `json:"contributions"`
		Usual         int           `json:"usual"`
		Sources       []sourceShare `json:"sources"`
	}
	items := make([]item, len(spikes))
	for i, s := range spikes {
		items[i] = item{s.Topic.String(), s.From.UTC(), s.To.UTC(), s.Contributions, s.Usual, sourceShares(s.Sources)}
	}
	q.answer(struct {
		Spikes []item `json:"spikes"`
	}{items})
	return nil
}

// undo answers POST /admin/v1/undo.
func (q *request) undo() error {
	var said struct {
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
	if err := q.decode(&said); err != nil {
		return err
	}
	spike := owner.Selection{From: said.From, To: said.To}
	var err error
	if spike.Scope, err = q.s.scope(said.Site, said.Metric, said.Prefix); err != nil {
		return err
	}
	if spike.Topics, err = q.s.resolve(said.Topics); err != nil {
		return err
	}
	switch {
	case len(spike.Topics) == 0 && spike.Scope.Site == "":
		return tally.Errorf(tally.CodeBadBody, "say of what it is taken back: name topics, or a site")
	case len(spike.Topics) > 0 && spike.Scope.Site != "":
		return tally.Errorf(tally.CodeBadBody, "name topics, or a site with its metric and prefix, and not both")
	case said.From.IsZero():
		return tally.Errorf(tally.CodeBadBody, "say since when it is taken back: from is a time such as 2026-11-22T10:00:00Z")
	case !said.To.IsZero() && said.To.Before(said.From):
		return tally.Errorf(tally.CodeBadBody, "to is before from")
	}
	if spike.Sources, spike.Addresses, err = parseOrigins(said.Sources, said.Addresses); err != nil {
		return err
	}
	undone, err := q.s.owner.Revert(q.carriedThrough(), q.actor(), spike, said.Preview)
	if err != nil {
		return err
	}
	topics := make([]topicShare, len(undone.Topics))
	for i, t := range undone.Topics {
		topics[i] = topicShare{t.Topic.String(), t.Contributions}
	}
	q.answer(struct {
		Contributions int           `json:"contributions"`
		Topics        []topicShare  `json:"topics"`
		Sources       []sourceShare `json:"sources"`
		Undone        bool          `json:"undone"`
	}{undone.Entries, topics, sourceShares(undone.Sources), !said.Preview})
	return nil
}

// parseOrigins reads where contributions came from. Errors: bad_body.
func parseOrigins(sources, addresses []string) (s []tally.Source, a []netip.Addr, err error) {
	for _, text := range sources {
		source, err := parseSource(text)
		if err != nil {
			return nil, nil, err
		}
		s = append(s, source)
	}
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, nil, tally.Errorf(tally.CodeBadBody, "%.60q is no address such as 203.0.113.7", text)
		}
		a = append(a, address)
	}
	return s, a, nil
}
