package processtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// raceOptions keep the race detector from waiting a second at each exit.
	raceOptions = "GORACE=atexit_sleep_ms=0"

	// binariesVariable names the directory in which the Makefile built the program for
	// all packages: plainName, and raceName with the race detector.
	binariesVariable = "TALLYCAST_TEST_BINARIES"
	plainName        = "tallycast"
	raceName         = "tallycast-race"

	// longVariable selects the long form of tests that have one: make test-long sets it.
	longVariable = "TALLYCAST_TEST_LONG"
)

// Long reports whether tests that have a long form use it.
func Long() bool { return os.Getenv(longVariable) != "" }

// Build puts the program into dir and returns its path. The program has the race
// detector if the test has it. Build is for TestMain.
func Build(dir string) (binary string, err error) {
	if raceEnabled {
		return build(dir, raceName, "CGO_ENABLED=1", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false") // as in the Makefile
	}
	return BuildPlain(dir)
}

// BuildPlain puts the program without the race detector into dir and returns its path.
// It is for tests that measure memory: the race detector uses ten times as much.
func BuildPlain(dir string) (binary string, err error) {
	return build(dir, plainName, "CGO_ENABLED=0")
}

// build copies the program from the Makefile's directory, or builds it. The copy can be
// run by users who may not read the checkout.
func build(dir, name, env string, flags ...string) (binary string, err error) {
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

// Process is a running program.
type Process struct {
	Log     *LogBuffer // its standard error
	Out     *LogBuffer // its standard output
	Command *exec.Cmd

	t     testing.TB
	ended chan struct{} // closed after the process was waited for
}

// Start starts a program in a new directory with its own environment. The process is
// killed at the end of the test at the latest.
func Start(t testing.TB, binary string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, Log: &LogBuffer{}, Out: &LogBuffer{}, ended: make(chan struct{})}
	p.Command = exec.Command(binary, args...)
	p.Command.Dir = t.TempDir()
	p.Command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.Command.Dir, raceOptions}, env...)
	p.Command.Stderr, p.Command.Stdout = p.Log, p.Out
	if err := p.Command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process; the cleanup waits for it
		defer close(p.ended)
		_ = p.Command.Wait()
	}()
	t.Cleanup(func() {
		p.Kill()
		log := p.Log.String()
		if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || strings.Contains(log, "fatal error:") {
			t.Errorf("%s reported a race or a panic", binary)
		}
		if t.Failed() {
			t.Logf("log of %s %v:\n%s", binary, p.Command.Args[1:], log)
		}
	})
	return p
}

// TerminateAtEnd terminates the process at the end of the test instead of killing it, for
// programs with children.
func (p *Process) TerminateAtEnd() {
	p.t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		p.ExitCode()
	})
}

// Kill ends the process like a crash, also if it is stopped.
func (p *Process) Kill() {
	_ = p.Command.Process.Kill()
	<-p.ended
}

// Terminate sends SIGTERM.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.Command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// Signal sends a signal to a process that may have ended already.
func (p *Process) Signal(signal os.Signal) { _ = p.Command.Process.Signal(signal) }

// HasEnded reports whether the process ended.
func (p *Process) HasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ExitCode waits until the process ends and returns its exit code; -1 if it was killed.
func (p *Process) ExitCode() int {
	p.t.Helper()
	Eventually(p.t, "the end of "+p.Command.Path, p.HasEnded)
	return p.Command.ProcessState.ExitCode()
}

// SetParallel sets how many parallel tests run at the same time, unless the flag -parallel
// does. It is for TestMain of packages whose tests wait most of the time.
func SetParallel(n int) {
	flag.Parse()
	if limit := flag.Lookup("test.parallel"); limit.Value.String() == limit.DefValue {
		_ = limit.Value.Set(strconv.Itoa(n)) // cannot fail
	}
}
