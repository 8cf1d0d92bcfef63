package tally

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Period is a unit of history, in seconds. A period is identified by its number since the
// Unix epoch, in UTC.
type Period int64

const (
	Hour Period = 60 * 60
	Day  Period = 24 * Hour
)

const (
	// hourRetention is how long the count of each hour is kept: a week, and one more day to
	// read it.
	hourRetention = 8 * day
	// MaxHistory bounds how long the count of each day is kept: a year, and a month to compare
	// it with.
	MaxHistory = 400 * day
)

// ParsePeriod parses "day" and "hour". Errors: [CodeBadBody].
func ParsePeriod(text string) (Period, error) {
	switch text {
	case Day.String():
		return Day, nil
	case Hour.String():
		return Hour, nil
	}
	return 0, Errorf(CodeBadBody, "%.40q is not a period of history; the periods are day and hour", text)
}

// String returns "day" or "hour".
func (p Period) String() string {
	if p == Hour {
		return "hour"
	}
	return "day"
}

// Duration returns the length of p.
func (p Period) Duration() time.Duration { return time.Duration(p) * time.Second }

// Max returns the greatest number of points of a history by p.
func (p Period) Max() int {
	if p == Hour {
		return int(hourRetention / p.Duration())
	}
	return int(MaxHistory / p.Duration())
}

// Retention returns the number of periods, the present one included, of which a store has
// points if it retains days for history.
func (p Period) Retention(history time.Duration) int {
	switch {
	case history == 0:
		return 1
	case p == Hour:
		return Hour.Max()
	}
	return int(history / p.Duration())
}

// Number returns the number of the period that contains a time in microseconds since the Unix
// epoch, such as a version.
func (p Period) Number(micros int64) int64 { return micros / (int64(p) * 1_000_000) }

// Begin returns when the period with that number begins.
func (p Period) Begin(number int64) time.Time { return time.Unix(number*int64(p), 0).UTC() }

// Record has the numbers of a topic at the end of a period. The count was seed + Sum +
// Adjustment. For presence Sum is the greatest count in the period.
type Record struct {
	Number int64 // of the period
	// Sum is the sum of contributions. It includes contributions that were imported later or
	// merged from another topic, so that only visitors change the difference of two sums.
	Sum        int64
	Adjustment int64
}

// History is the stored past of a topic, by hour or by day.
//
// The state of a topic is the record of the period of its version. A change in a later period
// first stores the state before it as a record. So the periods between two records, and those
// after the last one, had the count of the record before.
type History struct {
	State     // at present; of version 0 if the topic does not exist
	Period    Period
	Now       int64 // microseconds of the store's clock
	Retention int   // as [Period.Retention]
	// Records are of former periods, the oldest first. Those of a topic that does not exist are
	// valid for presence only.
	Records []Record
	// Prior is the sum of contributions before the first record, as in [Record].
	Prior int64
	// IsComplete is true if the topic was created in the period of its first record. Otherwise
	// the counts before that period are not known.
	IsComplete bool
	IsStale    bool // as in [Reading]; the service sets it
	Err        error
}

// withPresent returns Records and the present state as the last record.
func (h *History) withPresent() []Record {
	if h.Version == 0 {
		return h.Records
	}
	return appendRecord(h.Records, Record{h.Period.Number(h.Version), h.Sum(), h.Adjustment})
}

// timeline is withPresent without periods in the future: the store's clock may have been ahead.
func (h *History) timeline() []Record {
	records, now := h.withPresent(), h.Period.Number(h.Now)
	for len(records) > 0 && records[len(records)-1].Number > now {
		records = records[:len(records)-1]
	}
	return records
}

// gains is withPresent, but Sum of each record is the gain: the sum minus Prior.
func (h *History) gains() []Record {
	records := slices.Clone(h.withPresent())
	for i := range records {
		records[i].Sum -= h.Prior
	}
	return records
}

// SumAt returns the sum of contributions at the end of the period with that number, as in
// [Record]. It is not for presence.
func (h *History) SumAt(number int64) int64 {
	sum := h.Prior
	for _, r := range h.timeline() {
		if r.Number > number {
			break
		}
		sum = r.Sum
	}
	return sum
}

// Point is the count of a topic at the end of a period, or now.
type Point struct {
	At    time.Time // start of the period
	Count int64
}

// Points returns at most last points, the oldest first and without gaps. The last one is
// the present. A topic that does not exist has none.
func (h *History) Points(isPresence bool, last int) []Point {
	records, now := h.timeline(), h.Period.Number(h.Now)
	count := func(r Record) int64 { return max(0, h.Seed+r.Sum+r.Adjustment) }
	if isPresence {
		if records = h.Records; len(records) == 0 && h.Version == 0 {
			return nil
		}
		count = func(r Record) int64 { return r.Sum }
	} else if h.Version == 0 {
		return nil
	}
	first := now
	if len(records) > 0 {
		first = min(first, records[0].Number)
		if h.IsComplete {
			first-- // the topic had no contribution then
		}
	}
	begin := max(first, now-int64(min(last, h.Retention))+1)
	points := make([]Point, 0, now-begin+1)
	current := Record{Sum: h.Prior}
	for number := begin; number <= now; number++ {
		if isPresence {
			current = Record{}
		}
		for len(records) > 0 && records[0].Number <= number {
			if current = records[0]; isPresence && current.Number < number {
				current = Record{}
			}
			records = records[1:]
		}
		points = append(points, Point{h.Period.Begin(number), count(current)})
	}
	present := &points[len(points)-1]
	if isPresence {
		present.Count = max(present.Count, h.Count)
	} else {
		present.Count = h.Count
	}
	return points
}

// HistoryReader reads the past of topics.
type HistoryReader interface {
	// History returns the histories of topics, in their order, by hour or day. It changes
	// nothing.
	History(ctx context.Context, period Period, topics []Topic) []History
}

// History returns the past of a topic. Errors: [CodeStoreUnavailable].
func (s *Service) History(ctx context.Context, topic Topic, period Period) (History, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	isStale := s.isStale()
	h := s.store.History(ctx, period, []Topic{topic})[0]
	h.IsStale = isStale
	return h, h.Err
}

// ValidateHistory returns an error unless d is a possible retention of days; 0 is no history.
func ValidateHistory(d time.Duration) error {
	if d != 0 && (d < day || d > MaxHistory || d%day != 0) {
		return fmt.Errorf("%s is not a whole number of days from 1d to %s", FormatDuration(d), FormatDuration(MaxHistory))
	}
	return nil
}
