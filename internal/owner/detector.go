package owner

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A topic has a spike if networks that contributed more than once made at least spikeMin
// contributions to it within an hour or a day. These must be at least two thirds of all
// contributions to the topic in that time, spikeFactor times the usual number of contributions
// to the topic, and siteFactor times the number of such contributions to the busiest topic of
// its site on a usual day.
//
// Readers who follow a link come from many networks, most of them once. Several come from the
// network of a school, a company or a mobile operator. A machine contributes again and again
// from the networks that it has. If it contributes once from each of very many networks, the
// detector cannot distinguish it from readers.
const (
	// spikeMin is more than the people of one network contribute together, such as a class.
	spikeMin = 40
	// spikeFactor is more than the ratio of a busy hour to the mean.
	spikeFactor = 5
	// siteFactor is more than the ratio of a site's busiest days.
	siteFactor = 2
	// maxSources bounds the sources of a spike, each of which is a few bytes of a revert.
	maxSources = 1000
)

const (
	hourMinutes = 60
	dayMinutes  = 24 * 60
)

// contribution is a journal entry as far as a detector needs it.
type contribution struct {
	minute int64
	source tally.Source
}

// candidate is a topic that may have spikes.
type candidate struct {
	topic          tally.Topic
	before, recent int // journal entries before and in the time that is searched
	windows        []window
	best           window // of those that exceed the site's usual number
}

// window is a time in which a topic got many contributions from repeating networks.
type window struct {
	scale         int   // index in detector.scales
	to            int64 // last minute
	contributions int   // of repeating networks
	usual         int
	siteUsual     int
}

// detector finds topics with spikes in entries that are passed topic by topic, the oldest
// first. It holds the recent entries of the current topic, and a number for each site and day.
type detector struct {
	begin, end int64   // first and last minute of the time that is searched
	journal    int64   // minutes of the journal
	scales     []int64 // minutes of the windows that are searched
	days       int     // of the journal
	sites      map[string]*siteUsual

	// Of the current topic.
	topic  tally.Topic
	before int // entries before begin
	recent []contribution
	bins   []bin // one for each scale
}

// siteUsual has, for each scale and each day before the end, the most contributions of
// repeating networks that a topic of a site got in one period.
type siteUsual struct{ busiest [][]int }

// bin collects the sources of a topic within one period of a scale.
type bin struct {
	number  int64 // periods before the end
	sources []tally.Source
}

func newDetector(end int64, since, journal time.Duration) *detector {
	minutes := int64(since / time.Minute)
	d := &detector{
		begin: end - clockSlack - minutes, end: end, journal: int64(journal / time.Minute),
		scales: []int64{min(minutes, hourMinutes)}, sites: map[string]*siteUsual{},
	}
	if minutes >= dayMinutes {
		d.scales = append(d.scales, dayMinutes)
	}
	d.days = int(d.journal+clockSlack)/dayMinutes + 1
	d.bins = make([]bin, len(d.scales))
	return d
}

func (d *detector) reset(topic tally.Topic) {
	d.topic, d.before, d.recent = topic, 0, d.recent[:0]
	for i := range d.bins {
		d.bins[i] = bin{number: -1, sources: d.bins[i].sources[:0]}
	}
}

// add adds an entry of the current topic.
func (d *detector) add(e tally.JournalEntry) {
	if e.Source == 0 { // a server of the owner
		return
	}
	for i, length := range d.scales {
		b := &d.bins[i]
		if number := max(d.end-e.Minute, 0) / length; number != b.number {
			d.finishBin(i)
			b.number = number
		}
		b.sources = append(b.sources, e.Source)
	}
	if e.Minute < d.begin {
		d.before++
	} else {
		d.recent = append(d.recent, contribution{e.Minute, e.Source})
	}
}

// finishBin adds the bin of a scale to the usual numbers of the site, and empties it.
func (d *detector) finishBin(scale int) {
	b := &d.bins[scale]
	if len(b.sources) >= spikeMin {
		slices.Sort(b.sources)
		day := min(int(b.number*d.scales[scale]/dayMinutes), d.days-1)
		busiest := &d.site(d.topic.Site()).busiest[scale][day]
		*busiest = max(*busiest, repeated(b.sources))
	}
	b.sources = b.sources[:0]
}

// repeated counts the elements of sources, which are sorted, whose value occurs more than once.
func repeated(sources []tally.Source) (n int) {
	for i, source := range sources {
		if i > 0 && sources[i-1] == source || i+1 < len(sources) && sources[i+1] == source {
			n++
		}
	}
	return n
}

func (d *detector) site(name string) *siteUsual {
	site := d.sites[name]
	if site == nil {
		site = &siteUsual{}
		for range d.scales {
			site.busiest = append(site.busiest, make([]int, d.days))
		}
		d.sites[name] = site
	}
	return site
}

// finish ends the current topic and reports whether the topic may have a spike.
func (d *detector) finish() (candidate, bool) {
	for i := range d.bins {
		d.finishBin(i)
	}
	if len(d.recent) < spikeMin {
		return candidate{}, false
	}
	c := d.candidate(d.topic, d.before, d.recent)
	return c, len(c.windows) > 0
}

// candidate returns the windows of a topic that far exceed its own usual number.
func (d *detector) candidate(topic tally.Topic, before int, recent []contribution) candidate {
	slices.SortFunc(recent, func(a, b contribution) int { return cmp.Compare(a.minute, b.minute) })
	c := candidate{topic: topic, before: before, recent: len(recent)}
	for scale, length := range d.scales {
		// Windows overlap, so that one of them has nearly all of a short attack.
		for to := d.end - clockSlack; to > d.begin; to -= max(length/6, 1) {
			inside := d.inside(recent, scale, to)
			others := before + len(recent) - len(inside)
			usual := int(float64(others)*float64(length)/float64(max(d.journal-length, length)) + 0.5)
			least := max(spikeMin, spikeFactor*usual, (2*len(inside)+2)/3)
			if len(inside) < least {
				continue
			}
			if n := repeatedIn(inside); n >= least {
				c.windows = append(c.windows, window{scale: scale, to: to, contributions: n, usual: usual})
			}
		}
	}
	return c
}

// inside returns the contributions in the window of a scale that ends at a minute, and in the
// clockSlack after it.
func (d *detector) inside(recent []contribution, scale int, to int64) []contribution {
	return within(recent, to-d.scales[scale]+1, to+clockSlack)
}

// within returns the contributions from one minute to another.
func within(all []contribution, from, to int64) []contribution {
	at := func(minute int64) int {
		i, _ := slices.BinarySearchFunc(all, minute, func(c contribution, minute int64) int { return cmp.Compare(c.minute, minute) })
		return i
	}
	return all[at(from):at(to+1)]
}

// repeatedIn returns how many contributions are from repeating networks.
func repeatedIn(inside []contribution) int {
	sources := make([]tally.Source, len(inside))
	for i, c := range inside {
		sources[i] = c.source
	}
	slices.Sort(sources)
	return repeated(sources)
}

// exceedsSite sets the best window of c among those that far exceed the usual number of the
// site, and reports whether there is one.
func (d *detector) exceedsSite(c *candidate) bool {
	c.best = window{}
	for _, w := range c.windows {
		w.siteUsual = d.siteUsual(c.topic.Site(), w)
		if w.contributions >= siteFactor*w.siteUsual && w.contributions-w.usual > c.best.contributions-c.best.usual {
			c.best = w
		}
	}
	return c.best.contributions > 0
}

// siteUsual returns the median, over the days of the journal that w does not touch, of the
// most that a topic of the site got from repeating networks in a period as long as w.
func (d *detector) siteUsual(name string, w window) int {
	site := d.sites[name]
	if site == nil {
		return 0
	}
	newest, oldest := (d.end-w.to)/dayMinutes, (d.end-w.to+d.scales[w.scale]-1)/dayMinutes
	var days []int
	for day, busiest := range site.busiest[w.scale] {
		if int64(day) < newest || int64(day) > oldest {
			days = append(days, busiest)
		}
	}
	if len(days) == 0 {
		return 0
	}
	slices.Sort(days)
	return days[len(days)/2]
}

// spike returns the best window of c, whose recent contributions are in order of time.
func (d *detector) spike(c candidate, recent []contribution) Spike {
	w := c.best
	s := Spike{
		Topic: c.topic, Contributions: w.contributions, Sources: []SourceContributions{},
		Period: tally.FormatDuration(time.Duration(d.scales[w.scale]) * time.Minute), Usual: w.usual, SiteUsual: w.siteUsual,
	}
	inside, counts := d.inside(recent, w.scale, w.to), map[tally.Source]int{}
	for _, c := range inside {
		counts[c.source]++
	}
	for _, c := range inside {
		if counts[c.source] == 1 {
			delete(counts, c.source)
			continue
		}
		if s.From.IsZero() {
			s.From = minuteStart(c.minute)
		}
		s.To = minuteStart(c.minute)
	}
	if s.Networks = len(counts); s.Networks <= maxSources {
		s.Sources = rankSources(counts)
	}
	return s
}
