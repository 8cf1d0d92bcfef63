package checker

import "slices"

// effects returns the writes in the order of their effects. Loss of data is modelled as
// writes of unknown outcome: each visitor may be back at 0 or at an earlier amount.
func (h *History) effects() []Write {
	writes := h.Writes
	for _, f := range h.Faults {
		if f.LosesData {
			writes = slices.Concat(before(writes, f), lossWrites(writes, f), after(writes, f))
		}
	}
	return writes
}

func before(writes []Write, f Fault) []Write { return callsRelativeTo(writes, f, true) }
func after(writes []Write, f Fault) []Write  { return callsRelativeTo(writes, f, false) }

// callsRelativeTo returns the writes called before the end of the fault, or after it.
func callsRelativeTo(writes []Write, f Fault, before bool) (its []Write) {
	for _, w := range writes {
		if (w.Called <= f.Ended) == before {
			its = append(its, w)
		}
	}
	return its
}

func lossWrites(writes []Write, f Fault) (all []Write) {
	type contribution struct {
		visitorTopic
		amount int64
	}
	known := map[contribution]bool{}
	for _, w := range before(writes, f) {
		for _, amount := range []int64{0, w.Amount} {
			c := contribution{visitorTopic{w.Topic, w.Visitor}, amount}
			if !known[c] {
				known[c] = true
				all = append(all, Write{Visitor: w.Visitor, Topic: w.Topic, Amount: amount, Called: f.Ended, Returned: f.Ended, Outcome: Unknown})
			}
		}
	}
	return all
}
