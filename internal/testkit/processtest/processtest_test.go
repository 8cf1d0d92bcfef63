package processtest_test

import (
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A process is read by its log and ended by its id, also if it is stopped.
func TestProcess_StartAndEnd(t *testing.T) {
	const script = `trap 'exit 7' TERM; echo out; echo '{"msg":"serving","url":"http://127.0.0.1:1/base","internal":"127.0.0.1:2"}' >&2; while :; do sleep 0.01; done`
	p := processtest.Start(t, "sh", []string{"NAME=value"}, "-c", script)
	public, internal := processtest.AwaitServing(t, p.Log, p.HasEnded)
	if public != "http://127.0.0.1:1/base" || internal != "http://127.0.0.1:2" {
		t.Errorf("it serves %q and %q", public, internal)
	}
	if address := (&processtest.Instance{URL: public}).Address(); address != "127.0.0.1:1" {
		t.Errorf("address %q", address)
	}
	p.Terminate()
	if code := p.ExitCode(); code != 7 || p.Out.String() != "out\n" {
		t.Errorf("exit %d, out %q", code, p.Out)
	}
	other := processtest.Start(t, "sh", nil, "-c", "while :; do sleep 0.01; done")
	other.Signal(syscall.SIGSTOP)
	other.Kill()
	if !other.HasEnded() || other.ExitCode() != -1 {
		t.Error("a stopped process was not killed")
	}
}
