package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// Without arguments the program serves from data/tallycast.db.
func TestServe_WithoutArguments(t *testing.T) {
	t.Parallel()
	// The default addresses may be in use on this machine.
	p := launch(t, []string{"TALLYCAST_LISTEN=127.0.0.1:0", "TALLYCAST_INTERNAL_LISTEN=127.0.0.1:0"})
	processtest.Eventually(t, "the start", func() bool { return len(p.Log.Records("serving")) > 0 })
	url, _ := p.Log.Records("serving")[0]["url"].(string)
	c := newClient(t, url)
	c.like("default/likes/x", "visitor-1", "1")
	if _, err := os.Stat(filepath.Join(p.Command.Dir, "data", "tallycast.db")); err != nil {
		t.Error(err)
	}
	p.Terminate()
	if code := p.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// The startup summary names addresses, store, origins and their sources, and no secret.
func TestServe_StartupSummary(t *testing.T) {
	t.Parallel()
	p := launch(t, []string{"TALLYCAST_ALLOW_ORIGIN=https://app.example"}, "--log-format", "text", "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0",
		"--store", "sqlite:here.db", "--site", "blog=https://blog.example.com", "--server-token", "token-not-to-be-printed")
	for _, want := range []string{"http://127.0.0.1:", "/tally.js", "/metrics", "sqlite:here.db", "https://blog.example.com", "https://app.example", "flag --site", "environment TALLYCAST_ALLOW_ORIGIN", "flag --store"} {
		processtest.Eventually(t, "a line that says "+want, func() bool { return strings.Contains(p.Log.String(), want) })
	}
	if strings.Contains(p.Log.String(), "token-not-to-be-printed") {
		t.Error("the token was printed")
	}
}

// Without viewers an interrupt ends the service at once.
func TestServe_InterruptWithoutViewers(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain", "10m")
	s.Signal(os.Interrupt)
	processtest.Eventually(t, "the end", s.HasEnded)
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// SIGTERM disconnects viewers over the --drain time and exits with 0.
func TestServe_SIGTERMDrains(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain", "5s")
	const n = 20
	var viewers []*viewer
	for i := range n {
		if i%2 == 0 {
			viewers = append(viewers, s.watch("?topic=default/likes/x"))
		} else {
			viewers = append(viewers, s.dial("?topic=default/likes/x"))
		}
	}
	for _, v := range viewers {
		v.awaitEvents("live", 1)
	}
	began := time.Now()
	s.Terminate()
	// Both listeners report draining at once, and requests are still answered.
	for _, listener := range []*client{s.client, s.operator} {
		processtest.Within(t, time.Second, "not ready", func() bool { return listener.status("/readyz") == 503 })
		listener.get("/readyz").wantStatus(503).wantBody("draining")
		listener.get("/healthz").wantStatus(200)
	}
	s.like("default/likes/x", "visitor-1", "1")
	// New viewers are refused.
	if a, err := s.try("POST", "/v1/stream", `{"topics":["default/likes/x"]}`); err == nil {
		t.Errorf("a stream while draining: %d %s", a.status, a.body)
	}
	var gone []time.Duration
	for len(gone) < n {
		if time.Since(began) > waitTimeout {
			t.Fatalf("%d of %d viewers are gone", len(gone), n)
		}
		ended := 0
		for _, v := range viewers {
			if v.hasEnded() {
				ended++
			}
		}
		for ended > len(gone) {
			gone = append(gone, time.Since(began))
		}
		sleep(3 * time.Millisecond)
	}
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if gone[n/2] < time.Second || gone[n-1]-gone[0] < 2500*time.Millisecond {
		t.Errorf("not spread over 5 s: %v", gone)
	}
	for _, v := range viewers {
		switch {
		case v.socket != nil && v.code != 1001:
			t.Errorf("a socket was closed with %d, want 1001", v.code)
		case v.socket == nil && (len(v.retries) != 2 || v.retries[1] < 2000 || v.retries[1] > 10000):
			t.Errorf("a stream ended with retries %v, want from 2 to 10 s", v.retries)
		}
	}
}

// Likes during SIGTERM are acknowledged and stored, or neither.
func TestServe_LikesDuringSIGTERM(t *testing.T) {
	t.Parallel()
	store := "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
	s := serve(t, "--store", store, "--drain", "0s")
	acknowledged := make([]bool, 2000)
	done := make(chan struct{})
	go func() { // ends with its likes; the test waits for it
		defer close(done)
		each(len(acknowledged), 8, func(i int) {
			a, err := s.try("POST", "/v1/default/likes/x", "", "Tally-Visitor: "+visitor(i))
			acknowledged[i] = err == nil && a.status == 200
		})
	}()
	processtest.Eventually(t, "some likes", func() bool { return s.Metric("tallycast_writes_acknowledged_total") > 200 })
	s.Terminate()
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
	<-done
	checkStored(t, serve(t, "--store", store), "default/likes/x", acknowledged)
}

// Unfinished requests do not change the exit code.
func TestServe_UnfinishedRequestsAtEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain", "0s")
	s.wire()
	s.wire().send("GET / HTTP/1.1\r\nHost: h\r\nX: ")
	s.wire().send("POST " + likeX + " HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
	s.checkServing()
	s.Terminate()
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A second signal ends the drain.
func TestServe_SecondSignal(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain", "10m")
	s.watch("?topic=default/likes/x").awaitEvents("live", 1)
	s.Terminate()
	processtest.Eventually(t, "draining", func() bool { return s.status("/readyz") == 503 })
	processtest.Eventually(t, "the end", func() bool {
		_ = s.Command.Process.Signal(syscall.SIGTERM)
		return s.HasEnded()
	})
}

// Each command has its exit code and message.
func TestCommands_ExitCodes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	taken := strings.TrimPrefix(s.url, "http://")
	internal := strings.TrimPrefix(s.operator.url, "http://")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	closed.Close()
	notADatabase := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("this is no database ", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		say  string
	}{
		{"version", 0, "go1."}, {"--help", 0, "Commands:"}, {"serve --help", 0, "--listen"}, {"check-config", 0, "default"},
		{"healthcheck --internal-listen " + internal, 0, "ready"}, {"healthcheck --live --internal-listen " + internal, 0, "ok"},
		{"healthcheck --internal-listen= --listen " + taken, 0, "ready"}, {"healthcheck --url " + s.url + "/readyz", 0, "ready"},
		{"healthcheck --internal-listen " + gone, 1, gone}, {"healthcheck --url " + s.url + "/nothing", 1, "404"},
		{"serve --listen " + taken, 1, "--listen " + taken}, {"serve --listen 127.0.0.1:0 --internal-listen " + internal, 1, "--internal-listen"},
		{"serve --listen 127.0.0.1:0 --internal-listen= --store sqlite:" + notADatabase, 1, notADatabase},
		{"nonsense", 2, "nonsense"}, {"serve extra", 2, "extra"}, {"--nonsense", 2, "nonsense"}, {"serve --listen", 2, "listen"}, {"check-config --drain x", 2, "--drain"},
	} {
		code, out, errors := run(t, nil, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errors, c.say) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.say, out, errors)
		}
	}
}

// At debug level the log contains no credential and no visitor.
func TestLog_NoCredentials(t *testing.T) {
	t.Parallel()
	const secret, token, visitorID = "secret-0123456789abcdef", "token-0123456789abcdef", "visitor-0123456789"
	s := serveIn(t, []string{"TALLYCAST_SECRET=" + secret, "TALLYCAST_SERVER_TOKEN=" + token}, "--log-level", "debug")
	bearer := "Authorization: Bearer " + token
	s.do("POST", "/v1/default/likes/x", `{"visitor":"`+visitorID+`"}`, bearer).wantStatus(200)
	s.get("/v1/default/likes/x", "Tally-Visitor: "+visitorID).wantStatus(200)
	s.do("POST", "/v1/nowhere/likes/x", `{"visitor":"`+visitorID+`"}`, bearer).wantStatus(404)
	s.get("/v1/default/likes/x?visitor="+visitorID, bearer).wantStatus(400)
	s.do("POST", "/v1/default/likes/x", `{"visitor":"`+visitorID+`"`, "Authorization: Bearer wrong-"+token).wantStatus(403)
	processtest.Eventually(t, "the access log", func() bool { return len(s.Log.Records("request")) >= 5 })
	for _, text := range []string{secret, token, visitorID} {
		if strings.Contains(s.Log.String()+s.Out.String(), text) {
			t.Errorf("%s was logged", text)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/cmdline", "/readyz"} {
		if body := s.operator.get(path).body; strings.Contains(body, secret) || strings.Contains(body, token) {
			t.Errorf("%s shows a credential", path)
		}
	}
}
