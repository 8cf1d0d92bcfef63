package checker

import (
	"cmp"
	"slices"
)

// faultWindows are the times in which viewers may be out of date.
type faultWindows []Fault

// RecoverySteps is how many times the slowness of the machine a recovery takes: an instance connects,
// signs in, subscribes and reads, one after the other.
const RecoverySteps = 3

// extended returns the faults, each with the time that a recovery takes on a machine of this slowness.
func extended(faults []Fault, slowness Moment) faultWindows {
	all := slices.Clone(faults)
	for i := range all {
		all[i].Ended += RecoverySteps * slowness
	}
	return all
}

// deadline returns by when viewers must show a count that was acknowledged at a moment:
// MaxLag after the moment and after the end of each fault that begins before then.
func (faults faultWindows) deadline(at Moment) Moment {
	due := at + MaxLag
	for _, f := range faults {
		if f.Began <= due && f.Ended >= at {
			due = max(due, f.Ended+MaxLag)
		}
	}
	return due
}

// overlaps reports whether there was a fault during w, or at most versionTolerance before it.
func (faults faultWindows) overlaps(w Write) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return f.Began <= w.Returned && f.Ended+versionTolerance >= w.Called })
}

// losesData reports whether the store lost data during w.
func (faults faultWindows) losesData(w Write) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return f.LosesData && f.Began <= w.Returned && f.Ended >= w.Called })
}

// checkCurrent reports connected viewers that were out of date for too long.
func checkCurrent(h *History, report report) {
	faults := extended(h.Faults, h.Slowness)
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
			checkTopic(h, c, topic, since, acknowledged[topic], faults, report)
		}
	}
}

// checkTopic checks the frames of one topic on one connection. writes are in the order of
// their acknowledgements, which is also the order of their deadlines.
func checkTopic(h *History, c Connection, topic string, since Moment, writes []Write, faults faultWindows, report report) {
	end := c.Ended
	if end == 0 {
		end = h.ObservedUntil
	}
	var shown int64 // the newest version at the deadline
	next := 0       // index in c.Seen
	for _, w := range writes {
		due := faults.deadline(max(w.Returned, since) + h.Slowness)
		if due >= end {
			return
		}
		for ; next < len(c.Seen) && c.Seen[next].At <= due; next++ {
			if s := c.Seen[next]; s.Topic == topic {
				shown = max(shown, s.Version)
			}
		}
		if shown < w.Version {
			report(RuleCurrent, "%s, of instance %d, showed %s at version %d while %d was acknowledged at %d and due at %d",
				c.Name, c.Instance, topic, shown, w.Version, w.Returned, due)
			return
		}
	}
}

// checkLive reports viewers that received live before the current counts.
func checkLive(h *History, report report) {
	for _, c := range h.Connections {
		for _, stale := range c.StalePeriods {
			shown := map[string]int64{}
			for _, s := range c.Seen[:stale.Seen] {
				shown[s.Topic] = max(shown[s.Topic], s.Version)
			}
			for _, w := range h.Writes {
				since := c.Watched[w.Topic]
				if w.Outcome == Acknowledged && since != 0 && since <= stale.Began && w.Returned < stale.Began && shown[w.Topic] < w.Version {
					report(RuleLive, "%s, of instance %d, received live at %d and showed %s at version %d, but %d was acknowledged at %d",
						c.Name, c.Instance, stale.Ended, w.Topic, shown[w.Topic], w.Version, w.Returned)
					break
				}
			}
		}
	}
}
