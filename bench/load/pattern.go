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

// patternFault is the fault of a [pattern] towards its first viewer.
type patternFault string

const (
	faultNone        patternFault = "none"
	faultShort       patternFault = "a missing last frame"
	faultDecreased   patternFault = "a version that decreases"
	faultClosed      patternFault = "a stream that ends"
	faultMalformed   patternFault = "a malformed frame"
	faultUnrequested patternFault = "an unrequested topic"
	faultRefused     patternFault = "a refusal"
)

// patternFrames is the number of frames for a viewer of a pattern, with the snapshot.
const patternFrames = 20

// patternGap is the time between two frames.
const patternGap = 5 * time.Millisecond

// pattern is a server that sends known frames, split at varying places.
type pattern struct {
	listener net.Listener
	fault    patternFault
	work     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newPattern(f patternFault) (*pattern, error) {
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
	_ = p.listener.Close() // no longer needed
	p.mu.Lock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}

func (p *pattern) endpoint(transport Transport) Endpoint {
	return Endpoint{
		Address: p.listener.Addr().String(), Path: "/?{topics}", TopicParam: "topic={topic}",
		Transport: transport, Ready: `{"event":"live"}`,
	}
}

// serve writes the frames of one viewer. An error ends it; the viewer's report then shows
// missing frames.
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
	has := func(f patternFault) bool { return first && p.fault == f }
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
		case last && has(faultDecreased):
			version = 1
		case last && has(faultUnrequested):
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
		// Each frame is split at another place, and its end arrives with the next one.
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

// CheckSelf runs viewers against servers with known patterns, correct and faulty, and
// returns an error if the viewers do not report exactly these. It takes about a second.
func CheckSelf(ctx context.Context) error {
	var checks sync.WaitGroup
	faults := []patternFault{faultNone, faultShort, faultDecreased, faultClosed, faultMalformed, faultUnrequested, faultRefused}
	errs := make([]error, 2*len(faults))
	for i, f := range faults {
		for k, transport := range []Transport{SSE, WebSocket} {
			checks.Go(func() { // ends with ctx at the latest
				if err := checkFault(ctx, f, transport); err != nil {
					errs[2*i+k] = fmt.Errorf("the load generator misreports %s on %s: %w", f, transport, err)
				}
			})
		}
	}
	checks.Wait()
	return errors.Join(errs...)
}

func checkFault(ctx context.Context, f patternFault, transport Transport) (err error) {
	const viewers = 20
	p, err := newPattern(f)
	if err != nil {
		return err
	}
	defer p.close()
	crowd, err := NewCrowd(Plan{Endpoint: p.endpoint(transport), Viewers: viewers, Topics: 1, PerViewer: 1, Record: true})
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
	case faultDecreased:
		expected.Decreased = 1 // it counts as a frame
	case faultClosed:
		oneLess()
		expected.Lost, expected.Live = 1, viewers-1
	case faultMalformed:
		oneLess()
		expected.Malformed = 1
	case faultUnrequested:
		oneLess()
		expected.Unrequested = 1
	case faultRefused:
		expected.Frames -= patternFrames
		expected.Fewest, expected.Lost, expected.Live = 0, 1, viewers-1
	}
	finals := []int64{patternFrames - 1}
	err = crowd.until(ctx, func() (bool, string) {
		seen := crowd.frames + crowd.unrequested + crowd.malformed
		n := crowd.behind(finals)
		return n == behind && seen == expected.Frames+expected.Unrequested+expected.Malformed && crowd.lost == expected.Lost && crowd.live == expected.Live,
			fmt.Sprintf("%d are behind, %d frames, %d lost, want %+v", n, seen, crowd.lost, expected)
	})
	if err != nil {
		return err
	}
	got := crowd.Report()
	if err := got.Check(patternFrames); (err == nil) != (f == faultNone) {
		return fmt.Errorf("the verdict is %v", err)
	}
	if events := int64(len(got.Events)); events != got.Frames-got.Decreased {
		return fmt.Errorf("%d events of %d frames", events, got.Frames)
	}
	got.Problems, got.Events, got.Busiest, got.LastFrame, got.LastArrival = nil, nil, 0, 0, 0
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", expected) {
		return fmt.Errorf("reported %+v, want %+v", got, expected)
	}
	return nil
}
