package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// fewFiles is how many files a service of these tests may open.
const fewFiles = 700

// serveWithFiles starts a service with a limit of open files.
func serveWithFiles(t *testing.T, files int, args ...string) *service {
	t.Helper()
	shell := filepath.Join(t.TempDir(), "tallycast")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %q \"$@\"\n", files, binary)
	if err := os.WriteFile(shell, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := startBinary(t, shell, nil, args...)
	s.AwaitReady()
	return s
}

// openConnections opens n connections from an address and sends text on each. If text is a
// complete request, it waits for the response. The server may close connections.
func (s *service) openConnections(from string, n int, text string) (conns []net.Conn) {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: waitTimeout}
	for range n {
		c, err := dialer.Dial("tcp", s.Address())
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, text)
		if strings.HasSuffix(text, "\r\n\r\n") {
			_ = c.SetReadDeadline(time.Now().Add(waitTimeout))
			if response, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
			}
		}
		conns = append(conns, c)
	}
	return conns
}

// checkServesOthers checks that both listeners answer on new connections. A busy machine may
// delay an answer; a service without free descriptors delays all.
func (s *service) checkServesOthers(from string) {
	s.t.Helper()
	const promised, tries = 5 * time.Second, 4
	fastest := time.Hour
	for range tries {
		began := time.Now()
		s.from(from).like("default/likes/x", "visitor-"+strings.ReplaceAll(from, ".", "-"), "1")
		newClient(s.t, s.operator.url).get("/readyz").wantStatus(200)
		newClient(s.t, s.operator.url).get("/metrics").wantStatus(200)
		if fastest = min(fastest, time.Since(began)); fastest <= promised {
			return
		}
	}
	s.t.Errorf("the fastest of %d responses took %s", tries, fastest)
}

// One address cannot use up all descriptors.
func TestConnections_OneAddress(t *testing.T) {
	t.Parallel()
	const header = "GET /v1/default/likes/x HTTP/1.1\r\nHost: h\r\n"
	for name, text := range map[string]string{
		"idle":            header + "\r\n",
		"without request": "",
		"half a header":   header + "X: ",
		"half a body":     "POST /v1/default/likes/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveWithFiles(t, fewFiles)
			s.openConnections("127.0.0.2", fewFiles+100, text)
			s.checkServesOthers("127.0.0.3")
			if n := len(s.Log.Records("one address holds as many connections as it may: the service closes its idle ones and refuses new ones; if it is your proxy, name it with --trusted-proxy")); n != 1 {
				t.Errorf("%d warnings of the address", n)
			}
			if n := s.Metric("process_open_fds"); n > 400 {
				t.Errorf("%v descriptors are open", n)
			}
			if n := s.Metric(`tallycast_connections_shed_total{reason="address"}`); n < 400 {
				t.Errorf("%v connections were shed", n)
			}
		})
	}
}

// Many addresses, or a trusted proxy, leave room for the operator and for further
// clients.
func TestConnections_ManyAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		each int
		from []string
	}{
		"many addresses":  {nil, 200, []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"}},
		"a trusted proxy": {[]string{"--trusted-proxy", "127.0.0.2"}, 1000, []string{"127.0.0.2"}},
		"no limit":        {[]string{"--max-viewers-per-address", "off"}, 1000, []string{"127.0.0.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveWithFiles(t, fewFiles, c.args...)
			v := s.from("127.0.0.9").watch("?topic=default/likes/x")
			v.awaitEvents("live", 1)
			for _, from := range c.from {
				s.openConnections(from, c.each, request("GET", "/v1/default/likes/x", ""))
			}
			s.checkServesOthers("127.0.0.7")
			v.awaitCount("default/likes/x", 1)
			if n := len(s.Log.Records("file descriptors run short: the service closes idle connections, and refuses new ones if that is not enough; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)")); n != 1 {
				t.Errorf("%d warnings of open files", n)
			}
			if n := s.Metric("process_open_fds"); n >= fewFiles {
				t.Errorf("%v descriptors are open", n)
			}
		})
	}
}

// The connections of a trusted proxy are not limited.
func TestConnections_TrustedProxy(t *testing.T) {
	t.Parallel()
	s := serve(t, "--trusted-proxy", "127.0.0.2", "--max-viewers-per-address", "2")
	for i, c := range s.openConnections("127.0.0.2", 600, request("GET", "/v1/default/likes/x", "")) {
		_ = c.SetDeadline(time.Now().Add(waitTimeout))
		_, _ = io.WriteString(c, request("GET", "/v1/default/likes/x", ""))
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatalf("connection %d was closed: %v", i, err)
		}
	}
	if n := s.Metric(`tallycast_connections_shed_total{reason="address"}`); n != 0 {
		t.Errorf("%v connections were shed", n)
	}
}

// A client that does not read its responses is disconnected.
func TestConnections_SlowReader(t *testing.T) {
	t.Parallel()
	s := serve(t, "--admin-token", adminToken)
	var wires []*wire
	ended := make(chan error, 3)
	for _, path := range []string{"/openapi.yaml", "/tally.js", "/admin/admin.js"} {
		w := s.wire()
		_ = w.SetReadBuffer(4096)
		_ = w.SetDeadline(time.Now().Add(time.Minute))
		wires = append(wires, w)
		go func() { // ends with the connection
			_, err := io.WriteString(w, strings.Repeat(request("GET", path, ""), 400_000))
			ended <- err
		}()
	}
	for range wires {
		if err := <-ended; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that reads nothing stayed connected: %v", err)
		}
	}
	s.checkServing()
}

// Unfinished requests from many addresses do not lock out others.
func TestConnections_StuckRequests(t *testing.T) {
	t.Parallel()
	s := serveWithFiles(t, fewFiles)
	const body = "POST /v1/default/likes/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"
	for i := range 5 {
		s.openConnections(fmt.Sprintf("127.0.0.%d", i+2), 200, body)
	}
	processtest.Within(t, 20*time.Second, "an answer", func() bool {
		c := newClientFrom(t, s.url, "127.0.0.9")
		_, err := c.try("GET", "/v1/default/likes/x", "")
		return err == nil
	})
	newClient(t, s.operator.url).get("/readyz").wantStatus(200)
	s.checkServesOthers("127.0.0.10")
}
