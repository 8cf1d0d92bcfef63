package deploy_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// vanish makes a connection half-open: the client's kernel drops every segment before
// it looks at it, by a program that keeps 0 bytes of each (socket(7)).
func vanish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	keepNothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &keepNothing[0]})
	})
	if err != nil || failed != nil {
		t.Fatalf("attach a filter: %v, %v", err, failed)
	}
	_ = c.SetLinger(0) // what the test closes in the end is not sent again for minutes
}

// Behind a proxy it is the proxy that has the page's connection, and it takes whatever
// the instance says: an instance cannot find who vanished.
func TestHAProxyGivesUpPagesThatVanish(t *testing.T) {
	t.Parallel()
	const topic, present, patience = "default/likes/vanish", "default/readers/vanish", 30 * time.Second
	i := startInstance(t, "--trusted-proxy", "127.0.0.1", "--drain", "0s", "--rate-limit", "off")
	f := startHAProxy(t, "haproxy.cfg", nil, i)
	watcher := openStream(t, client, f.url, present)
	neighbour := openSocket(t, client, f.url, topic)
	query := "?topic=" + topic + "&present=" + present
	for _, text := range []string{
		"GET /v1/stream" + query + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /v1/ws" + query + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(c)
		for said := ""; !strings.HasSuffix(said, live); {
			next, err := lines.ReadByte()
			if err != nil {
				t.Fatalf("%v after %q", err, said)
			}
			said += string(next)
		}
		vanish(t, c.(*net.TCPConn))
	}
	watcher.awaitCount(t, 2)
	startPressing(t, f.url, topic) // likes that they do not acknowledge
	processtest.Within(t, patience+15*time.Second, "their end", func() bool {
		return i.Metric(`tallycast_viewers_left_total{reason="gone"}`) == 2
	})
	processtest.Eventually(t, "no readers", func() bool {
		frames, _, _ := watcher.seen()
		return watcher.count(frames) == 0
	})
	if frames, cuts, _ := neighbour.seen(); cuts > 0 || neighbour.count(frames) == 0 {
		t.Error("a neighbour noticed")
	}
}
