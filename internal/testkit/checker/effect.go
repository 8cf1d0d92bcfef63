package checker

import "slices"

// effects returns the writes in the order of their effects. Loss of data is modelled as
// writes of unknown outcome: each visitor may be back at 0 or at an earlier amount.
func (h *History) effects() []Write {
	writes := h.Writes
	for _, f := range h.Faults {
		if f.LosesData {
			before, after := split(writes, f.Ended)
			writes = slices.Concat(before, lossWrites(before, f.Ended), after)
		}
	}
	return writes
}

// split returns the writes that were called until a moment, and the later ones.
func split(writes []Write, at Moment) (before, after []Write) {
	for _, w := range writes {
		if w.Called <= at {
			before = append(before, w)
		} else {
			after = append(after, w)
		}
	}
	return before, after
}

// lossWrites returns writes at a moment that model the loss of some of the writes before it.
func lossWrites(before []Write, at Moment) (all []Write) {
	type contribution struct {
		visitorTopic
		amount int64
	}
	known := map[contribution]bool{}
	for _, w := range before {
		for _, amount := range []int64{0, w.Amount} {
			c := contribution{visitorTopic{w.Topic, w.Visitor}, amount}
			if !known[c] {
				known[c] = true
				all = append(all, Write{Visitor: w.Visitor, Topic: w.Topic, Amount: amount, Called: at, Returned: at, Outcome: Unknown})
			}
		}
	}
	return all
}
