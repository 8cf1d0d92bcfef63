package tally

import (
	"fmt"
	"maps"
	"strings"
)

// A store keeps the rule of each metric that has data, since data of one kind cannot be
// read as another: who contributed would not be recognised, and would count again.

// Conflict reports why r must not be applied to a metric's data, which was written under
// the stored rule, or under one of several where the store could only deduce it. It
// returns nil if one of them is the same, or allows less of the same kind. A stored
// window of 0 is one of unknown length.
func (r Rule) Conflict(metric string, stored ...Rule) error {
	names := make([]string, len(stored))
	for i, s := range stored {
		if r.extends(s) {
			return nil
		}
		names[i] = s.String()
		if s.Kind == Window && s.Window == 0 {
			names[i] = "window:DURATION"
		}
	}
	if len(stored) == 0 {
		return nil
	}
	why := "its visitors would be counted twice"
	if r.Kind == stored[0].Kind && r.Kind == Amount {
		why = "what some visitors gave is more than they may give now"
	}
	return fmt.Errorf("the metric %s is %s here, but its data was counted as %s: %s. Start with --metric %s=%s, give the new metric another name, or delete the topics of the old one first",
		metric, r, strings.Join(names, " or "), why, metric, names[0])
}

// extends reports whether all that was allowed by stored is allowed by r.
func (r Rule) extends(stored Rule) bool {
	anyLength := stored.Kind == Window && stored.Window == 0
	return r.Kind == stored.Kind && (anyLength || r.Window == stored.Window) && r.Max >= stored.Max
}

// StoredRules are the rules that a store keeps, by metric, as text: a later release may know
// more kinds.
type StoredRules map[string]string

// Conflict returns the conflict of a metric's rule with the one that is kept, and whether
// one is kept. The rule of a metric that allows less than the kept one is a conflict only
// where strict is set.
func (k StoredRules) Conflict(metric string, r Rule, strict bool) (kept bool, err error) {
	text, kept := k[metric]
	if !kept || text == r.String() {
		return kept, nil
	}
	stored, err := ParseRule(text)
	if err != nil {
		return true, fmt.Errorf("the metric %s is %s here, but its data was counted as %s, which this release does not know: a later one wrote it", metric, r, text)
	}
	if !strict {
		stored.Max = min(stored.Max, r.Max)
	}
	return true, r.Conflict(metric, stored)
}

// AdoptRules has an open catalog take the rules that a store keeps, but for metrics that were
// declared otherwise than by default, and those that it learnt before. It does nothing to
// other catalogs.
func (c *Catalog) AdoptRules(kept StoredRules) {
	if !c.open {
		return
	}
	c.learning.Lock()
	defer c.learning.Unlock()
	learnt := map[string]Rule{}
	if before := c.learnt.Load(); before != nil {
		maps.Copy(learnt, *before)
	}
	defaults := DefaultMetrics()
	for metric, text := range kept {
		_, known := learnt[metric]
		rule, err := ParseRule(text)
		if given, ok := c.metrics[metric]; err == nil && !known && (!ok || given == defaults[metric]) {
			learnt[metric] = rule
		}
	}
	c.learnt.Store(&learnt)
}
