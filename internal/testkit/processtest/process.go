package processtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// raceOptions keep the race detector from waiting a second at each exit.
const raceOptions = "GORACE=atexit_sleep_ms=0"

// Build builds the program into dir, with the race detector where the test has it.
// It is for TestMain.
func Build(dir string) (binary string, err error) {
	return build(filepath.Join(dir, "tallycast"), buildFlags)
}

// BuildPlain builds the program that people run, for tests of what it takes: the race
// detector takes ten times as much of everything.
func BuildPlain(dir string) (binary string, err error) {
	return build(filepath.Join(dir, "tallycast-plain"), nil)
}

func build(binary string, flags []string) (string, error) {
	args := append([]string{"build", "-tags", "nomsgpack", "-o", binary}, flags...)
	out, err := exec.Command("go", append(args, "github.com/tallycast/tallycast/cmd/tallycast")...).CombinedOutput()
	if err != nil {
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
	ended chan struct{} // closed when it was waited for
}

// Launch starts a program in a directory and an environment of its own. It is
// killed at the end of the test at the latest.
func Launch(t testing.TB, binary string, env []string, args ...string) *Process {
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
			t.Logf("%s %v said:\n%s", binary, p.Command.Args[1:], log)
		}
	})
	return p
}

// EndGently asks the process to end when the test does, before it would be killed:
// for programs that have children.
func (p *Process) EndGently() {
	p.t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		p.Exits()
	})
}

// Kill ends the process as a crash does, also while it is stopped.
func (p *Process) Kill() {
	_ = p.Command.Process.Kill()
	<-p.ended
}

// Terminate asks the process to end, as service managers do.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.Command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// Signal sends a signal to a process that may have ended already.
func (p *Process) Signal(signal os.Signal) { _ = p.Command.Process.Signal(signal) }

// HasEnded tells whether the process is gone.
func (p *Process) HasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Exits waits for the end and returns the exit code; -1 for one that was killed.
func (p *Process) Exits() int {
	p.t.Helper()
	Eventually(p.t, "the end of "+p.Command.Path, p.HasEnded)
	return p.Command.ProcessState.ExitCode()
}
