package tally

import (
	"fmt"
	"maps"
	"strings"
)

// A store keeps the rule of each metric that has data. Data of one kind cannot be read as
// data of another: members would not be recognised, and would count again.

// Conflict returns an error if data of the metric cannot be used under rule r. stored is the
// rule under which the data was written, or the candidates if the store could only deduce it.
// r must allow all that one of them allows. A stored window of 0 has an unknown length.
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
		why = "some visitors gave more than they may give now"
	}
	if r.Kind == stored[0].Kind && r.Kind == Choice {
		why = "some visitors may have chosen an option that it does not have now"
	}
	return fmt.Errorf("the metric %s is %s here, but its data was counted as %s: %s. Start with --metric %s=%s, give the new metric another name, or delete the topics of the old one first",
		metric, r, strings.Join(names, " or "), why, metric, names[0])
}

// extends reports whether r allows everything that stored allows.
func (r Rule) extends(stored Rule) bool {
	anyLength := stored.Kind == Window && stored.Window == 0
	return r.Kind == stored.Kind && (anyLength || r.Window == stored.Window) && r.Max >= stored.Max
}

// StoredRules are the rules in a store, by metric. They are text, because a later release may
// have stored a kind that this one does not know.
type StoredRules map[string]string

// Conflict returns the conflict of a metric's rule r with the stored rule, and whether
// there is a stored rule. A rule that allows less is a conflict only with strict.
func (k StoredRules) Conflict(metric string, r Rule, strict bool) (isStored bool, err error) {
	text, isStored := k[metric]
	if !isStored || text == r.String() {
		return isStored, nil
	}
	stored, err := ParseRule(text)
	if err != nil {
		return true, fmt.Errorf("the metric %s is %s here, but its data was counted as %s, which this release does not know: a later release wrote it", metric, r, text)
	}
	if !strict {
		stored.Max = min(stored.Max, r.Max)
	}
	return true, r.Conflict(metric, stored)
}

// AdoptRules gives an open catalog the rules in a store, except for metrics whose declared
// rule is not the default, or whose rule it adopted before. It does nothing to other catalogs.
func (c *Catalog) AdoptRules(stored StoredRules) {
	if !c.isOpen {
		return
	}
	c.adopting.Lock()
	defer c.adopting.Unlock()
	adopted := map[string]Rule{}
	if before := c.adopted.Load(); before != nil {
		maps.Copy(adopted, *before)
	}
	defaults := DefaultMetrics()
	for metric, text := range stored {
		_, isAdopted := adopted[metric]
		rule, err := ParseRule(text)
		if declared, ok := c.metrics[metric]; err == nil && !isAdopted && (!ok || declared == defaults[metric]) {
			adopted[metric] = rule
		}
	}
	c.adopted.Store(&adopted)
}
