package checker

import (
	"fmt"
	"slices"
)

// Rule names a promise.
type Rule string

const (
	// RuleAcknowledgement: an acknowledgement describes the effect of its write.
	RuleAcknowledgement Rule = "acknowledgement"
	// RuleContribution: at the end a visitor contributes the amount of its last
	// acknowledged write, or of a later write of unknown outcome.
	RuleContribution Rule = "contribution"
	// RuleSum: a count is the sum of the visitors' contributions.
	RuleSum Rule = "sum"
	// RuleOptions: the options of each count that a client sees add up to it.
	RuleOptions Rule = "options"
	// RuleVersion: on one connection a topic's versions only grow.
	RuleVersion Rule = "version"
	// RuleExisted: a received count was stored at that time, and each version belongs to
	// one count.
	RuleExisted Rule = "existed"
	// RuleCurrent: a connected viewer shows an acknowledged count, or a newer one, within
	// [MaxLag] after the acknowledgement, or after the end of a fault at that time.
	RuleCurrent Rule = "current"
	// RuleLive: after stale, a viewer receives the current counts before live.
	RuleLive Rule = "live"
	// RuleFinal: a viewer that is connected at the end is live and shows the stored count.
	RuleFinal Rule = "final"
)

// MaxLag is how long viewers may take to be current without a fault, in microseconds, by
// the contract.
const MaxLag = 5_000_000

// Violation is a broken promise.
type Violation struct {
	Rule   Rule
	Detail string
}

func (v Violation) String() string { return string(v.Rule) + ": " + v.Detail }

// report records a violation.
type report func(rule Rule, format string, args ...any)

// maxPerRule is how many violations of one rule Check returns.
const maxPerRule = 5

// Check returns the violations in h.
func Check(h *History) (found []Violation) {
	reported := map[Rule]int{}
	report := func(rule Rule, format string, args ...any) {
		if reported[rule]++; reported[rule] <= maxPerRule {
			found = append(found, Violation{rule, fmt.Sprintf(format, args...)})
		}
	}
	checkCounts(h, report)
	checkVersionOrder(h, report)
	checkExistence(h, report)
	checkCurrent(h, report)
	checkLive(h, report)
	checkEnds(h, report)
	return found
}

// checkCounts compares the stored counts with the writes.
func checkCounts(h *History, report report) {
	contributions := candidates(h.effects(), h.Faults, report)
	finals := map[string]Final{}
	for _, f := range h.Final {
		finals[f.Topic] = f
		for _, c := range h.countsOf(f.Topic) {
			var sum int64
			for _, mine := range f.Mine {
				sum += h.value(c, mine)
			}
			if count := countIn(f.Count, f.Options, c); count != sum {
				report(RuleSum, "%s (option %d) is %d, but visitors contribute %d", f.Topic, c.option, count, sum)
			}
		}
	}
	for p, amounts := range contributions {
		f, read := finals[p.topic]
		if mine := f.Mine[p.visitor]; read && !amounts[mine] {
			report(RuleContribution, "%s contributes %d to %s, but only %v is possible", p.visitor, mine, p.topic, amounts.sorted())
		}
	}
	for _, f := range h.Final {
		for visitor, mine := range f.Mine {
			if mine != 0 && contributions[visitorTopic{f.Topic, visitor}] == nil {
				report(RuleContribution, "%s contributes %d to %s without a write", visitor, mine, f.Topic)
			}
		}
	}
	for _, w := range h.Writes {
		if f, read := finals[w.Topic]; w.Outcome == Acknowledged && read && w.Version > f.Version && !h.topicLost(f) {
			report(RuleContribution, "%s was acknowledged at version %d, but is stored at %d", w.Topic, w.Version, f.Version)
		}
	}
}

// countIn returns the count c in a state with a count and options; -1 if the state has no such
// option.
func countIn(count int64, options []int64, c countOf) int64 {
	switch {
	case c.option == 0:
		return count
	case c.option > len(options):
		return -1
	}
	return options[c.option-1]
}

// checkOptions reports options that do not add up to the count.
func (h *History) checkOptions(who string, s Observation, report report) {
	sum := s.Count
	for _, n := range s.Options {
		sum -= n
	}
	if len(s.Options) != h.Choices[s.Topic] || len(s.Options) > 0 && sum != 0 {
		report(RuleOptions, "%s saw %s at %d with the options %v", who, s.Topic, s.Count, s.Options)
	}
}

// topicLost reports whether the store lost the topic. Viewers then show 0 under any version,
// and the next version is above all of these.
func (h *History) topicLost(f Final) bool {
	return f.Version == 0 && slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.LosesData })
}

// checkVersionOrder reports versions that do not grow.
func checkVersionOrder(h *History, report report) {
	for _, c := range h.Connections {
		newest := map[string]int64{}
		for _, s := range c.Seen {
			if before, seen := newest[s.Topic]; seen && s.Version <= before {
				report(RuleVersion, "%s received %s at version %d after %d", c.Name, s.Topic, s.Version, before)
			}
			newest[s.Topic] = s.Version
		}
	}
}

// checkExistence compares received counts with the counts that can have been stored.
func checkExistence(h *History, report report) {
	var inconsistent []Fault // during which counts may contradict each other
	setsClock := false
	for _, f := range h.Faults {
		setsClock = setsClock || f.SetsClock
		if f.Split || f.LosesData {
			inconsistent = append(inconsistent, f)
		}
	}
	all := h.boundsOf(h.effects())
	type state struct {
		topic   string
		version int64
	}
	counts := map[state]Observation{}
	see := func(who string, s Observation) {
		h.checkOptions(who, s, report)
		if setsClock {
			return
		}
		if s.Version == 0 {
			if s.Count != 0 {
				report(RuleExisted, "%s saw %s at %d with version 0", who, s.Topic, s.Count)
			}
			return
		}
		for _, f := range inconsistent {
			if s.Version >= int64(f.Began) && s.Version <= int64(f.Ended) {
				return
			}
		}
		at := state{s.Topic, s.Version}
		if other, seen := counts[at]; seen && (other.Count != s.Count || !slices.Equal(other.Options, s.Options)) {
			report(RuleExisted, "%s saw %s at %d %v with version %d, another connection saw %d %v", who, s.Topic, s.Count, s.Options, s.Version, other.Count, other.Options)
		}
		counts[at] = s
		for _, c := range h.countsOf(s.Topic) {
			count := countIn(s.Count, s.Options, c)
			if least, most := all[c].of(Moment(s.Version)); count < least || count > most {
				report(RuleExisted, "%s saw %s (option %d) at %d with version %d, but it was between %d and %d", who, s.Topic, c.option, count, s.Version, least, most)
			}
		}
	}
	for _, c := range h.Connections {
		for _, s := range c.Seen {
			see(c.Name, s)
		}
	}
	for _, s := range h.Reads {
		see("a reader", s)
	}
	for _, w := range h.Writes {
		if w.Outcome == Acknowledged {
			see(w.Visitor, Observation{Topic: w.Topic, Count: w.Count, Options: w.Options, Version: w.Version})
		}
	}
	for _, f := range h.Final {
		see("the final read", Observation{Topic: f.Topic, Count: f.Count, Options: f.Options, Version: f.Version})
	}
}

// checkEnds checks the viewers that are connected at the end.
func checkEnds(h *History, report report) {
	for _, c := range h.Connections {
		if c.Ended != 0 {
			continue
		}
		if c.Stale {
			report(RuleFinal, "%s is still stale", c.Name)
		}
		last := map[string]Observation{}
		for _, s := range c.Seen {
			last[s.Topic] = s
		}
		for _, f := range h.Final {
			if c.Watched[f.Topic] == 0 {
				continue
			}
			if s := last[f.Topic]; s.Count != f.Count || !slices.Equal(s.Options, f.Options) || s.Version != f.Version && !h.topicLost(f) {
				report(RuleFinal, "%s shows %s at %d, version %d; the store has %d, version %d", c.Name, f.Topic, s.Count, s.Version, f.Count, f.Version)
			}
		}
	}
}
