package processtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// binariesVariable names the directory in which the Makefile built the program for all
// packages, also with the race detector.
const binariesVariable = "TALLYCAST_TEST_BINARIES"

// Main builds the program and runs the tests of a package, a number of them in parallel. It
// sets *binary to the path of the program, and *plain, unless nil, to that of a program
// without the race detector, for tests that measure memory: the detector uses ten times as
// much. It builds both before the first test: a process that a test starts meanwhile would
// inherit the open file, and a file that is open for writing cannot be run (ETXTBSY). It
// fails if the tests leave goroutines. Main is for TestMain.
func Main(m *testing.M, parallel int, binary, plain *string) {
	os.Exit(runMain(m, parallel, binary, plain))
}

func runMain(m *testing.M, parallel int, binary, plain *string) int {
	dir, err := os.MkdirTemp("", "tallycast-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // a test runs the program as another user
	}
	if err == nil {
		*binary, err = build(dir, raceEnabled)
	}
	if err == nil && plain != nil {
		*plain, err = build(dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	SetParallel(parallel)
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build puts the program, with the race detector or without, into dir and returns its path.
// It copies the program from the Makefile's directory, or builds it. Users who may not read
// the checkout can run the copy.
func build(dir string, race bool) (binary string, err error) {
	name, env, flags := "tallycast", "CGO_ENABLED=0", []string(nil)
	if race { // as in the Makefile
		name, env, flags = "tallycast-race", "CGO_ENABLED=1", []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
	}
	binary = filepath.Join(dir, name)
	if binaries := os.Getenv(binariesVariable); binaries != "" {
		if program, err := os.ReadFile(filepath.Join(binaries, name)); err == nil {
			return binary, os.WriteFile(binary, program, 0o755)
		}
	}
	args := append([]string{"build", "-buildvcs=false", "-trimpath", "-tags", "nomsgpack", "-o", binary}, flags...)
	command := exec.Command("go", append(args, "github.com/tallycast/tallycast/cmd/tallycast")...)
	command.Env = append(os.Environ(), env)
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// SetParallel sets how many parallel tests run at the same time, unless the flag -parallel
// does. It is for TestMain of packages whose tests wait most of the time.
func SetParallel(n int) {
	flag.Parse()
	if limit := flag.Lookup("test.parallel"); limit.Value.String() == limit.DefValue {
		_ = limit.Value.Set(strconv.Itoa(n)) // cannot fail
	}
}
