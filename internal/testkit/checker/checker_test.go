package checker_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Environment variables for runs by hand:
const (
	// seedVariable repeats the schedule of a run.
	seedVariable = "TALLYCAST_CHECKER_SEED"
	// timeVariable is for how long a schedule injects faults, as a duration.
	timeVariable = "TALLYCAST_CHECKER_TIME"
	// historyVariable is a directory for histories, including those without violations.
	historyVariable = "TALLYCAST_CHECKER_HISTORY"

	defaultTime, longTime = 20 * time.Second, 2 * time.Minute

	// parallel is how many tests run at the same time. Most of them wait until a fault is
	// detected.
	parallel = 8
)

// binary is the path of the program under test.
var binary string

func TestMain(m *testing.M) { processtest.Main(m, parallel, &binary, nil) }

// schedule returns the seed and the duration of a schedule.
func schedule(t *testing.T) (seed uint64, duration time.Duration) {
	t.Helper()
	seed, duration = uint64(time.Now().UnixNano()), defaultTime
	if processtest.Long() {
		duration = longTime
	}
	var err error
	if text := os.Getenv(seedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	if text := os.Getenv(timeVariable); text != "" {
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", timeVariable, err)
		}
	}
	t.Logf("%s=%d repeats the schedule", seedVariable, seed)
	return seed, duration
}

// durable are the arguments of a Redis that writes to disk before it answers.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// scheduleLoad is the load during a schedule of faults.
var scheduleLoad = load{visitors: 40, viewers: 24, pause: 250 * time.Millisecond}

// Random faults around one Redis break no promise, also to an owner who exports, merges
// and reverts meanwhile.
func TestSchedule_OneRedis(t *testing.T) {
	t.Parallel()
	seed, duration := schedule(t)
	r := newRun(t, seed, proxiedRedis(t, 3, durable...), scheduleLoad)
	r.owner = &owner{run: r, random: rand.New(rand.NewPCG(seed, 2))}
	r.runSchedule(&nemesis{run: r, faults: slices.Concat(r.singleServerFaults(), r.networkFaults(), []fault{r.instanceKilled()}), maxDuration: 4 * time.Second}, duration)
}

// Random faults break no promise if Redis is far, at changing distances from each instance. The
// load is half of that of other schedules, and writes have time to succeed between two faults.
func TestSchedule_FarRedis(t *testing.T) {
	t.Parallel()
	seed, duration := schedule(t)
	far := proxiedRedis(t, len(farTrips), durable...)
	for i, p := range far.proxies {
		p.Delay(farTrips[i] / 2)
	}
	r := newRun(t, seed, far, load{visitors: scheduleLoad.visitors / 2, viewers: scheduleLoad.viewers / 2, pause: scheduleLoad.pause})
	faults := []fault{r.distancesChange(), r.distancesChange(), r.instanceKilled(), faultNamed(r.singleServerFaults(), "Redis is killed")}
	for _, name := range []string{"connections are cut", "messages are lost", "replies are lost", "subscriptions are lost"} {
		faults = append(faults, faultNamed(r.networkFaults(), name))
	}
	r.runSchedule(&nemesis{run: r, faults: faults, maxDuration: 3 * time.Second, minPause: 3 * time.Second}, duration)
}

// Random faults and failovers behind Sentinels break no promise.
func TestSchedule_Sentinels(t *testing.T) {
	t.Parallel()
	seed, duration := schedule(t)
	sentinels := redistest.StartSentinels(t, redistest.Options{Args: durable})
	r := newRun(t, seed, sentinelDeployment(sentinels, 3, "?wait=1"), scheduleLoad)
	r.runSchedule(&nemesis{run: r, faults: append(r.sentinelFaults(sentinels), r.instanceKilled()), maxDuration: 2 * time.Second}, duration)
}
