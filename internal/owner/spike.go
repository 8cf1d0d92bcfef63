package owner

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxSpikes bounds the topics of one search that are listed: each costs a read of its
// journal.
const maxSpikes = 100

// Spike is a set of contributions to a topic that do not look like those of readers: many,
// mostly from networks that contributed more than once, and far more than usual.
// [Service.Revert] with its topic, time and sources reverts them.
type Spike struct {
	Topic         tally.Topic `json:"topic"`
	From          time.Time   `json:"from"` // first minute
	To            time.Time   `json:"to"`   // last minute
	Contributions int         `json:"contributions"`
	Networks      int         `json:"networks"`   // from which they came
	Period        string      `json:"period"`     // in which they were counted and compared, such as 1h or 24h
	Usual         int         `json:"usual"`      // all contributions to the topic in as much time, usually
	SiteUsual     int         `json:"site_usual"` // such contributions to the site's busiest topic in as much time, on a usual day
	// Sources are the networks, those with most first; empty if there are more than
	// [maxSources].
	Sources []SourceContributions `json:"sources"`
}

// searchSpikes returns the spikes within the time since in scope, greatest first, at most
// [maxSpikes]. It counts the newest journal entry of each visitor, if the contribution still
// exists, and ignores contributions of the owner's servers. The usual numbers come from the
// rest of the journal, which is not read if no topic has a spike without them. Memory grows with
// the recent contributions to one topic, and with the number of topics that have a spike.
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
		return cmp.Or(b.Contributions-a.Contributions, strings.Compare(a.Topic.String(), b.Topic.String()))
	})
	return spikes, nil
}

// searchCandidates returns the topics that have a spike if only the journal entries since a
// minute are known. Earlier entries can only raise the usual numbers, so no spike is missing.
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

// currentSpike reports whether candidate is a spike by the newest entry of each visitor
// whose contribution still exists. d has the usual numbers of the sites.
func (s *Service) currentSpike(ctx context.Context, d *detector, c candidate) (Spike, bool, error) {
	// Each entry of a window is a contribution; a reverted one is removed from the journal.
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
	if !isWindow { // a visitor with several entries counts once, so scale the usual number
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
	c = d.judge(c.topic, before, recent)
	if !d.exceedsSite(&c) {
		return Spike{}, false, nil
	}
	return d.spike(c, recent), true, nil
}
