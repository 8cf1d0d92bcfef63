package push_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// instance is everything between the store and the network, without the edge.
type instance struct {
	t        *testing.T
	service  *tally.Service
	hub      *hub.Hub
	presence *presence.Tracker
	server   *push.Server
	http     *httptest.Server
	stop     func() // ends it, and waits
}

func start(t *testing.T, options push.Options) *instance {
	t.Helper()
	catalog := tally.NewCatalog(nil, tally.DefaultMetrics())
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(store, hub.Options{Formats: push.Formats(), WriteTimeout: options.WriteTimeout})
	tracker := presence.New(store, 0)
	server, err := push.New(h, tracker, catalog, options)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, service: tally.NewService(store, catalog), hub: h, presence: tracker, server: server}
	i.http = httptest.NewServer(http.HandlerFunc(i.handle))

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{
		h.Run, tracker.Run, server.Run,
		func(ctx context.Context) error { return store.Run(ctx, h, func([]byte) {}) },
	} {
		running.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("run: %v", err)
			}
		})
	}
	i.stop = sync.OnceFunc(func() {
		i.http.Close()
		stop()
		running.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(i.stop)
	return i
}

func (i *instance) handle(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	session := push.Session{
		Client:  netip.MustParseAddrPort(r.RemoteAddr).Addr(),
		Admit:   func(tally.Topic) error { return nil },
		Topics:  query["topic"],
		Present: query["present"],
	}
	if query.Has("trusted") {
		session.Client = netip.Addr{}
	}
	serve := i.server.EventStream
	if r.URL.Path == "/ws" {
		serve = i.server.WebSocket
	}
	if err := serve(w, r, session); err != nil {
		e := tally.AsError(err)
		http.Error(w, string(e.Code), http.StatusServiceUnavailable)
	}
}

func (i *instance) like(key, visitor string) tally.Change {
	i.t.Helper()
	topic, err := tally.NewTopic("default", "likes", key)
	if err != nil {
		i.t.Fatal(err)
	}
	result, err := i.service.Assert(i.t.Context(), tally.Assertion{Topic: topic, Visitor: visitor, Amount: 1, MayCreate: true})
	if err != nil {
		i.t.Fatal(err)
	}
	return result.Change
}

// heard is what a viewer was sent, frame by frame.
type heard struct {
	t     *testing.T
	next  func() (string, error)
	close func()
}

// frame is any frame.
type frame struct {
	Topic   string
	Count   int64
	Version int64
	Event   string
	Error   *struct{ Code, Message string }
}

func (h *heard) frame() frame {
	h.t.Helper()
	text, err := h.next()
	if err != nil {
		h.t.Fatalf("next frame: %v", err)
	}
	var f frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		h.t.Fatalf("frame %q: %v", text, err)
	}
	return f
}

func (h *heard) expect(want ...string) {
	h.t.Helper()
	for _, w := range want {
		f := h.frame()
		got := fmt.Sprintf("%s=%d", f.Topic, f.Count)
		if f.Event != "" {
			got = f.Event
		} else if f.Error != nil {
			got = f.Topic + "!" + f.Error.Code
		}
		if got != w {
			h.t.Fatalf("frame %s, want %s", got, w)
		}
	}
}

// stream opens an event stream.
func (i *instance) stream(query string) *heard {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.http.URL+"/stream?"+query, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
		i.t.Fatalf("status %d, content type %q", response.StatusCode, got)
	}
	lines := bufio.NewScanner(response.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry: ") {
		i.t.Fatalf("first line %q, want retry", lines.Text())
	}
	return &heard{t: i.t, close: func() { _ = response.Body.Close() }, next: func() (string, error) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data, nil
			}
		}
		return "", errors.Join(errors.New("the stream ended"), lines.Err())
	}}
}

// socket opens a WebSocket.
func (i *instance) socket(query string) (*heard, *websocket.Conn) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	i.t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, i.http.URL+"/ws?"+query, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = ws.CloseNow() })
	return &heard{t: i.t, close: func() { _ = ws.CloseNow() }, next: func() (string, error) {
		_, data, err := ws.Read(ctx)
		return string(data), err
	}}, ws
}

func (i *instance) viewers() int {
	for _, m := range i.hub.Metrics() {
		if m.Name == "viewers" {
			return int(m.Value)
		}
	}
	return -1
}

func (i *instance) eventually(what string, done func() bool) {
	i.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			i.t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func TestBothTransportsGetTheSameFrames(t *testing.T) {
	i := start(t, push.Options{})
	i.like("hello", "visitor-1")
	const topic = "default/likes/hello"
	stream := i.stream("topic=" + topic)
	socket, _ := i.socket("topic=" + topic)
	for _, viewer := range []*heard{stream, socket} {
		viewer.expect(topic+"=1", "live")
	}
	change := i.like("hello", "visitor-2")
	for _, viewer := range []*heard{stream, socket} {
		if got := viewer.frame(); got.Count != 2 || got.Version != change.Version {
			t.Errorf("frame %+v, want %+v", got, change)
		}
	}
}

func TestClientThatLeavesIsNoticedAtOnce(t *testing.T) {
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

func mustTopic(t *testing.T, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatalf("say %s: %v", text, err)
	}
}

func TestClientSubscribesByMessages(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("")
	say(t, ws, `{"subscribe":["default/likes/a","nosuch/likes/b","default/nosuch/c","default/likes/","default/likes/d"]}`)
	heard.expect("nosuch/likes/b!unknown_site", "default/nosuch/c!unknown_metric", "default/likes/!bad_topic",
		"default/likes/a=0", "default/likes/d=0", "live")
	i.like("d", "visitor-1")
	heard.expect("default/likes/d=1")
	say(t, ws, `{"unsubscribe":["default/likes/d"]}`)
	say(t, ws, `{"subscribe":["default/likes/a"]}`)
	heard.expect("live")
	i.like("d", "visitor-2")
	i.like("a", "visitor-2")
	heard.expect("default/likes/a=1")
	for _, bad := range []string{`[]`, `{}`, `{"subscribe":["a"],"present":["b"]}`, `{"subscribe":"a"}`, `{"like":["a"]}`, `{"subscribe":[]} x`, `no`} {
		say(t, ws, bad)
		heard.expect("!bad_body")
	}
}

func TestHostileClientsAreClosedWithPolicy(t *testing.T) {
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
			ctx, cancel := context.WithTimeout(t.Context(), patience)
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

func TestTooLargeMessageIsClosed(t *testing.T) {
	i := start(t, push.Options{})
	_, ws := i.socket("")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { // ends with the connection
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"subscribe":["`+strings.Repeat("a", 100_000)+`"]}`))
	}()
	_, _, err := ws.Read(ctx)
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v (%v), want 1009", got, err)
	}
}

func TestPingsAreAnsweredAndFloodsAreNot(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("topic=default/likes/a")
	heard.expect("default/likes/a=0", "live")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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

func TestPresenceCountsConnectionsThatSaySo(t *testing.T) {
	i := start(t, push.Options{})
	const topic = "default/readers/hello"
	watching, _ := i.socket("topic=" + topic)
	watching.expect(topic+"=0", "live")
	stream := i.stream("present=" + topic)
	stream.expect("live")
	watching.expect(topic + "=1")
	_, ws := i.socket("")
	say(t, ws, `{"present":["`+topic+`"]}`)
	say(t, ws, `{"present":["`+topic+`"]}`)
	watching.expect(topic + "=2")
	say(t, ws, `{"absent":["`+topic+`"]}`)
	watching.expect(topic + "=1")
	stream.close()
	watching.expect(topic + "=0")
	other, ws := i.socket("")
	say(t, ws, `{"present":["default/likes/a"]}`)
	other.expect("default/likes/a!bad_topic")
}

func TestFullInstance(t *testing.T) {
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

func TestTooManyTopicsInOneCall(t *testing.T) {
	i := start(t, push.Options{MaxTopics: 2})
	query := url.Values{"topic": {"default/likes/a", "default/likes/b", "default/likes/c"}}
	response, err := http.Get(i.http.URL + "/stream?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		t.Error("was not refused")
	}
}

func TestDrainClosesEverybodyOverTime(t *testing.T) {
	i := start(t, push.Options{})
	stream := i.stream("topic=default/likes/a")
	stream.expect("default/likes/a=0", "live")
	socket, _ := i.socket("topic=default/likes/a")
	socket.expect("default/likes/a=0", "live")
	i.server.Drain(t.Context(), 50*time.Millisecond)
	if _, err := stream.next(); err == nil {
		t.Error("the stream goes on")
	}
	if _, err := socket.next(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("socket closed with %v, want 1001", err)
	}
	i.eventually("nobody is left", func() bool { return i.viewers() == 0 })
}

// A proxy in front takes a request that was not answered to another instance.
func TestWhoComesDuringADrainIsNotAnswered(t *testing.T) {
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

func TestADrainTakesItsTimeWithoutViewers(t *testing.T) {
	i := start(t, push.Options{})
	const length = 120 * time.Millisecond
	began := time.Now()
	i.server.Drain(t.Context(), length)
	if took := time.Since(began); took < length {
		t.Errorf("it took %s of %s", took, length)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.server.Drain(ctx, time.Hour) // and none where everything ends
}

func TestHandshakeAndFirstMessageInOnePacket(t *testing.T) {
	i := start(t, push.Options{})
	raw, err := net.Dial("tcp", i.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(patience))
	message := `{"subscribe":["default/likes/a"]}`
	frame := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...) // masked with zeros
	request := "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := raw.Write(append([]byte(request), frame...)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(got.String(), `{"event":"live"}`) {
		n, err := raw.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		got.Write(buffer[:n])
	}
}

func TestViewerThatNeverReadsIsDroppedAndItsNeighboursNotice(t *testing.T) {
	i := start(t, push.Options{WriteTimeout: time.Second})
	raw, err := net.Dial("tcp", i.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetReadBuffer(1)
	// A snapshot larger than all buffers between them, and nobody reads it.
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
	i.eventually("the slow one is dropped", func() bool {
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
