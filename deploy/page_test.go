package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/processtest"
)

// page is an open page: what it was sent.
type page struct {
	mu     sync.Mutex
	frames []string
	err    error
}

func (p *page) note(frame string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, frame)
}

func (p *page) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// ended tells whether the page was cut off.
func (p *page) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// awaitCount waits until the page shows count, and tells how long that took.
func (p *page) awaitCount(t *testing.T, count int) {
	t.Helper()
	p.await(t, fmt.Sprintf(`"count":%d,`, count))
}

func (p *page) await(t *testing.T, text string) {
	t.Helper()
	processtest.Eventually(t, "a frame with "+text, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, frame := range p.frames {
			if strings.Contains(frame, text) {
				return true
			}
		}
		if p.err != nil {
			t.Fatalf("the page was cut off: %v", p.err)
		}
		return false
	})
}

// openStream opens a page by Server-Sent Events, by a client's way.
func openStream(t *testing.T, by *http.Client, url, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/stream?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := by.Transport.RoundTrip(request) // without the client's limit in time
	if err != nil {
		t.Fatal(err)
	}
	p, done := &page{}, make(chan struct{})
	go func() { // ends with the stream; the cleanup waits for it
		defer close(done)
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			p.note(scanner.Text())
		}
		p.end(fmt.Errorf("end of stream, %v", scanner.Err()))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		response.Body.Close()
	})
	p.await(t, `{"event":"live"}`)
	return p
}

// openSocket opens a page by WebSocket, by a client's way.
func openSocket(t *testing.T, by *http.Client, url, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	socket, _, err := websocket.Dial(ctx, url+"/v1/ws?topic="+topic,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: by.Transport}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	p, done := &page{}, make(chan struct{})
	go func() { // ends with the socket; the cleanup waits for it
		defer close(done)
		for {
			_, frame, err := socket.Read(ctx)
			if err != nil {
				p.end(err)
				return
			}
			p.note(string(frame))
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = socket.CloseNow()
	})
	p.await(t, `{"event":"live"}`)
	return p
}

// like posts as visitor, or as nobody in particular, and returns the answer.
func like(t *testing.T, by *http.Client, url, topic, visitor string, header ...string) (status, count int) {
	t.Helper()
	body := ""
	if visitor != "" {
		body = `{"visitor":"` + visitor + `"}`
	}
	request, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/"+topic, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := by.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Count int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", response.Status, err)
	}
	return response.StatusCode, answer.Count
}
