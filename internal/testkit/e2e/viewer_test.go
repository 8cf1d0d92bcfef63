package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// frame is a received frame.
type frame struct {
	count
	Event string
	ID    *int64 // of an answer to an assertion
	raw   string
	at    time.Time // when it was received
}

// viewer is an open stream or socket. A goroutine reads it until it ends.
type viewer struct {
	t      testing.TB
	header http.Header
	socket *websocket.Conn // nil for a stream
	cancel func()

	mu      sync.Mutex
	frames  []frame
	retries []int  // the retry fields, in ms
	first   string // the first line of a stream
	ended   bool
	code    websocket.StatusCode // the close code of a socket; -1 if there is none
}

// watch opens a stream like an EventSource.
func (c *client) watch(query string, lines ...string) *viewer {
	c.t.Helper()
	return c.stream("GET", "/v1/stream"+query, "", append(lines, "Accept: text/event-stream")...)
}

// stream opens a stream of Server-Sent Events.
func (c *client) stream(method, path, body string, lines ...string) *viewer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	response, err := c.http.Transport.RoundTrip(request)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(response.Body)
		c.t.Fatalf("%s %s: %s, %s", method, path, response.Status, text)
	}
	v := &viewer{t: c.t, header: response.Header, cancel: cancel, code: -1}
	v.read(func() error { return v.readLines(response.Body) }, func() { response.Body.Close() })
	return v
}

// dial opens a WebSocket.
func (c *client) dial(query string, lines ...string) *viewer {
	c.t.Helper()
	header := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	socket, response, err := websocket.Dial(ctx, c.url+"/v1/ws"+query, &websocket.DialOptions{HTTPClient: &http.Client{Transport: c.http.Transport}, HTTPHeader: header})
	if err != nil {
		c.t.Fatalf("dial %s: %v", query, err)
	}
	reading, stop := context.WithCancel(context.Background())
	v := &viewer{t: c.t, header: response.Header, socket: socket, cancel: stop, code: -1}
	v.read(func() error { return v.readMessages(reading) }, func() { _ = socket.CloseNow() })
	return v
}

// read reads until the connection ends, with the test at the latest.
func (v *viewer) read(run func() error, release func()) {
	done := make(chan struct{})
	go func() { // ends with the connection; the cleanup waits for it
		defer close(done)
		err := run()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.ended, v.code = true, websocket.CloseStatus(err)
	}()
	v.t.Cleanup(func() {
		v.cancel()
		release()
		<-done
		if v.t.Failed() {
			v.t.Logf("a viewer received: %s", clip(v.transcript()))
		}
	})
}

func (v *viewer) readLines(body io.Reader) error {
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line, now := scanner.Text(), time.Now()
		v.mu.Lock()
		if v.first == "" {
			v.first = line
		}
		v.mu.Unlock()
		switch field, value, _ := strings.Cut(line, ": "); field {
		case "data":
			v.receive(value, now)
		case "retry":
			wait, err := strconv.Atoi(value)
			if err != nil {
				v.t.Errorf("line %q", line)
			}
			v.mu.Lock()
			v.retries = append(v.retries, wait)
			v.mu.Unlock()
		case "":
		default:
			v.t.Errorf("line %q", line)
		}
	}
	return scanner.Err()
}

func (v *viewer) readMessages(ctx context.Context) error {
	v.socket.SetReadLimit(1 << 20)
	for {
		kind, text, err := v.socket.Read(ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			v.t.Errorf("a message of kind %v", kind)
		}
		v.receive(string(text), time.Now())
	}
}

func (v *viewer) receive(text string, at time.Time) {
	f := frame{raw: text, at: at}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		v.t.Errorf("frame %q: %v", text, err)
	}
	v.mu.Lock()
	v.frames = append(v.frames, f)
	v.mu.Unlock()
}

// send sends a message.
func (v *viewer) send(text string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	if err := v.socket.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		v.t.Errorf("send %s: %v", clip(text), err)
	}
}

// close ends the connection without a close frame, like a closed tab.
func (v *viewer) close() {
	v.cancel()
	processtest.Eventually(v.t, "the end of the connection", v.hasEnded)
}

func (v *viewer) hasEnded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// received returns the frames so far, in order.
func (v *viewer) received() []frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]frame(nil), v.frames...)
}

func (v *viewer) transcript() string {
	var b strings.Builder
	for _, f := range v.received() {
		b.WriteString(f.raw + "\n")
	}
	return b.String()
}

// awaitFrame waits for a frame that matches and returns it.
func (v *viewer) awaitFrame(what string, matches func(frame) bool) (found frame) {
	v.t.Helper()
	processtest.Eventually(v.t, what, func() bool {
		for _, f := range v.received() {
			if matches(f) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

// awaitCount waits for a frame of a topic with a count.
func (v *viewer) awaitCount(topic string, n int64) frame {
	v.t.Helper()
	return v.awaitFrame(topic+" at "+strconv.FormatInt(n, 10), func(f frame) bool {
		return f.Topic == topic && f.Error == nil && f.Count == n
	})
}

// awaitEvents waits until an event came at least so many times.
func (v *viewer) awaitEvents(event string, times int) {
	v.t.Helper()
	processtest.Eventually(v.t, event+" "+strconv.Itoa(times)+" times", func() bool {
		n := 0
		for _, f := range v.received() {
			if f.Event == event {
				n++
			}
		}
		return n >= times
	})
}

// last returns the newest frame of a topic.
func (v *viewer) last(topic string) (newest frame) {
	for _, f := range v.received() {
		if f.Topic == topic {
			newest = f
		}
	}
	return newest
}

// checkVersions checks that each topic's versions grow.
func (v *viewer) checkVersions() {
	v.t.Helper()
	newest := map[string]int64{}
	for _, f := range v.received() {
		if f.Topic == "" || f.Error != nil || f.ID != nil {
			continue
		}
		if held, ok := newest[f.Topic]; ok && f.Version <= held {
			v.t.Errorf("%s went from version %d to %d", f.Topic, held, f.Version)
		}
		newest[f.Topic] = f.Version
	}
}
