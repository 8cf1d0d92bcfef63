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

// What makes a spike. Counts of a page are small and jumpy, so that all three must
// hold: enough contributions to matter, far more than usual, and of a shape that
// readers who find a page do not have.
const (
	// spikeLeast is how many contributions are worth a look: fewer change no picture.
	spikeLeast = 20
	// spikeTimes is how many times what is usual is far more. Between a quiet and a busy
	// hour of a day lies less.
	spikeTimes = 5
	// spikeSources are few networks, and spikeBurst minutes a short time, for half of
	// the contributions or more. Readers who follow a link come from many networks,
	// over hours.
	spikeSources = 3
	spikeBurst   = 2
)

// Spike is contributions to a topic that look unlike those of readers. An [Selection] of
// its topic, time and sources reverts them, as far as none is newer.
type Spike struct {
	Topic         tally.Topic
	From, To      time.Time // the first and the last minute
	Contributions int
	Usual         int                   // what the topic gets in as much time as was looked at
	Sources       []SourceContributions // the most first; empty where they are many
}

// Spikes returns what stands out within the time since in scope, the most first: a
// topic that got [spikeLeast] contributions or more, [spikeTimes] times what it
// usually gets in as much time, half of them from at most [spikeSources] sources or
// within [spikeBurst] minutes. Of each visitor only the newest entry counts, and only if
// the contribution is still there: what was reverted or withdrawn is no spike. What one's
// own servers contributed for visitors is left out. Usual is what the rest of the journal
// says. Errors: [tally.CodeStoreUnavailable].
func (d *Service) Spikes(ctx context.Context, scope tally.Scope, since time.Duration) ([]Spike, error) {
	now := d.now()
	begin := minute(now.Add(-since))
	kept := max(d.journalRetention, since)
	w := watch{begin: begin, share: since.Minutes() / max((kept-since).Minutes(), 1)}
	var candidates []watch // by all entries
	note := func() {
		if _, ok := w.judge(); ok {
			candidates = append(candidates, watch{begin: begin, topic: w.topic, recent: w.recent, usual: w.usual})
		}
	}
	end := minute(now) + clockSlack
	err := d.store.Journal(ctx, scope, minute(now.Add(-kept)), end, func(traces []tally.JournalEntry) error {
		for _, t := range traces {
			if t.Topic != w.topic {
				note()
				w.reset(t.Topic)
			}
			w.add(t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	note()
	var spikes []Spike
	for _, candidate := range candidates {
		spike, ok, err := d.currentSpike(ctx, candidate, end)
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

// readAtOnce is how many contributions are read in one call.
const readAtOnce = 1000

// currentSpike reports whether candidate is a spike by the contributions that are still
// there, each by the newest entry of its visitor.
func (d *Service) currentSpike(ctx context.Context, candidate watch, end int64) (Spike, bool, error) {
	topic := candidate.topic
	w := candidate
	w.reset(topic)
	// In a window every entry is a contribution of its own; a reverted one is erased.
	isWindow := d.catalog.Rule(topic).Kind == tally.Window
	newest := map[tally.Member]tally.JournalEntry{} // about 100 bytes for each visitor of the spike
	err := d.store.Journal(ctx, tally.ScopeOf(topic), candidate.begin, end, func(traces []tally.JournalEntry) error {
		for _, t := range traces {
			switch {
			case isWindow:
				w.add(t)
			case t.Minute >= newest[t.Member].Minute:
				newest[t.Member] = t
			}
		}
		return nil
	})
	if err != nil {
		return Spike{}, false, err
	}
	// A visitor with several entries counts once here: so should what is usual.
	w.usual = candidate.usual
	if !isWindow {
		w.usual = int(float64(candidate.usual)*min(1, float64(len(newest))/float64(candidate.recent)) + 0.5)
	}
	for members := range slices.Chunk(slices.Collect(maps.Keys(newest)), readAtOnce) {
		queries := make([]tally.Query, len(members))
		for i, member := range members {
			queries[i] = tally.Query{Topic: topic, Member: member}
		}
		for i, reading := range d.store.Read(ctx, queries) {
			if reading.Err != nil {
				return Spike{}, false, reading.Err
			}
			if reading.Mine > 0 {
				w.add(newest[members[i]])
			}
		}
	}
	spike, ok := w.judge()
	return spike, ok, nil
}

// watch looks at the traces of one topic.
type watch struct {
	begin int64   // the minute from which on is looked for a spike
	share float64 // of the time before, as much as is looked at

	topic  tally.Topic
	before int // traces before begin
	usual  int // what before means for as much time as is looked at
	recent int
	// Of the recent ones. At most as many as the journal has for one topic.
	sources map[tally.Source]*stretch
	minutes map[int64]int
}

// stretch is how many traces there are between two minutes, both included.
type stretch struct {
	from, to int64
	n        int
}

func (s *stretch) add(minute int64) {
	if s.n == 0 {
		s.from, s.to = minute, minute
	}
	s.from, s.to = min(s.from, minute), max(s.to, minute)
	s.n++
}

func (w *watch) reset(topic tally.Topic) {
	w.topic, w.before, w.usual, w.recent = topic, 0, 0, 0
	w.sources, w.minutes = map[tally.Source]*stretch{}, map[int64]int{}
}

func (w *watch) add(t tally.JournalEntry) {
	switch {
	case t.Source == 0: // one's own servers
		return
	case t.Minute < w.begin:
		w.before++
		w.usual = int(float64(w.before)*w.share + 0.5)
		return
	}
	w.recent++
	w.minutes[t.Minute]++
	if w.sources[t.Source] == nil {
		w.sources[t.Source] = &stretch{}
	}
	w.sources[t.Source].add(t.Minute)
}

// judge tells whether the topic has a spike.
func (w *watch) judge() (Spike, bool) {
	if w.recent < spikeLeast || w.recent < spikeTimes*w.usual {
		return Spike{}, false
	}
	spike := Spike{Topic: w.topic, Usual: w.usual}
	if of, sources := w.most(); 2*of.n >= w.recent {
		spike.From, spike.To, spike.Contributions, spike.Sources = at(of.from), at(of.to), of.n, sources
		return spike, true
	}
	if of := w.burst(); 2*of.n >= w.recent {
		spike.From, spike.To, spike.Contributions = at(of.from), at(of.to), of.n
		return spike, true
	}
	return Spike{}, false
}

// most returns the traces of the few sources that have the most.
func (w *watch) most() (of stretch, sources []SourceContributions) {
	counts := make(map[tally.Source]int, len(w.sources))
	for source, s := range w.sources {
		counts[source] = s.n
	}
	sources = mostSources(counts)
	sources = sources[:min(len(sources), spikeSources)]
	for _, s := range sources {
		one := w.sources[s.Source]
		if of.n == 0 {
			of.from, of.to = one.from, one.to
		}
		of.from, of.to, of.n = min(of.from, one.from), max(of.to, one.to), of.n+one.n
	}
	return of, sources
}

// burst returns the traces of the short time that has the most.
func (w *watch) burst() (of stretch) {
	for from := range w.minutes {
		n := 0
		for m := from; m < from+spikeBurst; m++ {
			n += w.minutes[m]
		}
		if n > of.n || n == of.n && from < of.from {
			of = stretch{from: from, to: from + spikeBurst - 1, n: n}
		}
	}
	return of
}

// at returns when a minute begins.
func at(minute int64) time.Time { return time.Unix(60*minute, 0).UTC() }
