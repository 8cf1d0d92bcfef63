package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A socket can subscribe and unsubscribe at any time.
func TestSocket_SubscribeAndUnsubscribe(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.dial("")
	v.send(`{"subscribe":["default/likes/a"]}`)
	v.awaitEvents("live", 1)
	v.send(`{"subscribe":["default/likes/a","default/likes/b"]}`)
	v.awaitEvents("live", 2)
	// The response is the snapshot of the added topic.
	if got := v.transcript(); strings.Count(got, "likes/a") != 1 || strings.Count(got, "likes/b") != 1 {
		t.Errorf("sent %s", got)
	}
	v.send(`{"unsubscribe":["default/likes/a","default/likes/never"]}`)
	v.send(`{"subscribe":["default/likes/c"]}`) // after its response, the messages before it took effect
	v.awaitEvents("live", 3)
	s.like("default/likes/a", "visitor-1", "1")
	s.like("default/likes/b", "visitor-1", "1")
	v.awaitCount("default/likes/b", 1)
	if v.last("default/likes/a").Count != 0 {
		t.Errorf("sent %s", v.transcript())
	}
	v.send(`{"subscribe":["default/likes/a"]}`)
	v.awaitCount("default/likes/a", 1)
	v.awaitEvents("live", 4)
}

// Invalid messages get errors. Hostile sockets are closed. Others are not affected.
func TestSocket_InvalidMessages(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.dial("")
	invalid := []string{"", "x", "[]", `{}`, `{"subscribe":"default/likes/x"}`, `{"subscribe":["a/b/c"],"present":[]}`, `{"shout":["default/likes/x"]}`, `{"subscribe":[1]}`}
	for i, text := range invalid {
		v.send(text)
		processtest.Eventually(t, "an answer to "+text, func() bool { return len(v.received()) == i+1 })
		if f := v.received()[i]; f.Error == nil || f.Error.Code != "bad_body" || f.Topic != "" {
			t.Errorf("%q: %s", text, f.raw)
		}
	}
	many := `{"subscribe":["` + strings.Repeat(`x","`, 1000) + `x"]}`
	v.send(many)
	v.awaitFrame("too many topics", func(f frame) bool { return f.Error != nil && f.Error.Code == "too_many_topics" })
	subscribed(v, "default/likes/still")
	v.awaitCount("default/likes/still", 0)

	hostile := func(name string, code websocket.StatusCode, act func(*viewer)) {
		t.Helper()
		v := s.dial("?topic=default/likes/x")
		v.awaitEvents("live", 1)
		act(v)
		processtest.Eventually(t, "the end of the socket that sent "+name, v.hasEnded)
		if v.code != code {
			t.Errorf("%s: closed with %d, want %d", name, v.code, code)
		}
	}
	send := func(v *viewer, kind websocket.MessageType, text string) error {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		return v.socket.Write(ctx, kind, []byte(text))
	}
	hostile("a binary message", 1008, func(v *viewer) { _ = send(v, websocket.MessageBinary, `{"subscribe":[]}`) })
	hostile("invalid UTF-8", 1008, func(v *viewer) { _ = send(v, websocket.MessageText, "\xff") })
	hostile("a message that is too large", 1009, func(v *viewer) { _ = send(v, websocket.MessageText, strings.Repeat("x", 64<<10+1)) })
	hostile("many invalid messages", 1008, func(v *viewer) {
		for range 100 {
			if send(v, websocket.MessageText, "x") != nil {
				return
			}
		}
	})
	hostile("a flood", 1008, func(v *viewer) {
		for i := range 1000 {
			if send(v, websocket.MessageText, fmt.Sprintf(`{"subscribe":["default/likes/%d"]}`, i)) != nil {
				return
			}
		}
	})
	// The other socket still works.
	s.like("default/likes/still", "visitor-1", "1")
	v.awaitCount("default/likes/still", 1)
}

// Sockets assert without a pause until the instance ends. The instance answers all assertions that
// it applies before it closes with 1001, so the stored likes are the acknowledged ones.
func TestSocket_AssertionsWhileDraining(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, store string) {
		t.Parallel()
		const sockets = 20
		s := serve(t, "--store", store, "--drain", "300ms")
		var viewers []*viewer
		var pressing sync.WaitGroup
		for n := range sockets {
			v := s.dial("?topic=default/likes/a")
			viewers = append(viewers, v)
			pressing.Go(func() {
				for i := 0; !v.hasEnded(); i++ {
					_ = v.socket.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"assert":"default/likes/a","visitor":"visitor-%d-%d","id":%d}`, n, i, i))
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(300 * time.Millisecond) // of likes
		s.Terminate()
		acknowledged := int64(0)
		pressing.Wait()
		for _, v := range viewers {
			if v.code != 1001 {
				t.Errorf("closed with %d, want 1001", v.code)
			}
			for _, f := range v.received() {
				if f.ID != nil && f.Error == nil {
					acknowledged++
				}
			}
		}
		processtest.Eventually(t, "the end", s.HasEnded)
		if stored := serve(t, "--store", store).read("default/likes/a").Count; stored != acknowledged || stored < sockets {
			t.Errorf("%d likes are stored, %d were acknowledged", stored, acknowledged)
		}
	}
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "tally.db")) })
	t.Run("redis", func(t *testing.T) { test(t, redistest.Start(t, redistest.Options{Hosted: true}).URL(0)) })
}

// A message in the same packet as the handshake is read.
func TestSocket_MessageWithHandshake(t *testing.T) {
	t.Parallel()
	s := serve(t)
	w := s.wire().send(request("GET", "/v1/ws", "", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==") +
		"\x81\xa1\x00\x00\x00\x00" + `{"subscribe":["default/likes/x"]}`)
	for line := w.line(); line != "\r\n"; line = w.line() {
		if strings.Contains(strings.ToLower(line), "extensions") {
			t.Errorf("the server accepts an extension: %s", line)
		}
	}
	received := w.readUntil(`{"event":"live"}`)
	if !strings.Contains(received, `{"topic":"default/likes/x","count":0,"version":0}`) {
		t.Errorf("%q", received)
	}
}

// Sockets answer pings and the close handshake.
func TestSocket_Pings(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.dial("?topic=default/likes/x")
	v.awaitEvents("live", 1)
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	for range 5 {
		if err := v.socket.Ping(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := v.socket.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing: %v", err)
	}
	processtest.Eventually(t, "the place is free", func() bool { return s.Metric(`tallycast_connections{transport="websocket"}`) == 0 })
}

// A socket may be present on 1,000 topics.
func TestSocket_PresenceLimit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.dial("")
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("default/readers/%d", i))
	}
	v.send(`{"present":["` + strings.Join(list, `","`) + `"]}`)
	v.send(`{"present":["default/readers/more"]}`)
	v.awaitFrame("a refusal", func(f frame) bool {
		return f.Error != nil && f.Error.Code == "too_many_topics" && f.Topic == "default/readers/more"
	})
}
