package exchange

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Count is a topic's count, without who contributed.
type Count struct {
	Topic tally.Topic
	Count int64
	// Seen is how many visitors the other counter remembers; below 0 where it does not.
	Seen int64
}

// Counts are what an importer found.
type Counts struct {
	Counts  []Count   // sorted by topic, each topic once
	Refused []Refusal // what was not understood, the first maxRefusals
	// LeftOut says how much was left out on purpose, by why, such as "of bots".
	LeftOut map[string]int64
	// Entries are how many rows, objects or keys were read, and how many of them refused.
	Entries, RefusedEntries int64
	// Unit is what an entry is called, such as "line".
	Unit string
}

// maxRefusals bounds what is kept of refusals; all are counted.
const maxRefusals = 1000

// adder gathers counts by topic.
type adder struct {
	found  map[tally.Topic]*Count
	result Counts
	hosts  map[string]int64 // how many entries each host has
}

func newAdder(unit string) *adder {
	return &adder{
		found:  map[tally.Topic]*Count{},
		hosts:  map[string]int64{},
		result: Counts{LeftOut: map[string]int64{}, Unit: unit},
	}
}

// add adds to a topic's count.
func (a *adder) add(topic tally.Topic, n int64) {
	if c := a.found[topic]; c != nil {
		c.Count = min(c.Count+n, maxExact)
		return
	}
	a.found[topic] = &Count{Topic: topic, Count: n, Seen: -1}
}

// atLeast raises a topic's count: for figures that several entries repeat.
func (a *adder) atLeast(topic tally.Topic, n int64) {
	if c := a.found[topic]; c == nil || c.Count < n {
		a.found[topic] = &Count{Topic: topic, Count: n, Seen: -1}
	}
}

// refuse notes that an entry was not understood. Entries are counted from 1.
func (a *adder) refuse(entry int64, err error) {
	a.result.RefusedEntries++
	if len(a.result.Refused) < maxRefusals {
		a.result.Refused = append(a.result.Refused, Refusal{Line: entry, Reason: err.Error()})
	}
}

func (a *adder) leaveOut(why string) { a.result.LeftOut[why]++ }

// counts returns what was found.
func (a *adder) counts() Counts {
	a.result.Counts = make([]Count, 0, len(a.found))
	for _, c := range a.found {
		a.result.Counts = append(a.result.Counts, *c)
	}
	slices.SortFunc(a.result.Counts, func(x, y Count) int { return cmp.Compare(x.Topic.String(), y.Topic.String()) })
	return a.result
}

// oneHost refuses entries of several hosts of which none was chosen: their pages
// would be counted together.
func (a *adder) oneHost(naming Naming) error {
	if naming.Host != "" || len(a.hosts) < 2 {
		return nil
	}
	var names []string
	for _, host := range slices.Sorted(maps.Keys(a.hosts)) {
		if len(names) == maxHostsNamed {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%s (%d)", host, a.hosts[host]))
	}
	return fmt.Errorf("the file has pages of several hosts: %s; say with --host whose pages to take", strings.Join(names, ", "))
}

// maxHostsNamed is how many hosts a message names.
const maxHostsNamed = 20

// checkCount tells why n cannot be a count.
func checkCount(n int64) error {
	if n < 0 || n > maxExact {
		return fmt.Errorf("%d cannot be a count", n)
	}
	return nil
}
