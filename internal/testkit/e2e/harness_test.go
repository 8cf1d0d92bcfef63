package e2e_test

import (
	"slices"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	// waitTimeout is how long tests wait for a condition.
	waitTimeout = processtest.Timeout
	// parallel is how many tests run at the same time. Most of them wait for beats,
	// timeouts and leases.
	parallel = 12
)

// binary is the path of the program under test, and plain that without the race detector.
var binary, plain string

func TestMain(m *testing.M) { processtest.Main(m, parallel, &binary, &plain) }

// launch starts the program in a new directory with its own environment.
func launch(t testing.TB, env []string, args ...string) *processtest.Process {
	t.Helper()
	return processtest.Start(t, binary, env, args...)
}

// service is a running instance.
type service struct {
	*processtest.Instance
	*client          // of the public listener
	operator *client // of the internal listener; nil if there is none
}

// unlimited are flags that turn off the limits of one address.
var unlimited = []string{
	"--rate-limit", "off", "--read-limit", "off", "--new-topic-limit", "off", "--topic-limit", "off", "--max-viewers-per-address", "off",
}

// serve starts a service without limits and waits until it is ready. It has free ports, and
// its own store unless args name one.
func serve(t testing.TB, args ...string) *service {
	t.Helper()
	return serveIn(t, nil, append(slices.Clone(unlimited), args...)...)
}

// serveIn starts a service with the given environment and flags and waits until it is ready.
func serveIn(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	s := startWith(t, env, args...)
	if s.operator != nil {
		s.AwaitReady()
	}
	return s
}

// startWith is [serveIn] without waiting until the service is ready.
func startWith(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	return startBinary(t, binary, env, args...)
}

// startBinary is [startWith] for another build of the program.
func startBinary(t testing.TB, binary string, env []string, args ...string) *service {
	t.Helper()
	s := &service{Instance: processtest.Serve(t, binary, env, args...)}
	s.client = newClient(t, s.URL)
	if s.Internal != "" {
		s.operator = newClient(t, s.Internal)
	}
	return s
}

// run runs the program until it exits.
func run(t testing.TB, env []string, args ...string) (code int, out, errors string) {
	t.Helper()
	p := launch(t, env, args...)
	code = p.ExitCode()
	return code, p.Out.String(), p.Log.String()
}
