package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// patience is how long anything may take here; it only costs time when it fails.
	patience = 30 * time.Second
	// between is the pause between two looks at a condition.
	between = 3 * time.Millisecond
	// atOnce is how many tests run at the same time.
	atOnce = 6
)

// raceOptions keep the race detector from waiting a second at each exit.
const raceOptions = "atexit_sleep_ms=0"

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
	binary = filepath.Join(dir, "tallycast")
	args := append([]string{"build", "-tags", "nomsgpack", "-o", binary}, buildFlags...)
	build := exec.Command("go", append(args, "github.com/tallycast/tallycast/cmd/tallycast")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
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

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	within(t, patience, what, condition)
}

// within waits until condition holds, at most for limit.
func within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(between) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s", limit, what)
		}
	}
}

// book keeps what a process writes.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// records returns the log records with that message.
func (b *book) records(message string) (found []map[string]any) {
	for line := range strings.Lines(b.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

// process is a running program.
type process struct {
	t       testing.TB
	log     *book // its standard error
	out     *book // its standard output
	command *exec.Cmd
	ended   chan struct{} // closed when it was waited for
}

// launch starts the program in a directory and an environment of its own. It ends
// with the test at the latest, and fails it when it reported a race or a panic.
func launch(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: &book{}, out: &book{}, ended: make(chan struct{})}
	p.command = exec.Command(binary, args...)
	p.command.Dir = t.TempDir()
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.command.Dir, "GORACE=" + raceOptions}, env...)
	p.command.Stderr, p.command.Stdout = p.log, p.out
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process; the cleanup waits for it
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		p.kill9()
		log := p.log.String()
		if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || strings.Contains(log, "fatal error:") {
			t.Error("the process reported a race or a panic")
		}
		if t.Failed() && p.command.ProcessState.ExitCode() == -1 { // it did not end by itself
			t.Logf("%v said:\n%s", p.command.Args[1:], log)
		}
	})
	return p
}

// kill9 ends the process as a crash does.
func (p *process) kill9() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// terminate asks the process to end, as service managers do.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// hasEnded tells whether the process is gone.
func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// exits waits for the end and returns the exit code.
func (p *process) exits() int {
	p.t.Helper()
	eventually(p.t, "the end of the process", p.hasEnded)
	return p.command.ProcessState.ExitCode()
}

// service is the program while it serves.
type service struct {
	*process
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
		eventually(t, "readiness", func() bool { return s.operator.status("/readyz") == http.StatusOK || s.hasEnded() })
	}
	return s
}

// begin is [serveIn] for a service that need not become ready.
func begin(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	given := func(name string) bool {
		variable := "TALLYCAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "="
		for _, arg := range args {
			if arg == "--"+name || strings.HasPrefix(arg, "--"+name+"=") {
				return true
			}
		}
		return slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, variable) })
	}
	defaults := map[string]string{"listen": "127.0.0.1:0", "internal-listen": "127.0.0.1:0"}
	if !slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "REDIS_URL=") }) {
		defaults["store"] = "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
	}
	if slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "PORT=") }) {
		delete(defaults, "listen")
	}
	args = slices.Clone(args)
	for name, value := range defaults {
		if !given(name) {
			args = append(args, "--"+name, value)
		}
	}
	s := &service{process: launch(t, env, args...)}
	var serving []map[string]any
	eventually(t, "the line that says what is served", func() bool {
		if s.hasEnded() {
			t.Fatalf("it ended with %d:\n%s", s.command.ProcessState.ExitCode(), s.log)
		}
		serving = s.log.records("serving")
		return len(serving) > 0
	})
	url, _ := serving[0]["url"].(string)
	s.client = newClient(t, url)
	if internal, _ := serving[0]["internal"].(string); internal != "" {
		s.operator = newClient(t, "http://"+internal)
	}
	return s
}

// run runs the program to its end.
func run(t testing.TB, env []string, args ...string) (code int, out, errors string) {
	t.Helper()
	p := launch(t, env, args...)
	code = p.exits()
	return code, p.out.String(), p.log.String()
}
