package redisstore_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// forward listens until the test ends. On each connection it sends head, then the replies of target.
func forward(t *testing.T, target, head string) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup // each ends with its connections
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			copyAll := func(to, from net.Conn, head string) {
				_, _ = io.WriteString(to, head)
				_, _ = io.Copy(to, from)
				_, _ = to.Close(), from.Close()
			}
			running.Go(func() { copyAll(server, client, "") })
			running.Go(func() { copyAll(client, server, head) })
		}
	})
	return listener.Addr().String()
}

// A reply of RESP3 may have attributes, which only go-redis understands. It returns all
// messages that come after them, and none is lost.
func TestFeed_ReplyWithAttributes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	url := "redis://" + forward(t, server.Addr, "|1\r\n+ttl\r\n:3600\r\n") + "/0"
	store := storeConfig{server: server, url: url}.connect(t, catalog(), prefix)
	other := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	v := watch(t, store, page)
	like(t, other, page, 1)
	v.waitFor(t, store, page, 1)
	if n := v.settles(page); n != 1 {
		t.Errorf("the like came with a read, not with a message: %d reads", n)
	}
}
