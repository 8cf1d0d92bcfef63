package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// TestMain makes the test binary the program itself for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		Main("", "")
	}
	processtest.SetParallel(8) // most tests wait
	goleak.VerifyTestMain(m)
}

const asProgram = "TALLYCAST_TEST_AS_PROGRAM"

// running is a service in this process.
type running struct {
	public, internal string // URLs
	log              *processtest.LogBuffer
	stop             func()          // ends it as SIGTERM does
	ended            <-chan struct{} // closed when it has ended
	code             *int            // exit code, after ended is closed
}

// start runs the service in this process on free ports and waits until it is ready.
func start(t *testing.T, env config.Environment, args ...string) *running {
	t.Helper()
	r := startUnready(t, env, args...)
	eventually(t, "readiness", func() bool { return status(t, r.internal+"/readyz") == http.StatusOK })
	return r
}

// startUnready is [start] without waiting for readiness.
func startUnready(t *testing.T, env config.Environment, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, code, log := make(chan struct{}), new(int), &processtest.LogBuffer{}
	args = append(args, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0")
	go func() { // ends by cancel; the cleanup waits for it
		defer close(ended)
		*code = run(ctx, args, env, io.Discard, log)
	}()
	r := &running{log: log, stop: cancel, ended: ended, code: code}
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	r.public, r.internal = processtest.AwaitServing(t, log, func() bool {
		select {
		case <-ended:
			t.Fatalf("it ended with %d:\n%s", *code, log)
		default:
		}
		return false
	})
	return r
}

// launch runs the service as a process and waits until it is ready.
func launch(t *testing.T, args ...string) *processtest.Instance {
	t.Helper()
	i := processtest.Serve(t, os.Args[0], []string{asProgram + "=1"}, args...)
	i.AwaitReady()
	return i
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	processtest.Eventually(t, what, condition)
}

// waitExit waits for the end and returns the exit code.
func (r *running) waitExit(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
		return *r.code
	case <-time.After(processtest.Timeout):
		t.Fatalf("it does not end:\n%s", r.log)
		return 0
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: processtest.Timeout}

// status returns the status of a GET; 0 without an answer.
func status(t *testing.T, url string) int {
	t.Helper()
	status, _ := processtest.Get(url)
	return status
}

type answer struct {
	Count   int64
	Version int64
	Mine    int64
	Changed bool
	Code    string
}

// send sends a request, of visitor unless it is empty.
func send(t *testing.T, method, url, visitor string) (a answer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if visitor != "" {
		request.Header.Set("Tally-Visitor", visitor)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		t.Fatalf("%s %s: %s, %v", method, url, response.Status, err)
	}
	return a
}

func sqlite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "tally.db") }

// stream is an open Server-Sent Events stream.
type stream struct {
	mu    sync.Mutex
	lines []string
}

func watch(t *testing.T, url string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	s, done := &stream{}, make(chan struct{})
	go func() { // ends with the stream; the cleanup waits for it
		defer close(done)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			s.mu.Lock()
			s.lines = append(s.lines, scanner.Text())
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		response.Body.Close()
	})
	return s
}

func (s *stream) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func (s *stream) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the frame "+text, func() bool { return s.has(text) })
}
