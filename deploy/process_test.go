// Package deploy_test runs what this directory ships: the proxy's configuration
// in front of real instances and a real Redis, and the settings of the compose
// file and of the service unit.
package deploy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take here; it only costs time when it fails.
const patience = 20 * time.Second

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tallycast-deploy")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "tallycast")
	build := exec.Command("go", "build", "-o", binary, "../cmd/tallycast")
	if out, err := build.CombinedOutput(); err != nil {
		panic("go build: " + string(out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain waited for: " + what)
		}
	}
}

// process is a program that ends with the test.
type process struct {
	command *exec.Cmd
	ended   chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(name, args...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p, p
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process; the cleanup waits for it
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Errorf("%s had to be killed:\n%s", name, p.said())
			_ = p.command.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.said())
		}
	})
	return p
}

func (p *process) signal(signal os.Signal) { _ = p.command.Process.Signal(signal) }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// instance is a running tallycast.
type instance struct {
	*process
	address  string
	internal string
}

// startInstance starts one on free ports and waits until it is ready.
func startInstance(t *testing.T, args ...string) *instance {
	t.Helper()
	i := &instance{process: start(t, binary, append([]string{
		"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--log-format", "json",
	}, args...)...)}
	eventually(t, "the start of an instance", func() bool {
		if !i.running() {
			t.Fatalf("it ended:\n%s", i.said())
		}
		for scanner := bufio.NewScanner(strings.NewReader(i.said())); scanner.Scan(); {
			var record struct{ Msg, Address, Internal string }
			if json.Unmarshal(scanner.Bytes(), &record) == nil && record.Msg == "serving" {
				i.address, i.internal = record.Address, record.Internal
				return true
			}
		}
		return false
	})
	eventually(t, "readiness", func() bool {
		status, _ := get("http://" + i.internal + "/readyz")
		return status == http.StatusOK
	})
	return i
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get returns status and body; 0 where nobody answers.
func get(url string) (status int, body string) {
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// clientFrom returns a client whose requests come from that loopback address.
func clientFrom(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		Timeout:   patience,
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
