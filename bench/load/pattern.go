package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// fault is what a [pattern] does wrong to its first viewer.
type fault string

const (
	faultNone      fault = "none"
	faultShort     fault = "a missing last frame"
	faultBack      fault = "a version that goes back"
	faultClosed    fault = "a stream that ends"
	faultMalformed fault = "a frame that is none"
	faultStrange   fault = "a topic that was not asked for"
	faultRefused   fault = "a refusal"
)

// patternFrames is how many frames a viewer of a pattern gets, the snapshot included.
const patternFrames = 20

// patternGap is the time between two of them.
const patternGap = 5 * time.Millisecond

// pattern is a server whose viewers get known frames, cut at odd places.
type pattern struct {
	listener net.Listener
	fault    fault
	work     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newPattern(f fault) (*pattern, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &pattern{listener: listener, fault: f}
	p.work.Go(func() { // ends when the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			first := len(p.conns) == 0
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			p.work.Go(func() { p.serve(conn, first) }) // ends with the connection
		}
	})
	return p, nil
}

func (p *pattern) close() {
	_ = p.listener.Close() // it served its purpose, as did the connections
	p.mu.Lock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}

func (p *pattern) door(transport Transport) Door {
	return Door{
		Address: p.listener.Addr().String(), Path: "/?{topics}", TopicParam: "topic={topic}",
		Transport: transport, Ready: `{"event":"live"}`,
	}
}

// serve writes what a viewer is to get. Errors end it: the viewer then misses
// something, which is what it is asked about.
func (p *pattern) serve(conn net.Conn, first bool) {
	reader := bufio.NewReader(conn)
	socket := false
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		socket = socket || strings.HasPrefix(line, "Upgrade:")
		if line == "\r\n" {
			break
		}
	}
	has := func(f fault) bool { return first && p.fault == f }
	if has(faultRefused) {
		_, _ = conn.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
		return
	}
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	wrap := func(json string) string { return "data: " + json + "\n\n" }
	if socket {
		head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
		wrap = func(json string) string { return "\x81" + string(rune(len(json))) + json }
	}
	for n := range patternFrames {
		count, version, topic := n, n, 0
		switch last := n == patternFrames-1; {
		case last && has(faultShort):
			continue
		case last && has(faultClosed):
			_ = conn.Close()
			return
		case last && has(faultBack):
			version = 1
		case last && has(faultStrange):
			topic = 7
		}
		json := fmt.Sprintf(`{"topic":%q,"count":%d,"version":%d}`, Topic(topic), count, version)
		if n == patternFrames-1 && has(faultMalformed) {
			json = strings.Replace(json, `,"version":`, `,"versiom":`, 1)
		}
		text := wrap(json)
		if n == 0 {
			text = head + text + wrap(`{"event":"live"}`)
		}
		// Each frame is cut at another place, and its end comes with the next one's begin.
		at := (n*7 + 3) % len(text)
		if _, err := conn.Write([]byte(text[:at])); err != nil {
			return
		}
		time.Sleep(patternGap)
		if _, err := conn.Write([]byte(text[at:])); err != nil {
			return
		}
	}
}

// CheckSelf runs viewers against servers with known patterns, right and wrong
// ones, and returns an error when the viewers do not report exactly those. No
// figure is worth anything before. It takes about a second.
func CheckSelf(ctx context.Context) error {
	var checks sync.WaitGroup
	faults := []fault{faultNone, faultShort, faultBack, faultClosed, faultMalformed, faultStrange, faultRefused}
	errs := make([]error, 2*len(faults))
	for i, f := range faults {
		for k, transport := range []Transport{SSE, WebSocket} {
			checks.Go(func() { // ends with ctx at the latest
				if err := checkFault(ctx, f, transport); err != nil {
					errs[2*i+k] = fmt.Errorf("the load generator misjudges %s on %s: %w", f, transport, err)
				}
			})
		}
	}
	checks.Wait()
	return errors.Join(errs...)
}

func checkFault(ctx context.Context, f fault, transport Transport) (err error) {
	const viewers = 20
	p, err := newPattern(f)
	if err != nil {
		return err
	}
	defer p.close()
	crowd, err := NewCrowd(Plan{Door: p.door(transport), Viewers: viewers, Topics: 1, PerViewer: 1, Record: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crowd.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := crowd.Open(ctx); err != nil {
		return err
	}
	expected := Report{Viewers: viewers, Live: viewers, Fewest: patternFrames, Most: patternFrames, Frames: viewers * patternFrames}
	oneLess := func() { expected.Fewest--; expected.Frames-- }
	behind := 1
	switch f {
	case faultNone:
		behind = 0
	case faultShort:
		oneLess()
	case faultBack:
		expected.Back = 1 // and it is a frame
	case faultClosed:
		oneLess()
		expected.Lost, expected.Live = 1, viewers-1
	case faultMalformed:
		oneLess()
		expected.Malformed = 1
	case faultStrange:
		oneLess()
		expected.Strange = 1
	case faultRefused:
		expected.Frames -= patternFrames
		expected.Fewest, expected.Lost, expected.Live = 0, 1, viewers-1
	}
	finals := []int64{patternFrames - 1}
	err = crowd.until(ctx, func() (bool, string) {
		seen := crowd.frames + crowd.strange + crowd.malformed
		n := crowd.behind(finals)
		return n == behind && seen == expected.Frames+expected.Strange+expected.Malformed && crowd.lost == expected.Lost && crowd.live == expected.Live,
			fmt.Sprintf("%d are behind, %d frames, %d lost, want %+v", n, seen, crowd.lost, expected)
	})
	if err != nil {
		return err
	}
	got := crowd.Report()
	if err := got.Check(patternFrames); (err == nil) != (f == faultNone) {
		return fmt.Errorf("the verdict is %v", err)
	}
	if events := int64(len(got.Events)); events != got.Frames-got.Back {
		return fmt.Errorf("%d events of %d frames", events, got.Frames)
	}
	got.Notes, got.Events, got.Busiest, got.LastFrame, got.LastArrival = nil, nil, 0, 0, 0
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", expected) {
		return fmt.Errorf("reported %+v, want %+v", got, expected)
	}
	return nil
}
