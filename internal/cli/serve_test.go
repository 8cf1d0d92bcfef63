package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

func TestServe_Bare(t *testing.T) {
	r := start(t, variables(), "--store", sqlite(t), "--drain", "0s")
	topic := r.public + "/v1/default/likes/hello"
	if a := send(t, "POST", topic, "visitor-1"); a.Count != 1 || a.Mine != 1 || !a.Changed {
		t.Errorf("a like: %+v", a)
	}
	if a := send(t, "GET", topic, ""); a.Count != 1 {
		t.Errorf("read: %+v", a)
	}
	for _, path := range []string{"/", "/tally.js", "/openapi.yaml", "/badge/default/likes/hello.svg", "/healthz"} {
		if got := status(t, r.public+path); got != http.StatusOK {
			t.Errorf("GET %s: %d", path, got)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz"} {
		if got := status(t, r.internal+path); got != http.StatusOK {
			t.Errorf("GET internal %s: %d", path, got)
		}
	}
	r.stop()
	if code := r.waitExit(t); code != exitOK {
		t.Errorf("exit %d:\n%s", code, r.log)
	}
}

func TestServe_StartupSummary(t *testing.T) {
	store := sqlite(t)
	r := start(t, variables("TALLYCAST_STORE="+store, "TALLYCAST_SECRET=do-not-print-this-secret"), "--base-path", "tally",
		"--site", "blog=https://blog.example.com", "--drain", "0s")
	serving := r.log.Record("serving")
	if !strings.HasSuffix(r.public, "/tally") || serving["store"] != store {
		t.Errorf("serving: %v", serving)
	}
	if got := status(t, r.public+"/v1/blog/likes/x"); got != http.StatusOK {
		t.Errorf("below the base path: %d", got)
	}
	settings := r.log.Record("configuration")
	for name, source := range map[string]string{"store": "environment TALLYCAST_STORE", "site": "flag --site", "drain": "flag --drain", "rate-limit": "default"} {
		if got, _ := settings[name].(map[string]any); got["source"] != source {
			t.Errorf("%s: %v, want from %s", name, got, source)
		}
	}
	if strings.Contains(r.log.String(), "do-not-print") {
		t.Error("the secret was logged")
	}
}

// A metric may replace a default one, which is logged.
func TestServe_ReplacedMetric(t *testing.T) {
	args := []string{"--metric", "likes=once,claps=amount:50,stars=amount:5"}
	r := start(t, variables(), append(args, "--store", sqlite(t), "--drain", "0s")...)
	const message = "--metric replaces the rule of a default metric"
	if warning := r.log.Record(message); warning["level"] != "WARN" || warning["metric"] != "likes" || warning["rule"] != "once" || warning["default"] != "toggle" {
		t.Errorf("%v", warning)
	}
	if n := strings.Count(r.log.String(), message); n != 1 {
		t.Errorf("%d warnings, want that of likes alone: claps has the default rule", n)
	}
	code, out, errors := call(t, variables(), append([]string{"check-config"}, args...)...)
	if code != exitOK || !strings.Contains(out, "--metric likes=once replaces the rule of a default metric, which is toggle.") || strings.Contains(out, "which is amount") {
		t.Errorf("exit %d: %s%s", code, out, errors)
	}
}

func TestServe_Drain(t *testing.T) {
	r := start(t, variables(), "--store", sqlite(t), "--drain", "600ms")
	frames := watch(t, r.public+"/v1/stream?topic=default/likes/drained")
	frames.await(t, `{"event":"live"}`)
	r.stop()
	eventually(t, "not ready", func() bool { return status(t, r.internal+"/readyz") == http.StatusServiceUnavailable })
	// Connected viewers are still served.
	if a := send(t, "POST", r.public+"/v1/default/likes/drained", "visitor-1"); a.Count != 1 {
		t.Errorf("a like while draining: %+v", a)
	}
	frames.awaitEnd(t)
	if code := r.waitExit(t); code != exitOK {
		t.Errorf("exit %d:\n%s", code, r.log)
	}
}

// stream is an open Server-Sent Events stream.
type stream struct {
	mu    sync.Mutex
	lines []string
	ended bool
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
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
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

func (s *stream) awaitEnd(t *testing.T) {
	t.Helper()
	eventually(t, "the end of the stream", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.ended
	})
}

func TestServe_Kill(t *testing.T) {
	store := sqlite(t)
	first := launch(t, "--store", store)
	for i := range 5 {
		send(t, "POST", first.URL+"/v1/default/likes/kept", fmt.Sprintf("visitor-%d", i))
	}
	first.Kill()
	second := launch(t, "--store", store, "--drain", "0s")
	if a := send(t, "GET", second.URL+"/v1/default/likes/kept", "visitor-3"); a.Count != 5 || a.Mine != 1 {
		t.Errorf("after kill -9: %+v", a)
	}
	second.Terminate()
	if code := second.ExitCode(); code != exitOK {
		t.Errorf("exit %d:\n%s", code, second.Log)
	}
}

func TestServe_SecondSignal(t *testing.T) {
	i := launch(t, "--store", sqlite(t), "--drain", "10m")
	frames := watch(t, i.URL+"/v1/stream?topic=default/likes/x")
	frames.await(t, "live")
	i.Terminate()
	eventually(t, "draining", func() bool { return i.Log.Record("draining") != nil })
	eventually(t, "the end", func() bool {
		i.Signal(syscall.SIGTERM)
		return i.HasEnded()
	})
}

func TestServe_StartFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := filepath.Join(t.TempDir(), "data")
	notADatabase := writeFile(t, "this is no database, as everybody can see, however long it is")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--listen", taken.Addr().String(), "--store", "sqlite:" + filepath.Join(data, "x.db")}, []string{"--listen " + taken.Addr().String(), "another process listens there"}},
		{[]string{"--listen", "127.0.0.1:0", "--internal-listen", taken.Addr().String(), "--store", "sqlite:" + filepath.Join(data, "y.db")}, []string{"--internal-listen", "another process"}},
		{[]string{"--listen", "192.0.2.1:0", "--store", sqlite(t)}, []string{"this machine has no such address"}},
		{[]string{"--listen", "127.0.0.1:0", "--store", "sqlite:" + notADatabase}, []string{notADatabase}},
	} {
		code, out, errors := call(t, variables(), c.args...)
		if code != exitFailure || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		for _, want := range c.want {
			if !strings.Contains(errors, want) {
				t.Errorf("%v lacks %q:\n%s", c.args, want, errors)
			}
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("an address that was taken left a store behind")
	}
}

func TestServe_RedisUnavailable(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := nobody.Addr().String()
	nobody.Close()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended, code := &processtest.LogBuffer{}, make(chan struct{}), 0
	go func() { // ends by cancel
		defer close(ended)
		code = run(ctx, []string{"--store", "redis://" + away, "--listen", "127.0.0.1:0", "--internal-listen", ""}, variables(), io.Discard, log)
	}()
	defer func() {
		cancel()
		<-ended
		if code != exitOK {
			t.Errorf("exit %d:\n%s", code, log)
		}
	}()
	eventually(t, "the start", func() bool { return log.Record("serving") != nil })
	url, _ := log.Record("serving")["url"].(string)
	if got := status(t, url+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", got)
	}
	if got := status(t, url+"/healthz"); got != http.StatusOK {
		t.Errorf("alive: %d", got)
	}
	if a := send(t, "POST", url+"/v1/default/likes/x", "visitor-1"); a.Code != "store_unavailable" {
		t.Errorf("a like: %+v", a)
	}
}

func TestHealthcheck_Configuration(t *testing.T) {
	r := start(t, variables(), "--store", sqlite(t), "--drain", "0s", "--base-path", "/tally")
	public, internal := strings.TrimPrefix(strings.TrimSuffix(r.public, "/tally"), "http://"), strings.TrimPrefix(r.internal, "http://")
	file := writeFile(t, "internal-listen: "+internal+"\n")
	for name, c := range map[string]struct {
		env  []string
		args []string
	}{
		"flag":            {args: []string{"--internal-listen", internal}},
		"environment":     {env: []string{"TALLYCAST_INTERNAL_LISTEN=" + internal}},
		"file":            {args: []string{"--config", file, "--live"}},
		"public listener": {args: []string{"--internal-listen=", "--listen", public, "--base-path", "tally"}},
		"URL":             {args: []string{"--url", r.public + "/readyz"}},
	} {
		if code, out, errors := call(t, variables(c.env...), append([]string{"healthcheck"}, c.args...)...); code != exitOK || !strings.Contains(out, "status") {
			t.Errorf("%s: exit %d, %s%s", name, code, out, errors)
		}
	}
	r.stop()
	r.waitExit(t)
	for _, args := range [][]string{{"--internal-listen", internal}, {"--listen", "nonsense"}} {
		if code, _, errors := call(t, variables(), append([]string{"healthcheck"}, args...)...); code != exitFailure || errors == "" {
			t.Errorf("%v: exit %d, %q; containers know 0 and 1", args, code, errors)
		}
	}
}
