package processtest

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// samplePause is the pause between two samples of processorShare by Measure.
const samplePause = 10 * time.Millisecond

// idleTime is the time that passed, as long as an idle machine would need for the same work: the
// part of the time that a thread got a processor.
type idleTime struct {
	last    time.Time
	counted time.Duration
}

// pass counts the time since the last call and returns it.
func (i *idleTime) pass() (passed time.Duration) {
	passed = time.Since(i.last)
	i.last = i.last.Add(passed)
	i.counted += time.Duration(float64(passed) * processorShare())
	return passed
}

// Measure returns how long work takes. While more threads want to run than there are processors,
// it counts less time in proportion, so that a bound for an idle machine holds on a busy one.
func Measure(work func()) time.Duration {
	counted, ended := idleTime{last: time.Now()}, make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() { // ends with work
		for {
			select {
			case <-ended:
				return
			case <-time.After(samplePause):
				counted.pass()
			}
		}
	})
	func() {
		defer sampling.Wait()
		defer close(ended)
		work()
	}()
	counted.pass()
	return counted.counted
}

// processorShare returns the part of its time that a thread now gets: 1 if the machine has a
// processor for each thread that wants to run, and on other systems than Linux.
func processorShare() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 1
	}
	var average float64
	var running int // proc(5): the number of runnable threads, this one included
	if _, err := fmt.Sscanf(string(text), "%f %f %f %d/", &average, &average, &average, &running); err != nil || running == 0 {
		return 1
	}
	return min(1, float64(runtime.NumCPU())/float64(running))
}
