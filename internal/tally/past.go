package tally

import (
	"cmp"
	"slices"
)

// Past is the history of a topic as exports have it.
type Past struct {
	Gain       int64 // the sum of contributions minus the prior ones, see [History]
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

// appendRecord appends the record of the newest state to records, which it replaces from its
// period on. It does not change records.
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

// MergePast returns the past of a topic after another one was merged into it: each point is the sum of
// both points, and each gain the sum of both gains. It has the histories of the topic and of the other
// one, by hour and by day. raise is what the merge adds to the adjustment of the topic, besides the
// adjustment of the other one.
func MergePast(own, given [2]History, raise int64) *Past {
	p := &Past{Gain: own[0].Sum() - own[0].Prior + given[0].Sum() - given[0].Prior}
	p.IsComplete = given[0].IsComplete && (own[0].IsComplete || len(own[0].Records) == 0 && own[0].Sum() == own[0].Prior)
	p.Hours, p.Days = addRecords(own[0].gains(), given[0].gains(), raise), addRecords(own[1].gains(), given[1].gains(), raise)
	return p
}

// addRecords returns the sums of the records of two topics, both in order. A topic has the record
// before, or none, in periods in which the other one has a record.
func addRecords(own, given []Record, raise int64) (sums []Record) {
	eachNumber(own, given, func(number int64, ours, theirs *Record) {
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

// MergeRecords merges the records of a topic, own and given, both in order. In periods before
// both have a record, the result has the records that exist. After that it has the greater gain
// of the two, and the adjustment of own.
func MergeRecords(own, given []Record) (merged []Record) {
	eachNumber(own, given, func(number int64, ours, theirs *Record) {
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

// eachNumber calls use with each number of two lists of records, both in order, and with the newest
// record of each list until then; nil for none.
func eachNumber(own, given []Record, use func(number int64, ours, theirs *Record)) {
	all := slices.Concat(own, given)
	slices.SortStableFunc(all, byNumber)
	var ours, theirs *Record
	for _, r := range slices.CompactFunc(all, func(a, b Record) bool { return a.Number == b.Number }) {
		if len(own) > 0 && own[0].Number == r.Number {
			ours, own = &own[0], own[1:]
		}
		if len(given) > 0 && given[0].Number == r.Number {
			theirs, given = &given[0], given[1:]
		}
		use(r.Number, ours, theirs)
	}
}
