package checker_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

// nemesis injects faults, one after the other and sometimes two at once. Only the test's
// goroutine uses it.
type nemesis struct {
	run    *run
	faults []fault
	// maxDuration is how long a fault may last, without the time to end it.
	maxDuration time.Duration
	// minPause is how long no fault lasts before the next one.
	minPause time.Duration
}

// injectFaults injects faults for a duration and ends all of them.
func (n *nemesis) injectFaults(random *rand.Rand, duration time.Duration) {
	sleep(time.Second) // until there are writes
	order := random.Perm(len(n.faults))
	for began, i := time.Now(), 0; time.Since(began) < duration; i++ {
		if i > 0 && i%len(order) == 0 {
			order = random.Perm(len(n.faults))
		}
		first := n.faults[order[i%len(order)]]
		second := n.faults[random.IntN(len(n.faults))]
		both, length, quiet := random.IntN(3) == 0 && first.target != second.target, random.Float64(), random.IntN(3) == 0
		pause := n.minPause + time.Duration(random.IntN(1500))*time.Millisecond
		if quiet { // long enough to find viewers that stay out of date
			pause += checker.MaxLag * time.Microsecond
		}
		chosen := []fault{first}
		if both {
			chosen = append(chosen, second)
		}
		if both && second.target == "instance" {
			slices.Reverse(chosen) // an instance needs its store before it is ready
		}
		n.inject(random, chosen, time.Duration(length*float64(n.maxDuration)))
		sleep(pause)
	}
}

// inject injects faults together and ends them after a duration, the last one first.
func (n *nemesis) inject(random *rand.Rand, faults []fault, duration time.Duration) {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	event := checker.Fault{Name: strings.Join(names, ", and "), Began: now()}
	n.run.t.Logf("%s: %s", time.Now().Format("15:04:05.000"), event.Name)
	var ends []func()
	for _, f := range faults {
		event.Split = event.Split || f.split
		if end := f.begin(random); end != nil {
			ends = append(ends, end)
		}
	}
	if len(ends) > 0 {
		sleep(duration)
	}
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	event.Ended = now()
	n.run.record.addFault(event)
	n.run.t.Logf("ended after %s", time.Duration(event.Ended-event.Began)*time.Microsecond)
}

// sleep waits for a part of the schedule, not for a condition.
func sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
