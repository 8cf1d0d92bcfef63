package checker_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// What a person may set:
const (
	// seedVariable repeats the schedule of a run.
	seedVariable = "TALLYCAST_CHECKER_SEED"
	// timeVariable is how long things break, as a duration; a minute in all when both
	// runs go on beside each other.
	timeVariable = "TALLYCAST_CHECKER_TIME"
	// historyVariable is a directory in which histories are kept, also of runs in which
	// nothing was found.
	historyVariable = "TALLYCAST_CHECKER_HISTORY"

	defaultTime = 20 * time.Second

	// atOnce is how many tests run at the same time: most of their time is waiting for
	// what must be noticed.
	atOnce = 5
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tallycast-checker-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = processtest.Build(dir)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) // some run it as a user without rights
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set("test.parallel", strconv.Itoa(atOnce)) // a number, as it should be
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// schedule returns the seed and how long a run lasts.
func schedule(t *testing.T) (seed uint64, lasting time.Duration) {
	t.Helper()
	seed, lasting = uint64(time.Now().UnixNano()), defaultTime
	var err error
	if text := os.Getenv(seedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	if text := os.Getenv(timeVariable); text != "" {
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", timeVariable, err)
		}
	}
	t.Logf("%s=%d repeats the schedule", seedVariable, seed)
	return seed, lasting
}

// durable are the arguments of a Redis that has on disk what it answered.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// many are as many as act beside each other while the nemesis rages.
var many = crowd{visitors: 40, viewers: 24, pause: 250 * time.Millisecond}

func TestNothingIsLostWhateverFailsAroundOneRedis(t *testing.T) {
	t.Parallel()
	seed, lasting := schedule(t)
	r := newRun(t, seed, proxied(t, 3, durable...), many)
	r.owner = &owner{run: r, random: rand.New(rand.NewPCG(seed, 2))}
	r.play(&nemesis{run: r, faults: slices.Concat(r.alone(), r.aroundOne(), []fault{r.killedInstance()}), longest: 4 * time.Second}, lasting)
}

func TestNothingIsLostWhateverFailsBehindSentinels(t *testing.T) {
	t.Parallel()
	seed, lasting := schedule(t)
	sentinels := redistest.StartSentinels(t, durable...)
	r := newRun(t, seed, watched(sentinels, 3, "?wait=1"), many)
	r.play(&nemesis{run: r, faults: append(r.behind(sentinels), r.killedInstance()), longest: 2 * time.Second}, lasting)
}
