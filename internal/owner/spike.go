package owner

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxSpikes bounds the spikes that one search returns. Each takes a read of the topic's journal.
const maxSpikes = 100

// Spike is a set of contributions to a topic that differ from those of readers: they are many, far
// more than usual, and mostly from networks that contributed more than once. [Service.Revert] with
// the topic, the time and the sources reverts them.
type Spike struct {
	Topic         tally.Topic `json:"topic"`
	From          time.Time   `json:"from"` // first minute
	To            time.Time   `json:"to"`   // last minute
	Contributions int         `json:"contributions"`
	Networks      int         `json:"networks"`   // number of networks from which they came
	Period        string      `json:"period"`     // length of the time in which they were counted, such as 1h or 24h
	Usual         int         `json:"usual"`      // usual number of contributions to the topic in a period
	SiteUsual     int         `json:"site_usual"` // such contributions to the site's busiest topic in a period, on a usual day
	// Sources are the networks, those with the most contributions first; empty if there are more
	// than [maxSources].
	Sources []SourceContributions `json:"sources"`
}

// searchSpikes returns the spikes in scope in the period of length since that ends now, the greatest
// first, at most [maxSpikes]. It counts the newest journal entry of each visitor, if the contribution still exists,
// and ignores contributions of the owner's servers. The usual numbers come from the rest of the
// journal, which it reads only if a topic has a spike without them. Memory grows with the recent
// contributions to one topic, and with the number of topics that have a spike.
// Errors: [tally.CodeStoreUnavailable].
func (s *Service) searchSpikes(ctx context.Context, scope tally.Scope, since time.Duration) ([]Spike, error) {
	now := s.now()
	retention := max(s.journalRetention, since)
	var d *detector
	var candidates []candidate // by all journal entries
	for _, period := range []time.Duration{since, retention} {
		var err error
		d = newDetector(minute(now)+clockSlack, since, retention)
		if candidates, err = s.searchCandidates(ctx, d, scope, minute(now.Add(-period))); err != nil || len(candidates) == 0 {
			return []Spike{}, err
		}
	}
	candidates = slices.DeleteFunc(candidates, func(c candidate) bool { return !d.exceedsSite(&c) })
	slices.SortFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.best.contributions, a.best.contributions) })
	spikes := []Spike{}
	for _, c := range candidates[:min(len(candidates), maxSpikes)] {
		spike, ok, err := s.currentSpike(ctx, d, c)
		if err != nil {
			return nil, err
		}
		if ok {
			spikes = append(spikes, spike)
		}
	}
	slices.SortFunc(spikes, func(a, b Spike) int {
		return cmp.Or(b.Contributions-a.Contributions, a.Topic.Compare(b.Topic))
	})
	return spikes, nil
}

// searchCandidates returns the topics that have a spike according to the journal entries since a
// minute. Earlier entries can only raise the usual numbers, so no spike is missing.
func (s *Service) searchCandidates(ctx context.Context, d *detector, scope tally.Scope, from int64) (candidates []candidate, err error) {
	finish := func() {
		if c, ok := d.finish(); ok {
			candidates = append(candidates, c)
		}
	}
	err = s.store.SearchJournal(ctx, scope, from, d.end, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			if e.Topic != d.topic {
				finish()
				d.reset(e.Topic)
			}
			d.add(e)
		}
		return nil
	})
	finish()
	return candidates, err
}

// currentSpike returns the spike of a candidate, counting only the newest entry of each visitor whose
// contribution still exists. It reports false if that is no spike. d has the usual numbers of the
// sites.
func (s *Service) currentSpike(ctx context.Context, d *detector, c candidate) (Spike, bool, error) {
	// In a window metric each entry is a contribution; reverts remove entries from the journal.
	isWindow := s.catalog.Rule(c.topic).Kind == tally.Window
	newest := map[tally.Member]tally.JournalEntry{} // about 100 bytes for each visitor of the spike
	var recent []contribution
	err := s.store.Journal(ctx, tally.ScopeOf(c.topic), d.begin, d.end, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			switch {
			case e.Source == 0: // a server of the owner
			case isWindow:
				recent = append(recent, contribution{e.Minute, e.Source})
			case e.Minute >= newest[e.Member].Minute:
				newest[e.Member] = e
			}
		}
		return nil
	})
	if err != nil {
		return Spike{}, false, err
	}
	before := c.before
	if !isWindow { // a visitor with several entries counts once, so the usual number is scaled, too
		before = int(float64(before)*min(1, float64(len(newest))/float64(c.recent)) + 0.5)
	}
	for members := range slices.Chunk(slices.Collect(maps.Keys(newest)), tally.MaxPortion) {
		queries := make([]tally.Query, len(members))
		for i, member := range members {
			queries[i] = tally.Query{Topic: c.topic, Member: member}
		}
		for i, reading := range s.store.Read(ctx, queries) {
			if reading.Err != nil {
				return Spike{}, false, reading.Err
			}
			if reading.Mine > 0 {
				e := newest[members[i]]
				recent = append(recent, contribution{e.Minute, e.Source})
			}
		}
	}
	c = d.candidate(c.topic, before, recent)
	if !d.exceedsSite(&c) {
		return Spike{}, false, nil
	}
	return d.spike(c, recent), true, nil
}
