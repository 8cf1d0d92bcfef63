package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	// patience is how long anything may take here; it only costs time when it fails.
	patience = processtest.Timeout
	// between is the pause between two looks at a condition.
	between = 3 * time.Millisecond
	// atOnce is how many tests run at the same time.
	atOnce = 6
)

// binary is the path of the program under test, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tallycast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = processtest.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Most of the tests' time is waiting for beats, leases and lingering pages.
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

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	processtest.Eventually(t, what, condition)
}

func within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	processtest.Within(t, limit, what, condition)
}

// launch starts the program in a directory and an environment of its own.
func launch(t testing.TB, env []string, args ...string) *processtest.Process {
	t.Helper()
	return processtest.Start(t, binary, env, args...)
}

// service is the program while it serves.
type service struct {
	*processtest.Instance
	*client          // of its public listener
	operator *client // of its internal listener; nil where there is none
}

// unlimited are the flags that let a test send as much as it likes.
var unlimited = []string{
	"--rate-limit", "off", "--read-limit", "off", "--new-topic-limit", "off", "--max-viewers-per-address", "off",
}

// serve starts a service on free ports that is ready, without limits a client
// address, on a store of its own unless args name one.
func serve(t testing.TB, args ...string) *service {
	t.Helper()
	return serveIn(t, nil, append(slices.Clone(unlimited), args...)...)
}

// serveIn starts a service with the environment and flags given, and what it
// needs to run beside others where they leave it out.
func serveIn(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	s := begin(t, env, args...)
	if s.operator != nil {
		s.AwaitReady()
	}
	return s
}

// begin is [serveIn] for a service that need not become ready.
func begin(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	return beginOf(t, binary, env, args...)
}

// beginOf is [begin] of another build of the program.
func beginOf(t testing.TB, binary string, env []string, args ...string) *service {
	t.Helper()
	s := &service{Instance: processtest.Serve(t, binary, env, args...)}
	s.client = newClient(t, s.URL)
	if s.Internal != "" {
		s.operator = newClient(t, s.Internal)
	}
	return s
}

// run runs the program to its end.
func run(t testing.TB, env []string, args ...string) (code int, out, errors string) {
	t.Helper()
	p := launch(t, env, args...)
	code = p.ExitCode()
	return code, p.Out.String(), p.Log.String()
}
