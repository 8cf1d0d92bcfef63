package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/eventstream"
	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const waitTimeout = 10 * time.Second

// instance is a store, a hub and a server of package push.
type instance struct {
	t        *testing.T
	service  *tally.Service
	hub      *hub.Hub
	presence *pages
	server   *push.Server
	http     *httptest.Server
	hold     chan func() // if not nil, assertions are sent on it, to be made later
	stop     func()      // ends it and waits
}

func start(t *testing.T, options push.Options) *instance {
	t.Helper()
	return startWith(t, options, 0)
}

// startWith starts an instance that watches at most maxTopics topics, 0 for any number.
func startWith(t *testing.T, options push.Options, maxTopics int) *instance {
	t.Helper()
	catalog := tally.NewCatalog(nil, tally.DefaultMetrics())
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(store, hub.Options{Formats: push.Formats(), WriteTimeout: options.WriteTimeout, MaxTopics: maxTopics})
	present := &pages{}
	server, err := push.New(h, present, catalog, options)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, service: tally.NewService(store, catalog), hub: h, presence: present, server: server}
	i.http = httptest.NewServer(http.HandlerFunc(i.handle))

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{
		h.Run, server.Run,
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

// pages is a presence that counts the pages of all topics together.
type pages struct{ atomic.Int64 }

func (p *pages) Enter(tally.Topic, func() bool) bool { p.Add(1); return true }
func (p *pages) Leave(tally.Topic)                   { p.Add(-1) }

func (i *instance) handle(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	session := push.Session{
		Client:  netip.MustParseAddrPort(r.RemoteAddr).Addr(),
		Rights:  i,
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

func (i *instance) Admit(tally.Topic) error { return nil }

func (i *instance) MayRecord(tally.Topic) bool { return true }

// ParseAssertion takes the topic and the id only. The answers wait for release.
func (i *instance) ParseAssertion(message []byte) (push.Assertion, error) {
	var m struct {
		Assert  string
		Visitor string
		ID      *int64
	}
	if json.Unmarshal(message, &m) != nil || m.ID == nil {
		return push.Assertion{}, tally.Errorf(tally.CodeBadBody, "no id")
	}
	return push.Assertion{ID: *m.ID, Start: func(done func([]byte, tally.Change, error)) {
		topic, err := tally.ParseTopic(m.Assert)
		if err != nil {
			done(nil, tally.Change{}, err)
			return
		}
		answer := func() {
			i.service.Start(tally.Assertion{Topic: topic, Visitor: m.Visitor, Amount: 1, MayCreate: true}, func(result tally.Result, err error) {
				done(tally.AppendFrame(nil, result.Change), result.Change, err)
			})
		}
		if i.hold == nil {
			answer()
			return
		}
		i.hold <- answer
	}}, nil
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

// viewer reads the frames of a connection.
type viewer struct {
	t     *testing.T
	next  func() (string, error)
	close func()
}

// frame has the fields of all frames.
type frame struct {
	Topic   string
	Count   int64
	Version int64
	Event   string
	Error   *struct{ Code, Message string }
}

func (v *viewer) frame() frame {
	v.t.Helper()
	text, err := v.next()
	if err != nil {
		v.t.Fatalf("next frame: %v", err)
	}
	var f frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		v.t.Fatalf("frame %q: %v", text, err)
	}
	return f
}

func (v *viewer) expect(want ...string) {
	v.t.Helper()
	for _, w := range want {
		f := v.frame()
		got := fmt.Sprintf("%s=%d", f.Topic, f.Count)
		if f.Event != "" {
			got = f.Event
		} else if f.Error != nil {
			got = f.Topic + "!" + f.Error.Code
		}
		if got != w {
			v.t.Fatalf("frame %s, want %s", got, w)
		}
	}
}

// stream opens an event stream.
func (i *instance) stream(query string) *viewer {
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
	events := eventstream.NewReader(response.Body)
	return &viewer{t: i.t, close: func() { _ = response.Body.Close() }, next: func() (string, error) {
		data, err := events.Next()
		if events.Retry < time.Second {
			i.t.Errorf("the stream begins with retry %s", events.Retry)
		}
		return string(data), err
	}}
}

// socket opens a WebSocket.
func (i *instance) socket(query string) (*viewer, *websocket.Conn) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	i.t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, i.http.URL+"/ws?"+query, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = ws.CloseNow() })
	return &viewer{t: i.t, close: func() { _ = ws.CloseNow() }, next: func() (string, error) {
		_, data, err := ws.Read(ctx)
		return string(data), err
	}}, ws
}

func (i *instance) viewers() int { return int(i.hub.Viewers()) }

func (i *instance) eventually(what string, done func() bool) {
	i.t.Helper()
	processtest.Within(i.t, waitTimeout, what, done)
}

func mustTopic(t *testing.T, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func sendText(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatalf("say %s: %v", text, err)
	}
}

const handshake = "GET /ws?%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// dial sends text on a connection of its own.
func (i *instance) dial(text string) *net.TCPConn {
	i.t.Helper()
	c, err := net.Dial("tcp", i.http.Listener.Addr().String())
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * waitTimeout))
	if _, err := io.WriteString(c, text); err != nil {
		i.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// masked returns a client's frame, masked with zeros.
func masked(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}
