package checker

import (
	"cmp"
	"slices"
)

// calm knows by when viewers must be current.
type calm []Fault

// slowed returns the faults as they are on a machine that takes longer for all.
func slowed(faults []Fault, by Moment) calm {
	all := slices.Clone(faults)
	for i := range all {
		all[i].Ended += by
	}
	return all
}

// due returns by when what is known at a moment must be seen: Soon after it, and
// after the end of each fault that begins before that.
func (c calm) due(at Moment) Moment {
	due := at + Soon
	for _, f := range c {
		if f.Began <= due && f.Ended >= at {
			due = max(due, f.Ended+Soon)
		}
	}
	return due
}

// near tells whether something was broken while w was under way, or just before.
func (c calm) near(w Write) bool {
	return slices.ContainsFunc(c, func(f Fault) bool { return f.Began <= w.Returned && f.Ended+slack >= w.Called })
}

// forget tells whether the store lost things while w was under way.
func (c calm) forget(w Write) bool {
	return slices.ContainsFunc(c, func(f Fault) bool { return f.Forgets && f.Began <= w.Returned && f.Ended >= w.Called })
}

// judgeCurrency looks for viewers that were connected and not told.
func judgeCurrency(h *History, complain complain) {
	faults := slowed(h.Faults, h.Slowness)
	slices.SortFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Began, b.Began) })
	acknowledged := map[string][]Write{}
	for _, w := range h.Writes {
		if w.Outcome == Acknowledged {
			acknowledged[w.Topic] = append(acknowledged[w.Topic], w)
		}
	}
	for _, writes := range acknowledged {
		slices.SortFunc(writes, func(a, b Write) int { return cmp.Compare(a.Returned, b.Returned) })
	}
	for _, c := range h.Connections {
		for topic, since := range c.Watched {
			judgeWatch(h, c, topic, since, acknowledged[topic], faults, complain)
		}
	}
}

// judgeWatch looks at what one connection was told of one topic. writes are in the
// order of their acknowledgements, hence by when they are due as well.
func judgeWatch(h *History, c Connection, topic string, since Moment, writes []Write, faults calm, complain complain) {
	end := c.Ended
	if end == 0 {
		end = h.Judged
	}
	var shown int64 // the newest version by the time in question
	next := 0       // in c.Seen
	for _, w := range writes {
		due := faults.due(max(w.Returned, since) + h.Slowness)
		if due >= end {
			return
		}
		for ; next < len(c.Seen) && c.Seen[next].At <= due; next++ {
			if s := c.Seen[next]; s.Topic == topic {
				shown = max(shown, s.Version)
			}
		}
		if shown < w.Version {
			complain(RuleCurrent, "%s, of instance %d, showed %s at version %d while %d was acknowledged at %d and due at %d",
				c.Name, c.Instance, topic, shown, w.Version, w.Returned, due)
			return
		}
	}
}

// judgeDoubts looks for viewers who were told that numbers are current before they
// were told the numbers.
func judgeDoubts(h *History, complain complain) {
	for _, c := range h.Connections {
		for _, d := range c.Doubts {
			shown := map[string]int64{}
			for _, s := range c.Seen[:d.Seen] {
				shown[s.Topic] = max(shown[s.Topic], s.Version)
			}
			for _, w := range h.Writes {
				since := c.Watched[w.Topic]
				if w.Outcome == Acknowledged && since != 0 && since <= d.Began && w.Returned < d.Began && shown[w.Topic] < w.Version {
					complain(RuleLive, "%s, of instance %d, was told at %d that its numbers are current, and showed %s at version %d while %d was acknowledged at %d",
						c.Name, c.Instance, d.Ended, w.Topic, shown[w.Topic], w.Version, w.Returned)
					break
				}
			}
		}
	}
}
