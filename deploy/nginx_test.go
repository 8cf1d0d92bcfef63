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
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/processtest"
	"github.com/tallycast/tallycast/internal/redistest"
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

// openStream opens a page by Server-Sent Events.
func openStream(t *testing.T, address, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/v1/stream?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
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

// openSocket opens a page by WebSocket.
func openSocket(t *testing.T, address, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	socket, _, err := websocket.Dial(ctx, "ws://"+address+"/v1/ws?topic="+topic, nil)
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
func like(t *testing.T, by *http.Client, address, topic, visitor string, header ...string) (status, count int) {
	t.Helper()
	body := ""
	if visitor != "" {
		body = `{"visitor":"` + visitor + `"}`
	}
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+"/v1/"+topic, strings.NewReader(body))
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

// three starts three instances that share a Redis, behind nginx. They trust the
// address from which nginx comes, 127.0.0.1, and no other.
func three(t *testing.T, args ...string) ([]*processtest.Instance, *processtest.Nginx) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	args = append(args, "--store", server.URL(0), "--trusted-proxy", "127.0.0.1")
	var all []*processtest.Instance
	for range 3 {
		all = append(all, startInstance(t, args...))
	}
	return all, processtest.StartNginx(t, "nginx.conf", all...)
}

func TestThroughNginxEveryPageOnEveryInstanceSeesALike(t *testing.T) {
	const topic = "default/likes/hello"
	instances, nginx := three(t, "--drain", "0s")
	var pages []*page
	for range len(instances) {
		pages = append(pages, openStream(t, nginx.Address, topic), openSocket(t, nginx.Address, topic))
	}
	for _, i := range instances {
		if i.Metric("tallycast_viewers") < 1 {
			t.Error("the pages are not balanced: an instance has none")
		}
	}
	for n := 1; n <= 3; n++ {
		if status, count := like(t, client, nginx.Address, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK || count != n {
			t.Fatalf("a like: %d, count %d", status, count)
		}
		began := time.Now()
		for _, p := range pages {
			p.awaitCount(t, n)
		}
		t.Logf("like %d was on all pages %v after its answer", n, time.Since(began).Round(time.Millisecond))
	}
}

func TestThroughNginxTheClientsAddressIsKept(t *testing.T) {
	const topic = "default/likes/addresses"
	_, nginx := three(t, "--drain", "0s", "--rate-limit", "10/h")
	one, other := clientFrom("127.0.0.2"), clientFrom("127.0.0.3")
	// Who names no visitor is known by the address.
	for range 2 {
		if _, count := like(t, one, nginx.Address, topic, ""); count != 1 {
			t.Errorf("the first address: count %d", count)
		}
	}
	if _, count := like(t, other, nginx.Address, topic, ""); count != 2 {
		t.Errorf("the second address: count %d", count)
	}
	if _, count := like(t, one, nginx.Address, topic, "", "X-Forwarded-For", "203.0.113.9"); count != 2 {
		t.Errorf("an address that the client made up: count %d", count)
	}
	// Limits are of an address: 30 at once, and what instances did not know yet.
	limited := false
	for n := 0; n < 300 && !limited; n++ {
		status, _ := like(t, one, nginx.Address, topic, fmt.Sprintf("visitor-%d", n))
		limited = status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("one address was never limited")
	}
	if status, _ := like(t, other, nginx.Address, topic, "visitor-x"); status != http.StatusOK {
		t.Errorf("the other address was limited too: %d", status)
	}
}

func TestAReloadOfNginxCutsNoPageOff(t *testing.T) {
	const topic = "default/likes/reload"
	instances, nginx := three(t, "--drain", "0s")
	pages := []*page{openStream(t, nginx.Address, topic), openSocket(t, nginx.Address, topic)}
	more := nginx.Reload(t, instances...)
	if status, _ := like(t, client, more, topic, "visitor-1"); status != http.StatusOK {
		t.Fatalf("a like: %d", status)
	}
	for _, p := range pages {
		p.awaitCount(t, 1)
	}
}

func TestNoLikeIsRefusedWhileAnInstanceEnds(t *testing.T) {
	const topic = "default/likes/rolling"
	instances, nginx := three(t, "--drain", "100ms", "--rate-limit", "off")
	survivor := openStream(t, instances[2].Address(), topic)
	const likes = 150
	for n := 1; n <= likes; n++ {
		if n == likes/3 {
			instances[0].Terminate()
		}
		if n == 2*likes/3 {
			instances[1].Terminate()
		}
		if status, _ := like(t, client, nginx.Address, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK {
			t.Fatalf("like %d: %d", n, status)
		}
	}
	survivor.awaitCount(t, likes)
	for _, i := range instances[:2] {
		if code := i.Exits(); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}
