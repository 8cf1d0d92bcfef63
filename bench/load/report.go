package load

import (
	"errors"
	"fmt"
)

// Report is what came of a crowd since it was last reset. It is plain data, and
// reports of several crowds can be added up.
type Report struct {
	Viewers int // that there should be
	Live    int // that were let in and are still there
	Frames  int64
	// Fewest and Most are the frames of the viewer that got fewest and most,
	// Busiest the most frames that one got within a second.
	Fewest, Most, Busiest int
	// Malformed, Strange (of a topic that the viewer did not ask for), Back (of a
	// version below the one before) and Repeated (of the same version) frames.
	Malformed, Strange, Back, Repeated int64
	Lost                               int64 // viewers that were refused or closed
	// LastFrame is when the last viewer got its last frame, LastArrival when the
	// last one was let in, in ns of [Clock].
	LastFrame, LastArrival int64
	Notes                  []string
	Events                 []Event `json:"-"`
}

// Report tells what came of the crowd since the last reset.
func (c *Crowd) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{
		Viewers: len(c.viewers), Live: c.live, Frames: c.frames,
		Malformed: c.malformed, Strange: c.strange, Back: c.back, Repeated: c.repeated,
		Lost: c.lost, LastArrival: c.lastArrival, Notes: append([]string(nil), c.notes...),
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

// Add adds the report of other viewers. Times are comparable within one process.
func (r *Report) Add(other Report) {
	r.Viewers += other.Viewers
	r.Live += other.Live
	r.Frames += other.Frames
	r.Fewest = min(r.Fewest, other.Fewest)
	r.Most = max(r.Most, other.Most)
	r.Busiest = max(r.Busiest, other.Busiest)
	r.Malformed += other.Malformed
	r.Strange += other.Strange
	r.Back += other.Back
	r.Repeated += other.Repeated
	r.Lost += other.Lost
	r.LastFrame = max(r.LastFrame, other.LastFrame)
	r.LastArrival = max(r.LastArrival, other.LastArrival)
	r.Notes = append(r.Notes, other.Notes...)
	r.Events = append(r.Events, other.Events...)
}

// Check returns an error when any viewer fell short: is not there any more, got
// something wrong, a version that went back, or fewer frames than promised.
func (r Report) Check(promised int) error {
	var wrong []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say(r.Live != r.Viewers, "%d of %d viewers are there", r.Live, r.Viewers)
	say(r.Lost > 0, "%d viewers were refused or closed", r.Lost)
	say(r.Malformed > 0, "%d frames were malformed", r.Malformed)
	say(r.Strange > 0, "%d frames were of topics that nobody asked for", r.Strange)
	say(r.Back > 0, "%d frames had a version below the one before", r.Back)
	say(r.Fewest < promised, "a viewer got %d frames where %d were promised", r.Fewest, promised)
	if len(wrong) > 0 && len(r.Notes) > 0 {
		wrong = append(wrong, fmt.Errorf("the first: %s", r.Notes[0]))
	}
	return errors.Join(wrong...)
}
