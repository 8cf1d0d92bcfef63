package checker

import "slices"

// effects returns what may have had an effect on the store, in the order in which it
// had. A store that forgets does what a write of each visitor would do that asserts,
// with unknown outcome, something that the visitor asserted before, or nothing.
func (h *History) effects() []Write {
	writes := h.Writes
	for _, f := range h.Faults {
		if f.Forgets {
			writes = slices.Concat(before(writes, f), forgotten(writes, f), after(writes, f))
		}
	}
	return writes
}

func before(writes []Write, f Fault) []Write { return called(writes, f, true) }
func after(writes []Write, f Fault) []Write  { return called(writes, f, false) }

// called returns the writes that were called before the fault's end, or those after.
func called(writes []Write, f Fault, before bool) (its []Write) {
	for _, w := range writes {
		if (w.Called <= f.Ended) == before {
			its = append(its, w)
		}
	}
	return its
}

func forgotten(writes []Write, f Fault) (all []Write) {
	type contribution struct {
		pair
		amount int64
	}
	known := map[contribution]bool{}
	for _, w := range before(writes, f) {
		for _, amount := range []int64{0, w.Amount} {
			c := contribution{pair{w.Topic, w.Visitor}, amount}
			if !known[c] {
				known[c] = true
				all = append(all, Write{Visitor: w.Visitor, Topic: w.Topic, Amount: amount, Called: f.Ended, Returned: f.Ended, Outcome: Unknown})
			}
		}
	}
	return all
}
