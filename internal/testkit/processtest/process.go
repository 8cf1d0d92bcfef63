package processtest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const (
	// raceOptions keep the race detector from waiting a second at each exit.
	raceOptions = "GORACE=atexit_sleep_ms=0"

	// longVariable selects the long form of tests that have one: make test-long sets it.
	longVariable = "TALLYCAST_TEST_LONG"
)

// Long reports whether tests that have a long form use it.
func Long() bool { return os.Getenv(longVariable) != "" }

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
