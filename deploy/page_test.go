package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// visit is a way to watch a topic: it hands each frame to note until the connection
// ends, for the reason that is returned, or ctx does.
type visit func(ctx context.Context, by *http.Client, url, topic string, note func(frame string)) error

// visitStream watches by Server-Sent Events, by a client's way.
func visitStream(ctx context.Context, by *http.Client, url, topic string, note func(string)) error {
	request, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/stream?topic="+topic, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := by.Transport.RoundTrip(request) // without the client's limit in time
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("a stream: %s", response.Status)
	}
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		if frame, ok := strings.CutPrefix(scanner.Text(), "data: "); ok {
			note(frame)
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	return io.EOF
}

// visitSocket watches by WebSocket, by a client's way.
func visitSocket(ctx context.Context, by *http.Client, url, topic string, note func(string)) error {
	socket, _, err := websocket.Dial(ctx, url+"/v1/ws?topic="+topic,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: by.Transport}})
	if err != nil {
		return err
	}
	defer func() { _ = socket.CloseNow() }()
	for {
		_, frame, err := socket.Read(ctx)
		if err != nil {
			return err
		}
		note(string(frame))
	}
}

// visits are the ways by which pages watch.
var visits = map[string]visit{"stream": visitStream, "socket": visitSocket}

// live is what a page hears when its numbers are current.
const live = `{"event":"live"}`

// heard is a frame that a page was sent.
type heard struct {
	frame string
	at    time.Time
}

// page is an open page: what it was sent.
type page struct {
	kind string // of visit

	mu     sync.Mutex
	frames []heard
	cuts   int   // how often it was cut off, or found no place
	err    error // why it was cut off for good
}

func (p *page) note(frame string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, heard{frame, time.Now()})
}

// seen returns what the page was sent so far, and why it was cut off if it was.
func (p *page) seen() (frames []heard, cuts int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]heard(nil), p.frames...), p.cuts, p.err
}

// awaitCount waits until the page shows count, and returns since when.
func (p *page) awaitCount(t *testing.T, count int) time.Time {
	t.Helper()
	return p.await(t, fmt.Sprintf(`"count":%d,`, count))
}

func (p *page) await(t *testing.T, text string) (at time.Time) {
	t.Helper()
	processtest.Eventually(t, "a frame with "+text, func() bool {
		frames, _, err := p.seen()
		for _, f := range frames {
			if strings.Contains(f.frame, text) {
				at = f.at
				return true
			}
		}
		if err != nil {
			t.Fatalf("the %s was cut off: %v", p.kind, err)
		}
		return false
	})
	return at
}

// count returns what a page shows that was sent frames.
func (p *page) count(frames []heard) (count int) {
	for _, f := range frames {
		var change struct {
			Topic string
			Count int
		}
		if json.Unmarshal([]byte(f.frame), &change) == nil && change.Topic != "" {
			count = change.Count
		}
	}
	return count
}

// onlyGrows checks that a page of one topic never went back, also where it was cut off
// between.
func (p *page) onlyGrows(t *testing.T) {
	t.Helper()
	frames, _, _ := p.seen()
	newest := int64(-1)
	for _, f := range frames {
		var change struct {
			Topic   string
			Version int64
		}
		if err := json.Unmarshal([]byte(f.frame), &change); err != nil {
			t.Errorf("the %s was sent %q: %v", p.kind, f.frame, err)
		}
		if change.Topic != "" && change.Version < newest {
			t.Errorf("the %s went from version %d to %d", p.kind, newest, change.Version)
		}
		newest = max(newest, change.Version)
	}
}

func openStream(t *testing.T, by *http.Client, url, topic string) *page {
	t.Helper()
	return open(t, "stream", by, url, topic)
}

func openSocket(t *testing.T, by *http.Client, url, topic string) *page {
	t.Helper()
	return open(t, "socket", by, url, topic)
}

// open opens a page, which is not to be cut off, and waits until it is current.
func open(t *testing.T, kind string, by *http.Client, url, topic string) *page {
	t.Helper()
	p := tryOpen(t, kind, by, url, topic)
	p.await(t, live)
	return p
}

// tryOpen opens a page and waits until it is current or was refused.
func tryOpen(t *testing.T, kind string, by *http.Client, url, topic string) *page {
	t.Helper()
	p := &page{kind: kind}
	p.keep(t, func(ctx context.Context) {
		err := visits[kind](ctx, by, url, topic, p.note)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cuts, p.err = 1, err
	})
	processtest.Eventually(t, "a page", func() bool {
		frames, _, err := p.seen()
		return err != nil || slices.ContainsFunc(frames, func(f heard) bool { return f.frame == live })
	})
	return p
}

// openAgain opens a page that comes back by itself when it is cut off, as browsers do.
func openAgain(t *testing.T, kind string, by *http.Client, url, topic string) *page {
	t.Helper()
	p := &page{kind: kind}
	p.keep(t, func(ctx context.Context) {
		for {
			_ = visits[kind](ctx, by, url, topic, p.note) // whatever the reason
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second): // the least that a browser waits
			}
		}
	})
	p.await(t, live)
	return p
}

// keep lets a page run until the test ends.
func (p *page) keep(t *testing.T, run func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// like posts as visitor, or as nobody in particular, and returns the answer.
func like(t *testing.T, by *http.Client, url, topic, visitor string, header ...string) (status, count int) {
	t.Helper()
	status, count, err := tryLike(t.Context(), by, url, topic, visitor, header...)
	if err != nil {
		t.Fatal(err)
	}
	return status, count
}

func tryLike(ctx context.Context, by *http.Client, url, topic, visitor string, header ...string) (status, count int, err error) {
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
	response, err := by.Do(request)
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
