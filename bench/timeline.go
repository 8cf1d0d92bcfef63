package main

import (
	"math"

	"github.com/tallycast/tallycast/bench/load"
)

// timeline holds the time at which each count was acknowledged.
type timeline struct {
	base int64   // the count before the first
	at   []int64 // ns of [load.Clock] by count - base - 1
	last int64   // the time of the last acknowledgement
}

// newTimeline returns the timeline of likes after the count base. If likes were stored in
// one batch, an acknowledgement has the count after the batch and covers the counts below.
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

// final returns the last count.
func (t *timeline) final() int64 { return t.base + int64(len(t.at)) }

// oldest returns the greatest age of a number on a screen, in ns: the time from the
// acknowledgement of the next count to the frame that replaced the number.
func (t *timeline) oldest(events []load.Event) (age float64) {
	for _, e := range events {
		if i := e.Before - t.base; i >= 0 && i < int64(len(t.at)) {
			age = math.Max(age, float64(e.At-t.at[i]))
		}
	}
	return age
}
