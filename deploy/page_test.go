package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/eventstream"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// subscriber subscribes to a topic by one transport. It passes each frame to receive until
// ctx ends or the connection does, and returns the reason.
type subscriber func(ctx context.Context, client *http.Client, url, topic string, receive func(frame string)) error

// subscribeStream subscribes by Server-Sent Events.
func subscribeStream(ctx context.Context, client *http.Client, url, topic string, receive func(string)) error {
	request, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/stream?topic="+topic, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := client.Transport.RoundTrip(request) // without the client's limit in time
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("a stream: %s", response.Status)
	}
	for events := eventstream.NewReader(response.Body); ; {
		data, err := events.Next()
		if err != nil {
			return err
		}
		receive(string(data))
	}
}

// subscribeSocket subscribes by WebSocket.
func subscribeSocket(ctx context.Context, client *http.Client, url, topic string, receive func(string)) error {
	socket, _, err := websocket.Dial(ctx, url+"/v1/ws?topic="+topic,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: client.Transport}})
	if err != nil {
		return err
	}
	defer func() { _ = socket.CloseNow() }()
	for {
		_, frame, err := socket.Read(ctx)
		if err != nil {
			return err
		}
		receive(string(frame))
	}
}

// subscribers are the transports of pages.
var subscribers = map[string]subscriber{"stream": subscribeStream, "socket": subscribeSocket}

// live is the frame that tells a page that its counts are current.
const live = `{"event":"live"}`

// receivedFrame is a frame that a page received.
type receivedFrame struct {
	text string
	at   time.Time
}

// page is an open page.
type page struct {
	transport string // key of subscribers

	mu          sync.Mutex
	frames      []receivedFrame
	disconnects int   // how often its connection ended or was refused
	err         error // why it is disconnected; nil if it reconnects
}

func (p *page) receive(frame string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, receivedFrame{frame, time.Now()})
}

// state returns the frames so far, the number of disconnects, and why the page is
// disconnected.
func (p *page) state() (frames []receivedFrame, disconnects int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames), p.disconnects, p.err
}

// awaitCount waits until the page shows count and returns when it received that frame.
func (p *page) awaitCount(t *testing.T, count int) time.Time {
	t.Helper()
	return p.await(t, fmt.Sprintf(`"count":%d,`, count))
}

func (p *page) await(t *testing.T, text string) (at time.Time) {
	t.Helper()
	processtest.Eventually(t, "a frame with "+text, func() bool {
		frames, _, err := p.state()
		for _, f := range frames {
			if strings.Contains(f.text, text) {
				at = f.at
				return true
			}
		}
		if err != nil {
			t.Fatalf("the %s was disconnected: %v", p.transport, err)
		}
		return false
	})
	return at
}

// count returns the count that a page shows after frames.
func (p *page) count(frames []receivedFrame) (count int) {
	for _, f := range frames {
		var change struct {
			Topic string
			Count int
		}
		if json.Unmarshal([]byte(f.text), &change) == nil && change.Topic != "" {
			count = change.Count
		}
	}
	return count
}

// checkVersions checks that the versions of a page with one topic only grow, also across
// connections.
func (p *page) checkVersions(t *testing.T) {
	t.Helper()
	frames, _, _ := p.state()
	newest := int64(-1)
	for _, f := range frames {
		var change struct {
			Topic   string
			Version int64
		}
		if err := json.Unmarshal([]byte(f.text), &change); err != nil {
			t.Errorf("the %s received %q: %v", p.transport, f.text, err)
		}
		if change.Topic != "" && change.Version < newest {
			t.Errorf("the %s went from version %d to %d", p.transport, newest, change.Version)
		}
		newest = max(newest, change.Version)
	}
}

func openStream(t *testing.T, client *http.Client, url, topic string) *page {
	t.Helper()
	return open(t, "stream", client, url, topic)
}

func openSocket(t *testing.T, client *http.Client, url, topic string) *page {
	t.Helper()
	return open(t, "socket", client, url, topic)
}

// open opens a page and waits until it is live.
func open(t *testing.T, transport string, client *http.Client, url, topic string) *page {
	t.Helper()
	p := tryOpen(t, transport, client, url, topic)
	p.await(t, live)
	return p
}

// tryOpen opens a page and waits until it is live or refused.
func tryOpen(t *testing.T, transport string, client *http.Client, url, topic string) *page {
	t.Helper()
	p := &page{transport: transport}
	p.run(t, func(ctx context.Context) {
		err := subscribers[transport](ctx, client, url, topic, p.receive)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.disconnects, p.err = 1, err
	})
	processtest.Eventually(t, "a page", func() bool {
		frames, _, err := p.state()
		return err != nil || slices.ContainsFunc(frames, func(f receivedFrame) bool { return f.text == live })
	})
	return p
}

// openReconnecting opens a page that reconnects like a browser.
func openReconnecting(t *testing.T, transport string, client *http.Client, url, topic string) *page {
	t.Helper()
	p := &page{transport: transport}
	p.run(t, func(ctx context.Context) {
		for {
			_ = subscribers[transport](ctx, client, url, topic, p.receive) // for any reason
			p.mu.Lock()
			p.disconnects++
			p.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second): // the shortest wait of a browser
			}
		}
	})
	p.await(t, live)
	return p
}

// run runs a page until the test ends.
func (p *page) run(t *testing.T, connect func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		connect(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// like sends a like of visitor, if not empty, and returns status and count.
func like(t *testing.T, client *http.Client, url, topic, visitor string, header ...string) (status, count int) {
	t.Helper()
	status, count, err := tryLike(t.Context(), client, url, topic, visitor, header...)
	if err != nil {
		t.Fatal(err)
	}
	return status, count
}

func tryLike(ctx context.Context, client *http.Client, url, topic, visitor string, header ...string) (status, count int, err error) {
	body := ""
	if visitor != "" {
		body = `{"visitor":"` + visitor + `"}`
	}
	request, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/"+topic, strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	var answer struct{ Count int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", response.Status, err)
	}
	return response.StatusCode, answer.Count, nil
}
