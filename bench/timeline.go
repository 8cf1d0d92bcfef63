package main

import (
	"math"

	"github.com/tallycast/tallycast/bench/load"
)

// timeline says from when on each count was acknowledged.
type timeline struct {
	base int64   // the count before the first
	at   []int64 // ns of [load.Clock] by count - base - 1
	last int64   // when the last of all came
}

// newTimeline returns the timeline of likes that followed the count base. Where
// likes were stored together, an acknowledgement bears the count after all of
// them: it stands for those below it too.
func newTimeline(base int64, acks []load.Ack) *timeline {
	t := &timeline{base: base}
	for _, ack := range acks {
		t.last = max(t.last, ack.At)
		for int64(len(t.at)) < ack.Final()-base {
			t.at = append(t.at, math.MaxInt64)
		}
		if i := ack.Final() - base - 1; i >= 0 {
			t.at[i] = min(t.at[i], ack.At)
		}
	}
	for i := len(t.at) - 2; i >= 0; i-- {
		t.at[i] = min(t.at[i], t.at[i+1])
	}
	return t
}

// final is the last count.
func (t *timeline) final() int64 { return t.base + int64(len(t.at)) }

// oldest returns how old a number was that a viewer still showed when the next one
// came: the time since the count after it was acknowledged; the most of all, in ns.
func (t *timeline) oldest(events []load.Event) (age float64) {
	for _, e := range events {
		if i := e.Before - t.base; i >= 0 && i < int64(len(t.at)) {
			age = math.Max(age, float64(e.At-t.at[i]))
		}
	}
	return age
}
