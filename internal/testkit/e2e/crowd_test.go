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
)

// crowd is many pages that are open at once and come back when they are cut off, as
// browsers do; half of them by Server-Sent Events. What one of them costs here is a
// connection and a goroutine.
type crowd struct {
	address string
	topic   string

	ended sync.WaitGroup
	stop  context.CancelFunc
	pages []*page // fixed once all were gathered
}

// page is one of them.
type page struct {
	stream bool

	mu      sync.Mutex
	open    bool  // it is connected, and was told that its numbers are current
	count   int64 // what it shows
	version int64 // of the connection
	cuts    []time.Time
	refused int      // handshakes that were answered with anything but a connection
	wrong   []string // what must not happen
}

// gatherCrowd opens n pages at address, of which each is open until the test ends.
func gatherCrowd(t testing.TB, address, topic string, n int) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{address: address, topic: topic, stop: stop}
	t.Cleanup(c.leave)
	for i := range n {
		p := &page{stream: i%2 == 0}
		c.pages = append(c.pages, p)
		c.ended.Go(func() { p.live(ctx, c) }) // ends with ctx
		if i%100 == 99 {                      // no more than a listener's backlog at once
			eventually(t, "some pages", func() bool { return c.current() >= i-50 })
		}
	}
	eventually(t, "all pages", func() bool { return c.current() == n })
	return c
}

func (c *crowd) leave() {
	c.stop()
	c.ended.Wait()
}

// current returns how many pages are connected and current.
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

// show returns how many pages are connected and show count.
func (c *crowd) show(count int64) (n int) {
	for _, p := range c.pages {
		p.mu.Lock()
		if p.open && p.count == count {
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// cuts returns when pages were cut off since a time.
func (c *crowd) cuts(since time.Time) (at []time.Time) {
	for _, p := range c.pages {
		p.mu.Lock()
		for _, cut := range p.cuts {
			if !cut.Before(since) {
				at = append(at, cut)
			}
		}
		p.mu.Unlock()
	}
	return at
}

// live connects, again and again.
func (p *page) live(ctx context.Context, c *crowd) {
	failed := 0
	for ctx.Err() == nil {
		wait := p.visit(ctx, c)
		p.mu.Lock()
		if p.open {
			p.cuts, failed = append(p.cuts, time.Now()), 0
		}
		p.open = false
		p.mu.Unlock()
		if wait == 0 { // as the widgets wait: twice as long after each failure
			wait = rand.N(time.Second << min(failed, 3))
			failed++
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// visit holds one connection until it ends, and returns how long the page was told
// to stay away, 0 where it was not.
func (p *page) visit(ctx context.Context, c *crowd) (wait time.Duration) {
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
			p.wrong = append(p.wrong, fmt.Sprintf("a stream was answered %d", status))
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
			p.take(message)
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
				p.take([]byte(text))
			}
		}
	}
	return 0
}

// take shows a frame.
func (p *page) take(text []byte) {
	var f frame
	err := json.Unmarshal(text, &f)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil || f.Error != nil:
		p.wrong = append(p.wrong, string(text))
	case f.Event == "full":
		p.refused++
	case f.Event == "live":
		p.open = true
	case f.Topic != "" && f.Version <= p.version:
		p.wrong = append(p.wrong, fmt.Sprintf("version %d after %d", f.Version, p.version))
	case f.Topic != "":
		p.count, p.version = f.Count, f.Version
	}
}

// readHead reads the head of an answer.
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

// readMessage reads one message of a server: short enough for a small frame.
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
