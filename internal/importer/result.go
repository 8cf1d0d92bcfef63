package importer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	figureViews    = "views"
	figureVisitors = "visitors"
	figureClaps    = "claps"
)

// Figures are the figures of other counters that can be imported.
var Figures = []string{figureViews, figureVisitors, figureClaps}

// Count is the count of a topic, without its visitors.
type Count struct {
	Topic tally.Topic
	Count int64
	// Options has the count of each option in a choice metric, up to the last one in the file.
	Options tally.Options
	// Seen is the number of visitors that the other counter stores; below 0 if it stores none.
	Seen int64
}

// Numbers returns the count in the form of the admin API.
func (c Count) Numbers() tally.Numbers { return tally.Numbers{Total: c.Count, Options: c.Options} }

// Result is the result of an importer.
type Result struct {
	Counts   []Count   // sorted by topic, each topic once
	Refusals []Refusal // the first maxRefusals
	// Skipped counts the entries that were skipped on purpose, by a description such as
	// "views of bots".
	Skipped map[string]int64
	Notes   []string // sentences for the owner
	// Entries is the number of rows, objects or keys that were read, Refused the number of
	// those that were refused.
	Entries, Refused int64
	Unit             string // the noun for an entry, such as "line"
}

// Refusal is an entry that could not be read.
type Refusal struct {
	File   string // within an archive; else empty
	Line   int64  // 0 without lines
	Reason string
}

// Sum returns the sum of the counts, and of [Count].Seen.
func (r Result) Sum() (counts, seen int64) {
	for _, each := range r.Counts {
		counts += each.Count
		seen += max(0, each.Seen)
	}
	return counts, seen
}

const (
	// maxRefusals bounds the refusals that a result keeps; it counts all.
	maxRefusals = 1000
	// maxTopics bounds the topics of an import: some GiB of memory.
	maxTopics = 4_000_000
)

// collector collects the counts of topics, and the refused and skipped entries.
type collector struct {
	found  map[tally.Topic]*Count
	result Result
	full   error // set if there are too many topics or sessions

	inFile hosts       // of the entries; only in the first reading
	filter *hostFilter // of the entries; nil in the first reading
}

// errHostKnown is the error of an entry in the first reading, which counts its host only.
var errHostKnown = errors.New("its host is known")

// collect calls read twice. The first reading finds the hosts of the entries, from which choose makes a
// filter. The second one collects the counts. read passes each entry to [collector.accept] and
// [collector.record]. If there are no entries, collect returns the error empty, which may be nil.
func collect(unit string, empty error, choose func(inFile hosts) (hostFilter, error), read func(c *collector) error) (Result, error) {
	scan := &collector{result: Result{Skipped: map[string]int64{}}, inFile: hosts{}}
	if err := read(scan); err != nil {
		return Result{}, err
	}
	if scan.result.Entries == 0 && empty != nil {
		return Result{}, empty
	}
	filter, err := choose(scan.inFile)
	if err != nil {
		return Result{}, err
	}
	c := &collector{found: map[tally.Topic]*Count{}, result: Result{Skipped: map[string]int64{}, Unit: unit}, filter: &filter}
	err = read(c)
	if others := filter.inFile.format(filter.selected); others != "" {
		c.note("Pages of other hosts were skipped: %s. To add up several hosts, name them in one run: --host A --host B.", others)
	}
	if missing := filter.missing(); len(missing) > 0 {
		c.note("The file has no page of %s.", strings.Join(missing, " or "))
	}
	for _, count := range c.found {
		c.result.Counts = append(c.result.Counts, *count)
	}
	slices.SortFunc(c.result.Counts, func(x, y Count) int { return cmp.Compare(x.Topic.String(), y.Topic.String()) })
	return c.result, err
}

// accept returns nil if the filter selects the entries of a host. In the first reading it counts the host
// and returns [errHostKnown].
func (c *collector) accept(host string) error {
	if c.filter == nil {
		c.inFile.add(host)
		return errHostKnown
	}
	return c.filter.check(host)
}

// add adds n to the count of a topic. A sum above [tally.MaxValue] stays above it, so that
// the store refuses it.
func (c *collector) add(topic tally.Topic, n tally.Numbers) error {
	count := c.found[topic]
	switch {
	case count == nil:
		c.found[topic] = &Count{Topic: topic, Count: n.Total, Options: n.Options, Seen: -1}
	case (count.Options == "") != (n.Options == ""):
		return fmt.Errorf("%s: the file has counts with and without an option", topic)
	case count.Count <= tally.MaxValue:
		sum := count.Numbers().Plus(n)
		count.Count, count.Options = sum.Total, sum.Options
	}
	return nil
}

// addFigure adds n to a figure of a page.
func (c *collector) addFigure(mapping Mapping, figure, key string, n int64) error {
	topic, wanted, err := mapping.topic(figure, key)
	if err != nil || !wanted {
		return err
	}
	return c.add(topic, tally.Numbers{Total: n})
}

// addView adds a view of a page, and a visitor of the page and of the site if it is new.
func (c *collector) addView(mapping Mapping, key string, newToPage, newToSite bool) error {
	for _, each := range []struct {
		figure, key string
		counts      bool
	}{
		{figureViews, key, true},
		{figureVisitors, key, newToPage},
		{figureViews, wholeSite, true},
		{figureVisitors, wholeSite, newToSite},
	} {
		if !each.counts {
			continue
		}
		if err := c.addFigure(mapping, each.figure, each.key, 1); err != nil {
			return err
		}
	}
	return nil
}

// raiseFigure raises a figure of the site to n if it is lower, since entries repeat the figure.
func (c *collector) raiseFigure(mapping Mapping, figure string, n int64) error {
	topic, wanted, err := mapping.topic(figure, wholeSite)
	if count := c.found[topic]; err == nil && wanted && (count == nil || count.Count < n) {
		c.found[topic] = &Count{Topic: topic, Count: n, Seen: -1}
	}
	return err
}

// errNoEntry is the error of a line that is not an entry, and is not counted.
var errNoEntry = errors.New("it is not an entry")

// record counts an entry. By its error the entry is skipped or refused. record returns an error if the
// import is too large.
func (c *collector) record(file string, line int64, err error) error {
	if errors.Is(err, errNoEntry) {
		return nil
	}
	c.result.Entries++
	switch {
	case errors.Is(err, errHostKnown):
	case errors.Is(err, errOtherHost):
		c.skip("entries of other hosts")
	case errors.Is(err, errNoHost):
		c.skip("entries without a host")
	case err != nil:
		c.result.Refused++
		if len(c.result.Refusals) < maxRefusals {
			c.result.Refusals = append(c.result.Refusals, Refusal{file, line, err.Error()})
		}
	}
	if len(c.found) > maxTopics {
		c.full = fmt.Errorf("it has more than %d topics; import it in parts", maxTopics)
	}
	return c.full
}

func (c *collector) skip(description string) { c.result.Skipped[description]++ }

func (c *collector) note(format string, args ...any) {
	c.result.Notes = append(c.result.Notes, fmt.Sprintf(format, args...))
}
