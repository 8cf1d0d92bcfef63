package checker

import (
	"cmp"
	"maps"
	"slices"
)

// pair is one visitor on one topic.
type pair struct{ topic, visitor string }

// set is the amounts that a visitor may contribute.
type set map[int64]bool

func (s set) only(amount int64) bool { return len(s) == 1 && s[amount] }

func (s set) sorted() []int64 { return slices.Sorted(maps.Keys(s)) }

// possible follows the writes and returns what each pair may contribute at the end.
// Where an acknowledgement does not fit what was possible before it, it complains.
// While something is broken an assertion may have been made twice on the way to the
// store, whose first answer was lost: the second changes nothing.
func possible(writes []Write, faults calm, complain complain) map[pair]set {
	contributions := map[pair]set{}
	for _, w := range writes {
		p := pair{w.Topic, w.Visitor}
		before := contributions[p]
		if before == nil {
			before = set{0: true}
		}
		switch w.Outcome {
		case Acknowledged:
			if w.Mine != w.Amount {
				complain(RuleAnswer, "%s asserted %d on %s and was told %d", w.Visitor, w.Amount, w.Topic, w.Mine)
			}
			if w.Changed && before.only(w.Amount) && !faults.forget(w) || !w.Changed && !before[w.Amount] && !faults.near(w) {
				complain(RuleAnswer, "%s asserted %d on %s at version %d, changed %v, after %v was possible",
					w.Visitor, w.Amount, w.Topic, w.Version, w.Changed, before.sorted())
			}
			contributions[p] = set{w.Amount: true}
		case Unknown:
			after := maps.Clone(before)
			after[w.Amount] = true
			contributions[p] = after
		}
	}
	return contributions
}

// slack is how far a version may be from the time at which its count held, in
// microseconds: versions of one topic differ, also within a microsecond.
const slack = 2_000

// never is after all that happens.
const never = Moment(1) << 62

// bounds are the least and the greatest count that a topic may have had at any time.
type bounds struct {
	at          []Moment // ascending
	least, most []int64  // from that moment on
}

// held is a time during which a pair may have contributed an amount.
type held struct {
	from, to Moment
	amount   int64
}

// boundsOf returns the bounds of each topic that was written.
func boundsOf(writes []Write) map[string]*bounds {
	byPair := map[pair][]Write{}
	for _, w := range writes {
		if w.Outcome != Refused {
			p := pair{w.Topic, w.Visitor}
			byPair[p] = append(byPair[p], w)
		}
	}
	steps := map[string][]step{}
	for p, writes := range byPair {
		steps[p.topic] = append(steps[p.topic], stepsOf(writes)...)
	}
	all := map[string]*bounds{}
	for topic, steps := range steps {
		slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
		b, least, most := &bounds{}, int64(0), int64(0)
		for _, s := range steps {
			least, most = least+s.least, most+s.most
			b.at, b.least, b.most = append(b.at, s.at), append(b.least, least), append(b.most, most)
		}
		all[topic] = b
	}
	return all
}

// step is by how much the bounds of a topic change at a moment.
type step struct {
	at          Moment
	least, most int64
}

// stepsOf returns how the bounds change by the writes of one pair, in their order.
func stepsOf(writes []Write) (steps []step) {
	all := []held{{from: -never, to: never, amount: 0}}
	open := 0 // from here on, nothing says yet when the amount ended
	for _, w := range writes {
		if w.Outcome == Acknowledged {
			for ; open < len(all); open++ {
				all[open].to = w.Returned + slack
			}
		}
		all = append(all, held{from: w.Called - slack, to: never, amount: w.Amount})
	}
	moments := make([]Moment, 0, 2*len(all))
	for _, h := range all[1:] {
		moments = append(moments, h.from)
	}
	for _, h := range all[:open] {
		moments = append(moments, h.to)
	}
	slices.Sort(moments)
	var least, most int64 // of the pair, before anything was written
	var now []held        // those that may hold at a moment
	next := 1
	for _, m := range slices.Compact(moments) {
		for ; next < len(all) && all[next].from <= m; next++ {
			now = append(now, all[next])
		}
		now = slices.DeleteFunc(now, func(h held) bool { return h.to <= m })
		low, high := int64(1)<<62, int64(-1)
		if all[0].to > m {
			low, high = 0, 0
		}
		for _, h := range now {
			low, high = min(low, h.amount), max(high, h.amount)
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
