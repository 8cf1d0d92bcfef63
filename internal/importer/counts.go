package importer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Figures that importers find.
const (
	FigureViews    = "views"
	FigureVisitors = "visitors"
	FigureClaps    = "claps"
)

// Count is a topic's count, without who contributed.
type Count struct {
	Topic tally.Topic
	Count int64
	// Seen is how many visitors the other counter remembers; below 0 if it does not.
	Seen int64
}

// Result are what an importer found.
type Result struct {
	Counts   []Count   // sorted by topic, each topic once
	Refusals []Refusal // what was not understood, the first maxRefusals
	// Skipped says how much was left out on purpose, by why, such as "of bots".
	Skipped map[string]int64
	// Notes are what the owner should know of the file.
	Notes []string
	// Entries are how many rows, objects or keys were read, and how many of them refused.
	Entries, Refused int64
	// Unit is what an entry is called, such as "line".
	Unit string
}

// Refusal is an entry that was not understood.
type Refusal struct {
	File   string // within an archive; empty otherwise
	Line   int64  // 0 if there are no lines
	Reason string
}

const (
	// maxRefusals bounds what is kept of refusals; all are counted.
	maxRefusals = 1000
	// maxTopics bounds how many topics an import finds: some GiB of memory.
	maxTopics = 4_000_000
)

// collector gathers counts by topic.
type collector struct {
	found  map[tally.Topic]*Count
	result Result
	full   error // why no more can be kept
}

func newCollector(unit string) *collector {
	return &collector{
		found:  map[tally.Topic]*Count{},
		result: Result{Skipped: map[string]int64{}, Unit: unit},
	}
}

// add adds to a topic's count. A sum that no topic can have stays one, so that its edit
// is refused.
func (a *collector) add(topic tally.Topic, n int64) {
	if c := a.found[topic]; c != nil {
		c.Count = min(c.Count+n, tally.MaxValue+1)
		return
	}
	a.found[topic] = &Count{Topic: topic, Count: n, Seen: -1}
}

// atLeast raises a topic's count: for figures that several entries repeat.
func (a *collector) atLeast(topic tally.Topic, n int64) {
	if c := a.found[topic]; c == nil || c.Count < n {
		a.found[topic] = &Count{Topic: topic, Count: n, Seen: -1}
	}
}

// errSkip says that a line holds no entry.
var errSkip = errors.New("it holds no entry")

// record counts an entry, which was left out or refused if err is not nil. It returns an
// error if there is too much to keep.
func (a *collector) record(file string, line int64, err error) error {
	if errors.Is(err, errSkip) {
		return nil
	}
	a.result.Entries++
	switch {
	case errors.Is(err, errOtherHost):
		a.skip("entries of other hosts")
	case errors.Is(err, errNoHost):
		a.skip("entries without a host")
	case err != nil:
		a.refuse(file, line, err)
	}
	if len(a.found) > maxTopics {
		a.full = fmt.Errorf("it has more than %d topics; import it in parts", maxTopics)
	}
	return a.full
}

// refuse notes that an entry was not understood.
func (a *collector) refuse(file string, line int64, err error) {
	a.result.Refused++
	if len(a.result.Refusals) < maxRefusals {
		a.result.Refusals = append(a.result.Refusals, Refusal{file, line, err.Error()})
	}
}

func (a *collector) skip(why string) { a.result.Skipped[why]++ }

func (a *collector) note(format string, args ...any) {
	a.result.Notes = append(a.result.Notes, fmt.Sprintf(format, args...))
}

// noteHosts tells which hosts were left out or not found.
func (a *collector) noteHosts(chosen hostFilter) {
	if others := chosen.others(); others != "" {
		a.note("Pages of other hosts were left out: %s. To add hosts up, name them in one run: --host A --host B.", others)
	}
	if absent := chosen.absent(); len(absent) > 0 {
		a.note("No page is of %s.", strings.Join(absent, " or "))
	}
}

// sorted returns what was found.
func (a *collector) sorted() Result {
	a.result.Counts = make([]Count, 0, len(a.found))
	for _, c := range a.found {
		a.result.Counts = append(a.result.Counts, *c)
	}
	slices.SortFunc(a.result.Counts, func(x, y Count) int { return cmp.Compare(x.Topic.String(), y.Topic.String()) })
	return a.result
}
