package checker_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

// nemesis breaks things, one after the other and sometimes two at once. It is of
// the test's goroutine.
type nemesis struct {
	run    *run
	faults []fault
	// longest is how long a fault may last, beside what mending takes.
	longest time.Duration
}

// rage breaks things for that long and mends all of them.
func (n *nemesis) rage(random *rand.Rand, lasting time.Duration) {
	wait(time.Second) // for something to break
	order := random.Perm(len(n.faults))
	for began, i := time.Now(), 0; time.Since(began) < lasting; i++ {
		if i > 0 && i%len(order) == 0 {
			order = random.Perm(len(n.faults))
		}
		first := n.faults[order[i%len(order)]]
		second := n.faults[random.IntN(len(n.faults))]
		both, lasts, calm := random.IntN(3) == 0 && first.on != second.on, random.Float64(), random.IntN(3) == 0
		pause := time.Duration(random.IntN(1500)) * time.Millisecond
		if calm { // long enough for viewers that were not told to be found
			pause += checker.Soon * time.Microsecond
		}
		struck := []fault{first}
		if both {
			struck = append(struck, second)
		}
		if both && second.on == "instance" {
			slices.Reverse(struck) // what it needs to be ready is mended before it
		}
		n.strike(random, struck, time.Duration(lasts*float64(n.longest)))
		wait(pause)
	}
}

// strike breaks things together, and mends them after a while, the last one first.
func (n *nemesis) strike(random *rand.Rand, faults []fault, lasts time.Duration) {
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
		wait(lasts)
	}
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	event.Ended = now()
	n.run.record.broke(event)
	n.run.t.Logf("mended after %s", time.Duration(event.Ended-event.Began)*time.Microsecond)
}

// wait lets time pass: what is tested is what happens meanwhile.
func wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
