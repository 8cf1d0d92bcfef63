package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// The service continues after the reader of its log ended.
func TestServe_LogReaderGone(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(binary, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--log-level", "debug", "--log-format", format, "--drain", "0s")
		command.Dir = t.TempDir()
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir}
		command.Stdout, command.Stderr = writer, writer
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		t.Cleanup(func() { _ = command.Process.Kill() })
		url := ""
		for lines := bufio.NewScanner(reader); url == "" && lines.Scan(); {
			var record struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "serving" {
				url = record.URL
			}
			if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "script" {
				url = strings.TrimSuffix(fields[1], "/tally.js")
			}
		}
		reader.Close()
		c := newClient(t, url)
		for range 3 {
			c.like("default/likes/x", "visitor-1", "1") // each is logged
		}
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := command.Wait(); err != nil {
			t.Errorf("%s: %v, want exit 0", format, err)
		}
	}
}

// A command in a pipe ends with its reader.
func TestExport_ReaderGone(t *testing.T) {
	t.Parallel()
	shell := exec.Command("sh", "-c", `"$0" serve --help | true; "$0" version | head -c 1`, binary)
	if out, err := shell.CombinedOutput(); err != nil || string(out) != "t" {
		t.Errorf("%q, %v", out, err)
	}
}

// SIGHUP drains.
func TestServe_SIGHUPDrains(t *testing.T) {
	t.Parallel()
	// A process inherits that SIGHUP is ignored, as under nohup, but not that it is handled.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s := serve(t, "--drain", "1s")
	v := s.dial("?topic=default/likes/x")
	v.awaitEvents("live", 1)
	began := time.Now()
	s.Signal(syscall.SIGHUP)
	if code := s.ExitCode(); code != 0 || time.Since(began) < time.Second {
		t.Errorf("exit %d after %s", code, time.Since(began))
	}
	processtest.Eventually(t, "the end of the socket", v.hasEnded)
	if v.code != 1001 {
		t.Errorf("the socket was closed with %d, want 1001", v.code)
	}
}

// Under nohup the service ignores SIGHUP.
func TestServe_SIGHUPUnderNohup(t *testing.T) {
	t.Parallel()
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Fatal("nohup is missing: apt-get install coreutils")
	}
	p := processtest.Start(t, nohup, nil, binary, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s")
	processtest.Eventually(t, "the start", func() bool { return len(p.Log.Records("serving")) > 0 })
	url, _ := p.Log.Records("serving")[0]["url"].(string)
	p.Signal(syscall.SIGHUP)
	newClient(t, url).like("default/likes/x", "visitor-1", "1")
	p.Terminate()
	if code := p.ExitCode(); code != 0 || len(p.Log.Records("ended")) != 1 {
		t.Errorf("exit %d", code)
	}
}

// /debug/pprof/cmdline shows no tokens, secrets or passwords.
func TestPprofCommandLine_NoCredentials(t *testing.T) {
	t.Parallel()
	const secret, server, admin, password = "secret-0123456789abcdef", "server-0123456789abcdef", "admin-0123456789abcdef", "pa%2Fs%40word-0123456789"
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(admin), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"with =":      {"--admin-token=" + admin, "--secret=" + secret, "--server-token=" + server},
		"without =":   {"--admin-token", admin, "--secret", secret, "--server-token", server},
		"given twice": {"--server-token", server + "-first", "--server-token", server, "--admin-token-file", file},
		"a store":     {"--store", "redis://user:" + password + "@127.0.0.1:1/0"},
	} {
		s := startWith(t, nil, args...)
		body := s.operator.get("/debug/pprof/cmdline").wantStatus(200).wantBody("tallycast").wantBody("serve").wantBody(strings.SplitN(args[0], "=", 2)[0]).body
		body += s.Log.String() + s.Out.String()
		for _, text := range []string{secret, server, admin, password, "0123456789"} {
			if strings.Contains(body, text) {
				t.Errorf("%s: /debug/pprof/cmdline or the log shows %s: %q", name, text, body)
			}
		}
	}
}

// Wrong tokens from the owner's address do not lock the owner out.
func TestAdminToken_RightOneAfterWrongOnes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--admin-token", adminToken)
	for i := range 30 {
		if a := s.get("/admin/v1/topics", "Authorization: Bearer wrong"); i < 10 {
			a.wantProblem(401, "not_authorized")
		} else {
			a.wantProblem(429, "rate_limited")
		}
	}
	s.get("/admin/v1/topics", "Authorization: Bearer "+adminToken).wantStatus(200)
	s.do("POST", "/admin/v1/session", `{"token":"wrong"}`, "Content-Type: application/json").wantProblem(429, "rate_limited")
	s.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`, "Content-Type: application/json").wantStatus(204)
}
