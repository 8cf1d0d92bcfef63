package push_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestTransports_SameFrames(t *testing.T) {
	i := start(t, push.Options{})
	i.like("hello", "visitor-1")
	const topic = "default/likes/hello"
	stream := i.stream("topic=" + topic)
	socket, _ := i.socket("topic=" + topic)
	for _, v := range []*viewer{stream, socket} {
		v.expect(topic+"=1", "live")
	}
	change := i.like("hello", "visitor-2")
	for _, v := range []*viewer{stream, socket} {
		if got := v.frame(); got.Count != 2 || got.Version != change.Version {
			t.Errorf("frame %+v, want %+v", got, change)
		}
	}
}

func TestClient_Closes(t *testing.T) {
	i := start(t, push.Options{})
	stream := i.stream("topic=default/likes/a")
	stream.expect("default/likes/a=0", "live")
	socket, _ := i.socket("topic=default/likes/a")
	socket.expect("default/likes/a=0", "live")
	i.eventually("two viewers", func() bool { return i.viewers() == 2 })
	stream.close()
	i.eventually("the stream is gone", func() bool { return i.viewers() == 1 })
	socket.close()
	i.eventually("the socket is gone", func() bool { return i.viewers() == 0 })
	if _, ok := i.hub.Newest(mustTopic(t, "default/likes/a")); ok {
		t.Error("the topic is still watched")
	}
}

func TestWebSocket_Messages(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("")
	sendText(t, ws, `{"subscribe":["default/likes/a","nosuch/likes/b","default/nosuch/c","default/likes/","default/likes/d"]}`)
	heard.expect("nosuch/likes/b!unknown_site", "default/nosuch/c!unknown_metric", "default/likes/!bad_topic",
		"default/likes/a=0", "default/likes/d=0", "live")
	i.like("d", "visitor-1")
	heard.expect("default/likes/d=1")
	sendText(t, ws, `{"unsubscribe":["default/likes/d"]}`)
	sendText(t, ws, `{"subscribe":["default/likes/a"]}`)
	heard.expect("live")
	i.like("d", "visitor-2")
	i.like("a", "visitor-2")
	heard.expect("default/likes/a=1")
	for _, bad := range []string{`[]`, `{}`, `{"subscribe":["a"],"present":["b"]}`, `{"subscribe":"a"}`, `{"like":["a"]}`, `{"subscribe":[]} x`, `no`} {
		sendText(t, ws, bad)
		heard.expect("!bad_body")
	}
}

func TestWebSocket_Violations(t *testing.T) {
	i := start(t, push.Options{})
	attacks := map[string]func(ctx context.Context, ws *websocket.Conn) error{
		"binary": func(ctx context.Context, ws *websocket.Conn) error {
			return ws.Write(ctx, websocket.MessageBinary, []byte(`{"subscribe":[]}`))
		},
		"invalid UTF-8": func(ctx context.Context, ws *websocket.Conn) error {
			return ws.Write(ctx, websocket.MessageText, []byte("\xff\xfe"))
		},
		"flood": func(ctx context.Context, ws *websocket.Conn) error {
			for range 500 {
				if err := ws.Write(ctx, websocket.MessageText, []byte(`{"subscribe":["default/likes/a"]}`)); err != nil {
					return nil // closed on the way
				}
			}
			return nil
		},
		"nonsense": func(ctx context.Context, ws *websocket.Conn) error {
			for range 20 {
				if err := ws.Write(ctx, websocket.MessageText, []byte(`?`)); err != nil {
					return nil
				}
			}
			return nil
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
			defer cancel()
			ws, _, err := websocket.Dial(ctx, i.http.URL+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			attacked := make(chan error, 1)
			go func() { attacked <- attack(ctx, ws) }() // ends with the connection
			for err == nil {
				_, _, err = ws.Read(ctx)
			}
			if got := websocket.CloseStatus(err); got != websocket.StatusPolicyViolation {
				t.Errorf("closed with %v (%v), want 1008", got, err)
			}
			ws.CloseNow()
			if err := <-attacked; err != nil {
				t.Error(err)
			}
		})
	}
	i.eventually("they are gone", func() bool { return i.viewers() == 0 })
}

func TestWebSocket_TooLargeMessage(t *testing.T) {
	i := start(t, push.Options{})
	_, ws := i.socket("")
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	go func() { // ends with the connection
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"subscribe":["`+strings.Repeat("a", 100_000)+`"]}`))
	}()
	_, _, err := ws.Read(ctx)
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v (%v), want 1009", got, err)
	}
}

func TestWebSocket_Pings(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("topic=default/likes/a")
	heard.expect("default/likes/a=0", "live")
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	reading := ws.CloseRead(ctx)
	if err := ws.Ping(ctx); err != nil {
		t.Fatalf("ping: %v", err)
	}
	for reading.Err() == nil {
		pingCtx, done := context.WithTimeout(ctx, time.Second)
		_ = ws.Ping(pingCtx)
		done()
	}
	if ctx.Err() != nil {
		t.Error("a flood of pings was not stopped")
	}
}

func TestPresence_Transports(t *testing.T) {
	i := start(t, push.Options{})
	const topic = "default/readers/hello"
	expect := func(pages int64) {
		t.Helper()
		i.eventually("presence", func() bool { return i.presence.Load() == pages })
	}
	watching, _ := i.socket("topic=" + topic)
	watching.expect(topic+"=0", "live")
	stream := i.stream("present=" + topic)
	stream.expect("live")
	expect(1)
	_, ws := i.socket("")
	sendText(t, ws, `{"present":["`+topic+`"]}`)
	sendText(t, ws, `{"present":["`+topic+`"]}`)
	expect(2)
	sendText(t, ws, `{"absent":["`+topic+`"]}`)
	expect(1)
	stream.close()
	expect(0)
	other, ws := i.socket("")
	sendText(t, ws, `{"present":["default/likes/a"]}`)
	other.expect("default/likes/a!bad_topic")
	expect(0)
}

// A topic on which a connection is no longer present is not counted for its address.
func TestPresence_LeaveReturnsQuota(t *testing.T) {
	i := start(t, push.Options{MaxTopicsPerAddress: 1})
	viewer, ws := i.socket("")
	for range 2 {
		sendText(t, ws, `{"present":["default/readers/a"]}`)
		i.eventually("presence", func() bool { return i.presence.Load() == 1 })
		sendText(t, ws, `{"present":["default/readers/b"]}`)
		viewer.expect("default/readers/b!too_many_viewers")
		sendText(t, ws, `{"absent":["default/readers/a"]}`)
		i.eventually("absence", func() bool { return i.presence.Load() == 0 })
	}
}

func TestServer_Full(t *testing.T) {
	i := start(t, push.Options{MaxViewers: 3, MaxViewersPerAddress: 2})
	for range 2 {
		i.stream("topic=default/likes/a").expect("default/likes/a=0", "live")
	}
	full := i.stream("topic=default/likes/a")
	full.expect("full")
	trusted := i.stream("trusted&topic=default/likes/a")
	trusted.expect("default/likes/a=0", "live")
	if _, err := full.next(); err == nil {
		t.Error("the stream goes on after full")
	}
	response, err := http.Post(i.http.URL+"/stream", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d for a fetch, want 503", response.StatusCode)
	}
	refused, _ := i.socket("")
	if _, err := refused.next(); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("a WebSocket was closed with %v, want 1013", err)
	}
}

func TestEventStream_TooManyTopics(t *testing.T) {
	i := start(t, push.Options{})
	query := url.Values{"topic": slices.Repeat([]string{"default/likes/a"}, tally.MaxTopics+1)}
	response, err := http.Get(i.http.URL + "/stream?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		t.Error("the call was accepted")
	}
}

func TestDrain_ClosesViewers(t *testing.T) {
	i := start(t, push.Options{})
	stream := i.stream("topic=default/likes/a")
	stream.expect("default/likes/a=0", "live")
	socket, _ := i.socket("topic=default/likes/a")
	socket.expect("default/likes/a=0", "live")
	i.server.Drain(t.Context(), 50*time.Millisecond)
	if _, err := stream.next(); err == nil {
		t.Error("the stream is still open")
	}
	if _, err := socket.next(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("socket closed with %v, want 1001", err)
	}
	i.eventually("nobody is left", func() bool { return i.viewers() == 0 })
}

// A proxy retries a request without a response at another instance.
func TestDrain_NewClients(t *testing.T) {
	i := start(t, push.Options{})
	i.server.Drain(t.Context(), 0)
	for _, text := range []string{
		"GET /?topic=default/likes/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
		"GET /?topic=default/likes/a HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf(handshake, "topic=default/likes/a"),
	} {
		if all, err := io.ReadAll(i.dial(text)); len(all) > 0 || err != nil {
			t.Errorf("%q, %v", all, err)
		}
	}
}

func TestDrain_WithoutViewers(t *testing.T) {
	i := start(t, push.Options{})
	const length = 120 * time.Millisecond
	began := time.Now()
	i.server.Drain(t.Context(), length)
	if took := time.Since(began); took < length {
		t.Errorf("it took %s of %s", took, length)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.server.Drain(ctx, time.Hour) // returns at once
}

func TestWebSocket_MessageWithHandshake(t *testing.T) {
	i := start(t, push.Options{})
	c := i.dial(fmt.Sprintf(handshake, "") + masked(0x81, `{"subscribe":["default/likes/a"]}`))
	var got strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(got.String(), `{"event":"live"}`) {
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		got.Write(buffer[:n])
	}
}

func TestViewer_NeverReads(t *testing.T) {
	i := start(t, push.Options{WriteTimeout: time.Second})
	raw, err := net.Dial("tcp", i.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetReadBuffer(1)
	// A snapshot larger than all buffers on the way.
	var request strings.Builder
	request.WriteString("GET /stream?")
	for n := range 900 {
		fmt.Fprintf(&request, "topic=default/likes/%s%d&", strings.Repeat("x", 200), n)
	}
	request.WriteString(" HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := raw.Write([]byte(request.String())); err != nil {
		t.Fatal(err)
	}
	neighbour := i.stream("topic=default/likes/a")
	neighbour.expect("default/likes/a=0", "live")
	i.eventually("the slow viewer is closed", func() bool {
		for _, m := range i.hub.Metrics() {
			if m.Name == "viewers_left_total" && m.LabelValue == "write_timeout" && m.Value == 1 {
				return true
			}
		}
		return false
	})
	i.like("a", "visitor-1")
	neighbour.expect("default/likes/a=1")
}
