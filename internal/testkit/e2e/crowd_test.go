package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// crowd is many open pages that reconnect like browsers, half of them streams. Each needs a
// connection and a goroutine.
type crowd struct {
	address string
	topic   string

	ended sync.WaitGroup
	stop  context.CancelFunc
	pages []*page // fixed after openCrowd
}

// page is one page of a crowd.
type page struct {
	stream bool

	mu          sync.Mutex
	open        bool  // connected and live
	count       int64 // the shown count
	version     int64 // of the connection
	disconnects []time.Time
	refused     int      // failed handshakes
	violations  []string // broken promises
}

// openCrowd opens n pages, which stay open until the test ends, and waits until all are live.
func openCrowd(t testing.TB, address, topic string, n int) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{address: address, topic: topic, stop: stop}
	t.Cleanup(c.close)
	for i := range n {
		p := &page{stream: i%2 == 0}
		c.pages = append(c.pages, p)
		c.ended.Go(func() { p.run(ctx, c) }) // ends with ctx
		if i%100 == 99 {                     // no more than a listener's backlog at once
			processtest.Eventually(t, "some pages", func() bool { return c.current() >= i-50 })
		}
	}
	processtest.Eventually(t, "all pages", func() bool { return c.current() == n })
	return c
}

func (c *crowd) close() {
	c.stop()
	c.ended.Wait()
}

// current returns how many pages are connected and live.
func (c *crowd) current() (n int) {
	for _, p := range c.pages {
		p.mu.Lock()
		if p.open {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// showing returns how many live pages show count.
func (c *crowd) showing(count int64) (n int) {
	for _, p := range c.pages {
		p.mu.Lock()
		if p.open && p.count == count {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// disconnects returns when pages were disconnected since a time.
func (c *crowd) disconnects(since time.Time) (at []time.Time) {
	for _, p := range c.pages {
		p.mu.Lock()
		for _, cut := range p.disconnects {
			if !cut.Before(since) {
				at = append(at, cut)
			}
		}
		p.mu.Unlock()
	}
	return at
}

// run connects again and again until ctx ends.
func (p *page) run(ctx context.Context, c *crowd) {
	failed := 0
	for ctx.Err() == nil {
		wait := p.connect(ctx, c)
		p.mu.Lock()
		if p.open {
			p.disconnects, failed = append(p.disconnects, time.Now()), 0
		}
		p.open = false
		p.mu.Unlock()
		if wait == 0 { // backoff like the elements
			wait = rand.N(time.Second << min(failed, 3))
			failed++
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// connect holds one connection until it ends, and returns the retry time that the server
// sent; 0 if there is none.
func (p *page) connect(ctx context.Context, c *crowd) (wait time.Duration) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return 0
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	text := "GET /v1/ws?topic=" + c.topic + " HTTP/1.1\r\nHost: " + c.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if p.stream {
		text = "GET /v1/stream?topic=" + c.topic + " HTTP/1.1\r\nHost: " + c.address + "\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return 0
	}
	reader := bufio.NewReaderSize(conn, 1024)
	status, err := readHead(reader)
	if err != nil {
		return 0
	}
	p.mu.Lock()
	p.version = -1
	if status != 101 && status != 200 {
		p.refused++
		if p.stream { // an EventSource gives up for good
			p.violations = append(p.violations, fmt.Sprintf("a stream was answered %d", status))
		}
	}
	p.mu.Unlock()
	switch status {
	case 101:
		for {
			message, err := readMessage(reader)
			if err != nil {
				return 0
			}
			p.receive(message)
		}
	case 200:
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return wait
			}
			if text, ok := strings.CutPrefix(line, "retry: "); ok {
				ms, _ := strconv.Atoi(strings.TrimSpace(text))
				wait = time.Duration(ms) * time.Millisecond
			} else if text, ok := strings.CutPrefix(line, "data: "); ok {
				p.receive([]byte(text))
			}
		}
	}
	return 0
}

// receive handles a frame.
func (p *page) receive(text []byte) {
	var f frame
	err := json.Unmarshal(text, &f)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil || f.Error != nil:
		p.violations = append(p.violations, string(text))
	case f.Event == "full":
		p.refused++
	case f.Event == "live":
		p.open = true
	case f.Topic != "" && f.Version <= p.version:
		p.violations = append(p.violations, fmt.Sprintf("version %d after %d", f.Version, p.version))
	case f.Topic != "":
		p.count, p.version = f.Count, f.Version
	}
}

// readHead reads the header of a response.
func readHead(reader *bufio.Reader) (status int, err error) {
	first, err := reader.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(first, "HTTP/1.1 %d", &status); err != nil {
		return 0, err
	}
	for {
		line, err := reader.ReadString('\n')
		if err != nil || line == "\r\n" {
			return status, err
		}
	}
}

var errClosed = errors.New("the server closed the socket")

// readMessage reads one message of a server of at most 64 KiB.
func readMessage(reader *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return nil, err
	}
	size := int(head[1])
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(reader, long[:]); err != nil {
			return nil, err
		}
		size = int(long[0])<<8 | int(long[1])
	}
	message := make([]byte, size)
	_, err := io.ReadFull(reader, message)
	if err == nil && head[0] != 0x81 { // a text message in one frame (RFC 6455, section 5.2)
		err = errClosed
	}
	return message, err
}
