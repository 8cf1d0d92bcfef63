package checker

import (
	"cmp"
	"maps"
	"slices"
)

// visitorTopic is one visitor on one topic.
type visitorTopic struct{ topic, visitor string }

// amounts is the set of amounts that a visitor may contribute.
type amounts map[int64]bool

func (s amounts) only(amount int64) bool { return len(s) == 1 && s[amount] }

func (s amounts) sorted() []int64 { return slices.Sorted(maps.Keys(s)) }

// candidates follows the writes and returns the amounts that each visitor may contribute
// to each topic at the end. It reports acknowledgements that contradict the amounts before
// them. During a fault an assertion may reach the store twice; the second changes nothing.
func candidates(writes []Write, faults faultWindows, report report) map[visitorTopic]amounts {
	contributions := map[visitorTopic]amounts{}
	for _, w := range writes {
		p := visitorTopic{w.Topic, w.Visitor}
		before := contributions[p]
		if before == nil {
			before = amounts{0: true}
		}
		switch w.Outcome {
		case Acknowledged:
			if w.Mine != w.Amount {
				report(RuleAcknowledgement, "%s asserted %d on %s, and the acknowledgement says %d", w.Visitor, w.Amount, w.Topic, w.Mine)
			}
			if w.Changed && before.only(w.Amount) && !faults.losesData(w) || !w.Changed && !before[w.Amount] && !faults.overlaps(w) {
				report(RuleAcknowledgement, "%s asserted %d on %s at version %d, changed %v, with candidates %v before",
					w.Visitor, w.Amount, w.Topic, w.Version, w.Changed, before.sorted())
			}
			contributions[p] = amounts{w.Amount: true}
		case Unknown:
			after := maps.Clone(before)
			after[w.Amount] = true
			contributions[p] = after
		}
	}
	return contributions
}

// versionTolerance is how far a version may be from the time of its count, in
// microseconds: versions of one topic differ even within a microsecond.
const versionTolerance = 2_000

// endOfTime is later than every event.
const endOfTime = Moment(1) << 62

// bounds are the least and the greatest possible count of a topic at each time.
type bounds struct {
	at          []Moment // ascending
	least, most []int64  // from that moment on
}

// interval is a time in which a visitor may contribute an amount to a topic.
type interval struct {
	from, to Moment
	amount   int64
}

// boundsOf returns the bounds of each count of the written topics.
func (h *History) boundsOf(writes []Write) map[countOf]*bounds {
	byPair := map[visitorTopic][]Write{}
	for _, w := range writes {
		if w.Outcome != Refused {
			p := visitorTopic{w.Topic, w.Visitor}
			byPair[p] = append(byPair[p], w)
		}
	}
	steps := map[countOf][]step{}
	for p, writes := range byPair {
		for _, c := range h.countsOf(p.topic) {
			steps[c] = append(steps[c], stepsOf(writes, func(amount int64) int64 { return h.value(c, amount) })...)
		}
	}
	all := map[countOf]*bounds{}
	for c, steps := range steps {
		slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
		b, least, most := &bounds{}, int64(0), int64(0)
		for _, s := range steps {
			least, most = least+s.least, most+s.most
			b.at, b.least, b.most = append(b.at, s.at), append(b.least, least), append(b.most, most)
		}
		all[c] = b
	}
	return all
}

// step is a change of a topic's bounds.
type step struct {
	at          Moment
	least, most int64
}

// stepsOf returns the changes of the bounds by the writes of one visitor to one topic. value
// returns what a contribution of an amount adds to the count.
func stepsOf(writes []Write, value func(amount int64) int64) (steps []step) {
	all := []interval{{from: -endOfTime, to: endOfTime, amount: 0}}
	open := 0 // from this index on, the end of the interval is not known yet
	for _, w := range writes {
		if w.Outcome == Acknowledged {
			for ; open < len(all); open++ {
				all[open].to = w.Returned + versionTolerance
			}
		}
		all = append(all, interval{from: w.Called - versionTolerance, to: endOfTime, amount: value(w.Amount)})
	}
	moments := make([]Moment, 0, 2*len(all))
	for _, i := range all[1:] {
		moments = append(moments, i.from)
	}
	for _, i := range all[:open] {
		moments = append(moments, i.to)
	}
	slices.Sort(moments)
	var least, most int64 // before the first write
	var now []interval    // those that contain the moment m
	next := 1
	for _, m := range slices.Compact(moments) {
		for ; next < len(all) && all[next].from <= m; next++ {
			now = append(now, all[next])
		}
		now = slices.DeleteFunc(now, func(i interval) bool { return i.to <= m })
		low, high := int64(1)<<62, int64(-1)
		if all[0].to > m {
			low, high = 0, 0
		}
		for _, i := range now {
			low, high = min(low, i.amount), max(high, i.amount)
		}
		if low != least || high != most {
			steps = append(steps, step{m, low - least, high - most})
			least, most = low, high
		}
	}
	return steps
}

// of returns the bounds at a moment.
func (b *bounds) of(at Moment) (least, most int64) {
	if b == nil {
		return 0, 0
	}
	i, _ := slices.BinarySearch(b.at, at+1) // the first step after at
	if i == 0 {
		return 0, 0
	}
	return b.least[i-1], b.most[i-1]
}
