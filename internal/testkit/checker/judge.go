package checker

import (
	"fmt"
	"slices"
)

// Rule names a promise.
type Rule string

const (
	// RuleAnswer: an acknowledgement tells what its write did.
	RuleAnswer Rule = "answer"
	// RuleKept: what a visitor contributes at the end is one of what its own writes
	// allow: the last acknowledged, or one of unknown outcome after it.
	RuleKept Rule = "kept"
	// RuleOnce: a count is the sum of what visitors contribute.
	RuleOnce Rule = "once"
	// RuleGrows: on one connection a topic's versions only grow.
	RuleGrows Rule = "grows"
	// RuleExisted: what was seen was stored at that time, and a version stands for
	// one count.
	RuleExisted Rule = "existed"
	// RuleCurrent: a connected viewer shows what was acknowledged, or newer, within
	// [Soon] of the acknowledgement and of the end of every fault at that time.
	RuleCurrent Rule = "current"
	// RuleLive: who is told that numbers are current again was told the numbers first.
	RuleLive Rule = "live"
	// RuleEnds: a viewer that is connected at the end shows the stored number and
	// was told that its numbers are current.
	RuleEnds Rule = "ends"
)

// Soon is how long viewers may take to be current once nothing is broken, in
// microseconds: what the contract says.
const Soon = 5_000_000

// Violation is a promise that was broken.
type Violation struct {
	Rule   Rule
	Detail string
}

func (v Violation) String() string { return string(v.Rule) + ": " + v.Detail }

// complain notes a violation.
type complain func(rule Rule, format string, args ...any)

// maxOfRule is how many violations of one rule are told: the first few say it all.
const maxOfRule = 5

// Judge returns what in h breaks a promise.
func Judge(h *History) (found []Violation) {
	told := map[Rule]int{}
	complain := func(rule Rule, format string, args ...any) {
		if told[rule]++; told[rule] <= maxOfRule {
			found = append(found, Violation{rule, fmt.Sprintf(format, args...)})
		}
	}
	judgeCounts(h, complain)
	judgeOrder(h, complain)
	judgeExistence(h, complain)
	judgeCurrency(h, complain)
	judgeDoubts(h, complain)
	judgeEnds(h, complain)
	return found
}

// judgeCounts compares what is stored with what was written.
func judgeCounts(h *History, complain complain) {
	contributions := possible(h.effects(), h.Faults, complain)
	finals := map[string]Final{}
	for _, f := range h.Final {
		finals[f.Topic] = f
		var sum int64
		for _, mine := range f.Mine {
			sum += mine
		}
		if f.Count != sum {
			complain(RuleOnce, "%s is %d, and visitors contribute %d", f.Topic, f.Count, sum)
		}
	}
	for p, amounts := range contributions {
		f, read := finals[p.topic]
		if mine := f.Mine[p.visitor]; read && !amounts[mine] {
			complain(RuleKept, "%s contributes %d to %s, and only %v is possible", p.visitor, mine, p.topic, amounts.sorted())
		}
	}
	for _, f := range h.Final {
		for visitor, mine := range f.Mine {
			if mine != 0 && contributions[pair{f.Topic, visitor}] == nil {
				complain(RuleKept, "%s contributes %d to %s, which it never wrote to", visitor, mine, f.Topic)
			}
		}
	}
	for _, w := range h.Writes {
		if f, read := finals[w.Topic]; w.Outcome == Acknowledged && read && w.Version > f.Version && !h.forgotten(f) {
			complain(RuleKept, "%s was acknowledged at version %d and is stored at %d", w.Topic, w.Version, f.Version)
		}
	}
}

// forgotten tells whether a store that forgot lost the topic: there is no version that
// a viewer who shows 0 could lack, and the next one is above all.
func (h *History) forgotten(f Final) bool {
	return f.Version == 0 && slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Forgets })
}

// judgeOrder looks for versions that go back.
func judgeOrder(h *History, complain complain) {
	for _, c := range h.Connections {
		newest := map[string]int64{}
		for _, s := range c.Seen {
			if before, seen := newest[s.Topic]; seen && s.Version <= before {
				complain(RuleGrows, "%s was sent %s at version %d after %d", c.Name, s.Topic, s.Version, before)
			}
			newest[s.Topic] = s.Version
		}
	}
}

// judgeExistence compares what was seen with what can have been stored.
func judgeExistence(h *History, complain complain) {
	var apart []Fault // of which what was seen need not fit together
	for _, f := range h.Faults {
		if f.Clock {
			return
		}
		if f.Split || f.Forgets {
			apart = append(apart, f)
		}
	}
	all := boundsOf(h.effects())
	type state struct {
		topic   string
		version int64
	}
	counts := map[state]int64{}
	see := func(who string, s Sighting) {
		if s.Version == 0 {
			if s.Count != 0 {
				complain(RuleExisted, "%s saw %s at %d with version 0", who, s.Topic, s.Count)
			}
			return
		}
		for _, f := range apart {
			if s.Version >= int64(f.Began) && s.Version <= int64(f.Ended) {
				return
			}
		}
		at := state{s.Topic, s.Version}
		if count, seen := counts[at]; seen && count != s.Count {
			complain(RuleExisted, "%s saw %s at %d with version %d, which was %d elsewhere", who, s.Topic, s.Count, s.Version, count)
		}
		counts[at] = s.Count
		if least, most := all[s.Topic].of(Moment(s.Version)); s.Count < least || s.Count > most {
			complain(RuleExisted, "%s saw %s at %d with version %d, when it was %d to %d", who, s.Topic, s.Count, s.Version, least, most)
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
			see(w.Visitor, Sighting{Topic: w.Topic, Count: w.Count, Version: w.Version})
		}
	}
	for _, f := range h.Final {
		see("the end", Sighting{Topic: f.Topic, Count: f.Count, Version: f.Version})
	}
}

// judgeEnds looks at those who are connected at the end.
func judgeEnds(h *History, complain complain) {
	for _, c := range h.Connections {
		if c.Ended != 0 {
			continue
		}
		if c.Stale {
			complain(RuleEnds, "%s still believes that its numbers may be old", c.Name)
		}
		last := map[string]Sighting{}
		for _, s := range c.Seen {
			last[s.Topic] = s
		}
		for _, f := range h.Final {
			if c.Watched[f.Topic] == 0 {
				continue
			}
			if s := last[f.Topic]; s.Count != f.Count || s.Version != f.Version && !h.forgotten(f) {
				complain(RuleEnds, "%s shows %s at %d, version %d; stored is %d, version %d", c.Name, f.Topic, s.Count, s.Version, f.Count, f.Version)
			}
		}
	}
}
