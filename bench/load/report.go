package load

import (
	"errors"
	"fmt"
)

// Report is the result of a crowd since the last reset. Reports of several crowds can be
// added.
type Report struct {
	Viewers int // expected
	Live    int // connected, with a snapshot
	Frames  int64
	// Fewest and Most are the least and most frames of a viewer, Busiest the most frames of
	// a viewer within one second.
	Fewest, Most, Busiest int
	// Malformed frames, Unrequested (of a topic that the viewer does not watch), Decreased
	// (with a lower version than before) and Repeated (with the same version).
	Malformed, Unrequested, Decreased, Repeated int64
	Lost                                        int64 // viewers that the server refused or disconnected
	// LastFrame is the time of the last frame, LastArrival the time when the last viewer was
	// connected, in ns of [Clock].
	LastFrame, LastArrival int64
	Problems               []string
	Events                 []Event `json:"-"`
}

// Report returns the result since the last reset.
func (c *Crowd) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{
		Viewers: len(c.viewers), Live: c.live, Frames: c.frames,
		Malformed: c.malformed, Unrequested: c.unrequested, Decreased: c.decreased, Repeated: c.repeated,
		Lost: c.lost, LastArrival: c.lastArrival, Problems: append([]string(nil), c.problems...),
		Events: append([]Event(nil), c.events...),
	}
	r.Fewest = int(c.viewers[0].frames)
	for i := range c.viewers {
		v := &c.viewers[i]
		r.Fewest = min(r.Fewest, int(v.frames))
		r.Most = max(r.Most, int(v.frames))
		r.Busiest = max(r.Busiest, int(v.busiest))
		r.LastFrame = max(r.LastFrame, v.last)
	}
	return r
}

// Add adds the report of other viewers. Times are comparable within one process only.
func (r *Report) Add(other Report) {
	r.Viewers += other.Viewers
	r.Live += other.Live
	r.Frames += other.Frames
	r.Fewest = min(r.Fewest, other.Fewest)
	r.Most = max(r.Most, other.Most)
	r.Busiest = max(r.Busiest, other.Busiest)
	r.Malformed += other.Malformed
	r.Unrequested += other.Unrequested
	r.Decreased += other.Decreased
	r.Repeated += other.Repeated
	r.Lost += other.Lost
	r.LastFrame = max(r.LastFrame, other.LastFrame)
	r.LastArrival = max(r.LastArrival, other.LastArrival)
	r.Problems = append(r.Problems, other.Problems...)
	r.Events = append(r.Events, other.Events...)
}

// Check returns an error if a viewer was disconnected, or received a faulty frame, a
// decreasing version or fewer frames than promised.
func (r Report) Check(promised int) error {
	var errs []error
	failIf := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	failIf(r.Live != r.Viewers, "%d of %d viewers are connected", r.Live, r.Viewers)
	failIf(r.Lost > 0, "%d viewers were refused or disconnected", r.Lost)
	failIf(r.Malformed > 0, "%d frames were malformed", r.Malformed)
	failIf(r.Unrequested > 0, "%d frames were of unrequested topics", r.Unrequested)
	failIf(r.Decreased > 0, "%d frames had a version below the one before", r.Decreased)
	failIf(r.Fewest < promised, "a viewer received %d frames of %d promised", r.Fewest, promised)
	if len(errs) > 0 && len(r.Problems) > 0 {
		errs = append(errs, fmt.Errorf("the first problem: %s", r.Problems[0]))
	}
	return errors.Join(errs...)
}
