package tally

import (
	"cmp"
	"slices"
)

// Past is the history of a topic in an export.
type Past struct {
	Gain       int64 // the sum of contributions minus Prior, see [History]
	IsComplete bool  // as in [History]
	// Hours and Days are in order, and end with the present state. Sum is the gain.
	Hours, Days []Record
}

// AddState appends the present state of a topic.
func (p *Past) AddState(s *State, prior int64) {
	p.Gain = s.Sum() - prior
	p.Hours = appendRecord(p.Hours, Record{Hour.Number(s.Version), p.Gain, s.Adjustment})
	p.Days = appendRecord(p.Days, Record{Day.Number(s.Version), p.Gain, s.Adjustment})
}

// appendRecord returns records with newest in the place of those of its period and later. It
// does not change records.
func appendRecord(records []Record, newest Record) []Record {
	at, _ := slices.BinarySearchFunc(records, newest, byNumber)
	return append(slices.Clip(records[:at]), newest)
}

func byNumber(a, b Record) int { return cmp.Compare(a.Number, b.Number) }

// Records returns Hours or Days.
func (p *Past) Records(period Period) []Record {
	if period == Hour {
		return p.Hours
	}
	return p.Days
}

// MergePast returns the past of a topic after other was merged into it: each point is the sum of
// both points, and each gain the sum of both gains. The two histories of a topic are by hour and
// by day. The merge adds the adjustment of other, and raise, to that of the topic.
func MergePast(own, other [2]History, raise int64) *Past {
	p := &Past{Gain: own[0].Sum() - own[0].Prior + other[0].Sum() - other[0].Prior}
	p.IsComplete = other[0].IsComplete && (own[0].IsComplete || len(own[0].Records) == 0 && own[0].Sum() == own[0].Prior)
	p.Hours, p.Days = addRecords(own[0].gains(), other[0].gains(), raise), addRecords(own[1].gains(), other[1].gains(), raise)
	return p
}

// addRecords returns the sums of the records of two topics, both in order, with raise added to
// each adjustment. In a period without a record, the record before it counts.
func addRecords(own, other []Record, raise int64) (sums []Record) {
	eachNumber(own, other, func(number int64, ours, theirs *Record) {
		sum := Record{Number: number, Adjustment: raise}
		for _, r := range []*Record{ours, theirs} {
			if r != nil {
				sum.Sum, sum.Adjustment = sum.Sum+r.Sum, sum.Adjustment+r.Adjustment
			}
		}
		sums = append(sums, sum)
	})
	return sums
}

// validate reports whether p, which may be nil, can be stored. Errors: [CodeBadBody].
func (p *Past) validate() error {
	if p == nil {
		return nil
	}
	inRange := func(n int64) bool { return n >= -MaxValue && n <= MaxValue }
	for _, period := range []Period{Hour, Day} {
		records, last := p.Records(period), int64(-1)
		if len(records) > MaxPortion {
			return Errorf(CodeBadBody, "a history has at most %d records by %s; this one has %d", MaxPortion, period, len(records))
		}
		for _, r := range records {
			if r.Number <= last || r.Number > period.Number(maxVersion) || !inRange(r.Sum) || !inRange(r.Adjustment) {
				return Errorf(CodeBadBody, "the history by %s should be in order, with numbers from %d to %d; it has %v", period, int64(-MaxValue), int64(MaxValue), r)
			}
			last = r.Number
		}
	}
	if !inRange(p.Gain) {
		return Errorf(CodeBadBody, "the gain of a history is a number from %d to %d; this one is %d", int64(-MaxValue), int64(MaxValue), p.Gain)
	}
	return nil
}

// MergeRecords merges imported records of a topic into its own, both in order. As long as only
// one of the lists has begun, the result has its records. From then on it has the greater gain
// of the two, and the adjustment of own.
func MergeRecords(own, imported []Record) (merged []Record) {
	eachNumber(own, imported, func(number int64, ours, theirs *Record) {
		r := Record{Number: number}
		switch {
		case theirs == nil:
			r.Sum, r.Adjustment = ours.Sum, ours.Adjustment
		case ours == nil:
			r.Sum, r.Adjustment = theirs.Sum, theirs.Adjustment
		default:
			r.Sum, r.Adjustment = max(ours.Sum, theirs.Sum), ours.Adjustment
		}
		merged = append(merged, r)
	})
	return merged
}

// eachNumber calls use for each period of which own or other, both in order, has a record. ours
// and theirs are the records of that period, or else the last before it; nil for none.
func eachNumber(own, other []Record, use func(number int64, ours, theirs *Record)) {
	all := slices.Concat(own, other)
	slices.SortStableFunc(all, byNumber)
	var ours, theirs *Record
	for _, r := range slices.CompactFunc(all, func(a, b Record) bool { return a.Number == b.Number }) {
		if len(own) > 0 && own[0].Number == r.Number {
			ours, own = &own[0], own[1:]
		}
		if len(other) > 0 && other[0].Number == r.Number {
			theirs, other = &other[0], other[1:]
		}
		use(r.Number, ours, theirs)
	}
}
