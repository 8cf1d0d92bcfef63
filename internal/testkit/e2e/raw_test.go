package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wire is a connection for requests that no client library sends.
type wire struct {
	*net.TCPConn
	t      testing.TB
	reader *bufio.Reader
}

func (c *client) wire() *wire {
	c.t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(c.url, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * waitTimeout))
	return &wire{conn.(*net.TCPConn), c.t, bufio.NewReader(conn)}
}

// send writes text. A closed connection is not an error.
func (w *wire) send(text string) *wire {
	_, _ = io.WriteString(w.TCPConn, text)
	return w
}

// readResponse reads one response to a request with a method.
func (w *wire) readResponse(method string) response {
	w.t.Helper()
	r, err := http.ReadResponse(w.reader, &http.Request{Method: method})
	if err != nil {
		w.t.Errorf("no response: %v", err)
		return response{t: w.t}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Errorf("incomplete response: %v", err)
	}
	return response{w.t, method, r.StatusCode, r.Header, string(body)}
}

// readUntil reads until the server sent text, and returns everything read.
func (w *wire) readUntil(text string) string {
	w.t.Helper()
	var received strings.Builder
	for !strings.HasSuffix(received.String(), text) {
		c, err := w.reader.ReadByte()
		if err != nil {
			w.t.Fatalf("%v before %s; received %q", err, text, clip(received.String()))
		}
		received.WriteByte(c)
	}
	return received.String()
}

// awaitClose waits until the server closes the connection and returns what it sent.
func (w *wire) awaitClose(limit time.Duration) string {
	w.t.Helper()
	_ = w.SetReadDeadline(time.Now().Add(limit))
	received, err := io.ReadAll(w.reader)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		w.t.Errorf("still open after %s, received %q", limit, clip(string(received)))
	}
	return string(received)
}

const likeX = "/v1/default/likes/x"

func request(method, path, body string, lines ...string) string {
	text := method + " " + path + " HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(lines, ""), "\r\n")
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

// checkServing checks that the service still counts and had no internal error.
func (s *service) checkServing() {
	s.t.Helper()
	before := s.read("default/likes/alive").Count
	if c := s.like("default/likes/alive", fmt.Sprintf("visitor-alive-%d", before), "1"); c.Count != before+1 {
		s.t.Errorf("%+v after %d", c, before)
	}
	for line := range strings.Lines(s.operator.get("/metrics").body) {
		if strings.HasPrefix(line, "tallycast_http_requests_total") && strings.Contains(line, `code="500"`) {
			s.t.Errorf("internal error: %s", line)
		}
	}
}

// Invalid HTTP gets an error, and the connection closes.
func TestHTTP_Garbage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, text := range map[string]string{
		"random bytes":               "\x00\x01\x02\x03\xff\xfe\r\n\r\n",
		"a TLS handshake":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("a", 100) + "\r\n\r\n",
		"the preface of HTTP/2":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"no version":                 "GET /\r\n\r\n",
		"an unknown version":         "GET / HTTP/3.7\r\nHost: h\r\n\r\n",
		"no host":                    "GET / HTTP/1.1\r\n\r\n",
		"two hosts":                  "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"two lengths":                "POST " + likeX + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a negative length":          "POST " + likeX + " HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
		"a header without colon":     "GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
		"a space before the colon":   "GET / HTTP/1.1\r\nHost: h\r\nTally-Visitor : visitor-1\r\n\r\n",
		"an unknown coding":          "POST " + likeX + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: zip\r\n\r\n",
		"a broken escape":            "GET /v1/default/likes/%zz HTTP/1.1\r\nHost: h\r\n\r\n",
		"a control in the path":      "GET /v1/default/likes/\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
		"a header of half a million": "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 500_000) + "\r\n\r\n",
		"a line of half a million":   "GET /" + strings.Repeat("x", 500_000) + " HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		w := s.wire()
		go func() { w.send(text) }() // ends with the connection, at the latest
		if status := w.readResponse("GET").status; status < 400 || status >= 600 || status == 500 {
			t.Errorf("%s: %d", name, status)
		}
		w.awaitClose(waitTimeout)
	}
	s.checkServing()
}

// Pipelined requests are answered in order. Nothing after a stream request is read.
func TestHTTP_Pipelining(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var text strings.Builder
	for i := range 100 {
		text.WriteString(request("POST", likeX, fmt.Sprintf(`{"visitor":"%s"}`, visitor(i))))
		text.WriteString(request("GET", likeX, ""))
	}
	w := s.wire().send(text.String())
	for i := range int64(100) {
		posted, read := w.readResponse("POST").count(), w.readResponse("GET").count()
		if posted.Count != i+1 || read.Count != i+1 || *posted.Mine != 1 {
			t.Fatalf("answer %d: %+v, %+v", i, posted, read)
		}
	}
	// The server does not read data after a request for a stream.
	w = s.wire().send(request("GET", "/v1/stream?topic=default/likes/x", "") + request("POST", likeX, `{"visitor":"visitor-smuggled"}`))
	if line, err := w.reader.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("%q, %v", line, err)
	}
	s.checkServing()
	if c := s.read("default/likes/x"); c.Count != 100 {
		t.Errorf("%+v", c)
	}
}

// Old and unusual HTTP works.
func TestHTTP_Unusual(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if c := s.wire().send("GET " + likeX + " HTTP/1.0\r\n\r\n").readResponse("GET").count(); c.Topic != "default/likes/x" {
		t.Errorf("HTTP/1.0: %+v", c)
	}
	s.wire().send("POST " + likeX + " HTTP/1.0\r\nContent-Length: 23\r\n\r\n{\"visitor\":\"visitor-1\"}").readResponse("POST").wantStatus(200)
	w := s.wire().send("GET /v1/stream?topic=default/likes/x HTTP/1.0\r\n\r\n")
	for !strings.Contains(w.line(), `{"event":"live"}`) {
	}
	// A handshake is HTTP/1.1, of that version, with one key of 16 bytes.
	const upgradeTo = "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
	for _, text := range []string{
		"GET /v1/ws HTTP/1.0\r\n" + upgradeTo + "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /v1/ws HTTP/1.1\r\n" + upgradeTo + "8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /v1/ws HTTP/1.1\r\n" + upgradeTo + "13\r\n\r\n",
		"GET /v1/ws HTTP/1.1\r\n" + upgradeTo + "13\r\nSec-WebSocket-Key: x\r\n\r\n",
		"GET /v1/ws HTTP/1.1\r\n" + upgradeTo + "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	} {
		s.wire().send(text).readResponse("GET").wantProblem(400, "bad_body")
	}

	for _, name := range []string{"tally-visitor", "TALLY-VISITOR", "tAlLy-ViSiToR"} {
		if c := s.wire().send(request("GET", likeX, "", name+": visitor-1")).readResponse("GET").count(); c.Mine == nil || *c.Mine != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	s.wire().send(request("POST", likeX, "x", "CONTENT-TYPE: APPLICATION/XML")).readResponse("POST").wantProblem(415, "unsupported_media_type")
	s.wire().send(request("GET", "http://elsewhere.example"+likeX, "")).readResponse("GET").wantStatus(200)
	s.wire().send(request("OPTIONS", "*", "")).readResponse("OPTIONS")
	s.wire().send(request("HEAD", "/v1/stream?topic=default/likes/x", "")).readResponse("HEAD").wantStatus(405)
	// A client that is done writing is still answered.
	w = s.wire().send(request("POST", likeX, `{"visitor":"visitor-2"}`))
	_ = w.CloseWrite()
	if c := w.readResponse("POST").count(); c.Count != 2 {
		t.Errorf("half-closed: %+v", c)
	}
	// A viewer that leaves at once does no harm.
	w = s.wire().send(request("GET", "/v1/stream?topic=default/likes/x", ""))
	w.line()
	_ = w.Close()
	s.checkServing()
}

// line reads one line.
func (w *wire) line() string {
	w.t.Helper()
	line, err := w.reader.ReadString('\n')
	if err != nil {
		w.t.Fatalf("line: %v", err)
	}
	return line
}

// Chunked bodies and Expect: 100-continue work.
func TestHTTP_ChunkedAndContinue(t *testing.T) {
	t.Parallel()
	s := serve(t)
	chunked := func(chunks ...string) string {
		text := "POST " + likeX + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		for _, chunk := range chunks {
			text += fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
		}
		return text
	}
	if c := s.wire().send(chunked(`{"visi`, `tor":"vis`, `itor-1"}`, "")).readResponse("POST").count(); c.Count != 1 {
		t.Errorf("%+v", c)
	}
	s.wire().send(chunked("")).readResponse("POST").wantStatus(200)
	large := strings.Repeat("x", 40<<10)
	w := s.wire()
	go func() { w.send(chunked(large, large, large, "")) }() // ends with the connection
	w.readResponse("POST").wantProblem(413, "body_too_large")
	s.wire().send(chunked()+"nonsense\r\n\r\n").readResponse("POST").wantProblem(400, "bad_body")
	cut := s.wire().send("POST " + likeX + " HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
	_ = cut.CloseWrite()
	cut.readResponse("POST").wantProblem(400, "bad_body")

	w = s.wire().send("POST " + likeX + " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 23\r\n\r\n")
	if line := w.line(); !strings.Contains(line, " 100 ") {
		t.Errorf("the interim response is %q", line)
	}
	w.line()
	w.send(`{"visitor":"visitor-2"}`)
	w.readResponse("POST").wantStatus(200)
	// The server sends no 100 for a body that it refuses.
	s.wire().send("POST "+likeX+" HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n").readResponse("POST").wantProblem(413, "body_too_large")
	s.wire().send("POST /v1/nowhere/likes/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n").readResponse("POST").wantProblem(404, "unknown_site")
	s.wire().send("POST " + likeX + " HTTP/1.1\r\nHost: h\r\nExpect: 200-cake\r\nContent-Length: 2\r\n\r\n{}").readResponse("POST").wantStatus(417)
	s.checkServing()
}

// Unknown paths are errors, never redirects.
func TestHTTP_UnknownPaths(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, path := range []string{
		"//v1/default/likes/x", "/v1//default/likes/x", "/v1/default//likes/x", "/V1/default/likes/x", "/v1/counts/", "/v1/stream/", "/v1/ws/", "/v1/top/", "/v1/top/default",
		"/v1/top/default/likes/", "/v1/default", "/v1/default/likes", "/v1/", "/v1/../metrics", "/%2e%2e/metrics",
		"/badge/", "/badge/default/likes/.svg", "/badge/default/likes/x.svg/", "/tally.js/", "/demo", "/demo/..%2f..%2fgo.mod", "/demo/nothing", "/favicon.ico", "/robots.txt",
		"/v1/counts/likes/x", "/v1/stream/likes/x", "/v1/ws/likes/x", "/v1/admin/likes/x", "/v1/top/likes/x", "/admin/", "/openapi.yaml/",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a := s.wire().send(request(method, path, "")).readResponse(method)
			if a.status < 400 || a.status >= 500 {
				t.Errorf("%s %s: %d %s", method, path, a.status, clip(a.body))
			} else if a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %s", method, path, a.header.Get("Content-Type"))
			}
		}
	}
	s.checkServing()
}
