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

// A topic has a spike if it got at least spikeMin contributions, spikeFactor times the
// usual number, and at least half of them from few sources or in a short time. Counts of
// pages are small and irregular, so that one criterion alone would match readers.
const (
	// spikeMin is the least number of contributions that visibly changes a count.
	spikeMin = 20
	// spikeFactor is more than the ratio of a busy to a quiet hour.
	spikeFactor = 5
	// At most spikeSources sources are few, and spikeMinutes are a short time: readers who
	// follow a link come from many networks over hours.
	spikeSources = 3
	spikeMinutes = 2
)

// Spike is a set of contributions to a topic that do not look like those of readers.
// [Service.Revert] with its topic, time and sources reverts them.
type Spike struct {
	Topic         tally.Topic           `json:"topic"`
	From          time.Time             `json:"from"` // first minute
	To            time.Time             `json:"to"`   // last minute
	Contributions int                   `json:"contributions"`
	Usual         int                   `json:"usual"`   // contributions in as much time, usually
	Sources       []SourceContributions `json:"sources"` // greatest numbers first; empty if there are many
}

// Spikes returns the spikes within the time since in scope, greatest first. It counts the
// newest journal entry of each visitor, if the contribution still exists, and ignores
// contributions of the owner's servers. The usual number comes from the rest of the
// journal. Errors: [tally.CodeStoreUnavailable].
func (s *Service) Spikes(ctx context.Context, scope tally.Scope, since time.Duration) ([]Spike, error) {
	now := s.now()
	retention := max(s.journalRetention, since)
	d := detector{begin: minute(now.Add(-since)), share: since.Minutes() / max((retention-since).Minutes(), 1)}
	end := minute(now) + clockSlack
	var candidates []detector // topics with a spike by all entries
	finish := func() {
		if _, ok := d.spike(); ok {
			candidates = append(candidates, detector{begin: d.begin, topic: d.topic, recent: d.recent, usual: d.usual})
		}
	}
	err := s.store.Journal(ctx, scope, minute(now.Add(-retention)), end, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			if e.Topic != d.topic {
				finish()
				d.reset(e.Topic)
			}
			d.add(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	finish()
	spikes := []Spike{}
	for _, candidate := range candidates {
		spike, ok, err := s.currentSpike(ctx, candidate, end)
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

// currentSpike reports whether candidate is a spike by the newest entry of each visitor
// whose contribution still exists.
func (s *Service) currentSpike(ctx context.Context, candidate detector, end int64) (Spike, bool, error) {
	topic := candidate.topic
	d := candidate
	d.reset(topic)
	// Each entry of a window is a contribution; a reverted one is removed from the journal.
	isWindow := s.catalog.Rule(topic).Kind == tally.Window
	newest := map[tally.Member]tally.JournalEntry{} // about 100 bytes for each visitor of the spike
	err := s.store.Journal(ctx, tally.ScopeOf(topic), candidate.begin, end, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			switch {
			case isWindow:
				d.add(e)
			case e.Minute >= newest[e.Member].Minute:
				newest[e.Member] = e
			}
		}
		return nil
	})
	if err != nil {
		return Spike{}, false, err
	}
	d.usual = candidate.usual
	if !isWindow { // a visitor with several entries counts once, so scale the usual number
		d.usual = int(float64(candidate.usual)*min(1, float64(len(newest))/float64(candidate.recent)) + 0.5)
	}
	for members := range slices.Chunk(slices.Collect(maps.Keys(newest)), tally.MaxPortion) {
		queries := make([]tally.Query, len(members))
		for i, member := range members {
			queries[i] = tally.Query{Topic: topic, Member: member}
		}
		for i, reading := range s.store.Read(ctx, queries) {
			if reading.Err != nil {
				return Spike{}, false, reading.Err
			}
			if reading.Mine > 0 {
				d.add(newest[members[i]])
			}
		}
	}
	spike, ok := d.spike()
	return spike, ok, nil
}

// detector decides whether one topic has a spike.
type detector struct {
	begin int64   // first minute of the time that is searched
	share float64 // length of that time divided by that of the journal before it

	topic  tally.Topic
	before int // entries before begin
	usual  int // before times share
	recent int // entries since begin
	// Of the recent entries. The journal bounds both.
	sources map[tally.Source]*interval
	minutes map[int64]int
}

// interval is a number of entries between two minutes, both included.
type interval struct {
	from, to int64
	n        int
}

func (i *interval) add(minute int64) {
	if i.n == 0 {
		i.from, i.to = minute, minute
	}
	i.from, i.to = min(i.from, minute), max(i.to, minute)
	i.n++
}

func (d *detector) reset(topic tally.Topic) {
	d.topic, d.before, d.usual, d.recent = topic, 0, 0, 0
	d.sources, d.minutes = map[tally.Source]*interval{}, map[int64]int{}
}

func (d *detector) add(e tally.JournalEntry) {
	switch {
	case e.Source == 0: // a server of the owner
		return
	case e.Minute < d.begin:
		d.before++
		d.usual = int(float64(d.before)*d.share + 0.5)
		return
	}
	d.recent++
	d.minutes[e.Minute]++
	if d.sources[e.Source] == nil {
		d.sources[e.Source] = &interval{}
	}
	d.sources[e.Source].add(e.Minute)
}

// spike returns the spike of the topic, if there is one.
func (d *detector) spike() (Spike, bool) {
	if d.recent < spikeMin || d.recent < spikeFactor*d.usual {
		return Spike{}, false
	}
	found, sources := d.fewSources()
	if 2*found.n < d.recent {
		found, sources = d.shortTime(), []SourceContributions{}
	}
	return Spike{
		Topic: d.topic, From: minuteStart(found.from), To: minuteStart(found.to),
		Contributions: found.n, Usual: d.usual, Sources: sources,
	}, 2*found.n >= d.recent
}

// fewSources returns the entries of the [spikeSources] sources that have the most.
func (d *detector) fewSources() (found interval, sources []SourceContributions) {
	counts := make(map[tally.Source]int, len(d.sources))
	for source, i := range d.sources {
		counts[source] = i.n
	}
	sources = rankSources(counts)
	sources = sources[:min(len(sources), spikeSources)]
	for _, s := range sources {
		one := d.sources[s.Source]
		if found.n == 0 {
			found = *one
			continue
		}
		found = interval{from: min(found.from, one.from), to: max(found.to, one.to), n: found.n + one.n}
	}
	return found, sources
}

// shortTime returns the entries of the [spikeMinutes] minutes that have the most.
func (d *detector) shortTime() (found interval) {
	for from := range d.minutes {
		n := 0
		for m := from; m < from+spikeMinutes; m++ {
			n += d.minutes[m]
		}
		if n > found.n || n == found.n && from < found.from {
			found = interval{from: from, to: from + spikeMinutes - 1, n: n}
		}
	}
	return found
}
